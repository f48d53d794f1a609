#pragma once

namespace manyhands {

/// The base of whatever watches a call. `options::observer` takes one; calls do not report to it yet and refuse it.
class observer {
 public:
  observer() = default;
  observer(const observer&) = delete;
  observer& operator=(const observer&) = delete;
  virtual ~observer() = default;
};

}  // namespace manyhands
