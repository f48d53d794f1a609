#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <support/catch.hpp>

namespace manyhands_test {

/// The numbers of all children of this process, those that nobody has collected yet among them.
inline std::string children() {
  std::string all;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream list(thread.path() / "children");
    all.append(std::istreambuf_iterator<char>(list), std::istreambuf_iterator<char>());
  }
  return all;
}

inline std::size_t open_descriptors() {
  // One of them is the directory itself, each time.
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator()));
}

/// Memory that is shared with other processes, by its mappings.
inline std::size_t shared_mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" rw-s ") != std::string::npos) ++count;
  }
  return count;
}

/// Put first in a test: fails it where at its end a child, a descriptor or shared memory is there that was not at its beginning.
class leak_check {
 public:
  leak_check() = default;
  leak_check(const leak_check&) = delete;
  leak_check& operator=(const leak_check&) = delete;
  ~leak_check() {
    CHECK(children() == children_);
    CHECK(open_descriptors() == descriptors_);
    CHECK(shared_mappings() == mappings_);
  }

 private:
  std::string children_ = children();
  std::size_t descriptors_ = open_descriptors();
  std::size_t mappings_ = shared_mappings();
};

}  // namespace manyhands_test
