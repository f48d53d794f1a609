#pragma once

#include <manyhands/backends/loky.hpp>

#include <support/leak_check.hpp>

namespace manyhands_test {

/// As `leak_check`, where workers may live on: ends them first, before the test and after it.
class pool_check {
  struct end_of_idle {
    end_of_idle() { manyhands::loky_backend::end_idle_workers(); }
    end_of_idle(const end_of_idle&) = delete;
    end_of_idle& operator=(const end_of_idle&) = delete;
    ~end_of_idle() { manyhands::loky_backend::end_idle_workers(); }
  };

  end_of_idle before_;
  leak_check leaks_;
  end_of_idle after_;
};

}  // namespace manyhands_test
