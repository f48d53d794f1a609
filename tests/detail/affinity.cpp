#include <manyhands/detail/affinity.hpp>

#include <sched.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <limits>
#include <thread>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::detail::affinity_mask;

/// A kernel whose masks have so many processors, all of them allowed: it refuses smaller ones.
auto kernel_with(std::size_t processors) {
  return [processors](std::size_t bytes, cpu_set_t* set) {
    if (8 * bytes < processors) {
      errno = EINVAL;
      return -1;
    }
    for (std::size_t number = 0; number < processors; ++number) CPU_SET_S(number, bytes, set);
    return 0;
  };
}

}  // namespace

TEST_CASE("a machine with more than 1024 processors is counted whole") {
  for (const std::size_t processors : {std::size_t{1}, std::size_t{1024}, std::size_t{1025}, std::size_t{5000}}) {
    const affinity_mask mask(kernel_with(processors));
    CHECK(static_cast<std::size_t>(mask.count()) == processors);
    const std::vector<int> numbers = mask.processors();
    REQUIRE(numbers.size() == processors);
    CHECK(numbers.front() == 0);
    CHECK(static_cast<std::size_t>(numbers.back()) == processors - 1);
  }
}

TEST_CASE("a system that does not tell leaves an empty mask") {
  int calls = 0;
  const affinity_mask refused([&](std::size_t, cpu_set_t*) {
    ++calls;
    errno = EPERM;
    return -1;
  });
  CHECK(refused.count() == 0);
  CHECK(refused.processors().empty());
  CHECK(calls == 1);

  const affinity_mask never_large_enough(kernel_with(std::numeric_limits<std::size_t>::max()));
  CHECK(never_large_enough.count() == 0);
  CHECK(never_large_enough.processors().empty());
}

TEST_CASE("a mask of given processors has those") {
  for (const std::vector<int>& processors : {std::vector<int>{}, {0}, {3, 5, 1023}, {0, 1024}, {70'000}}) {
    const affinity_mask mask = affinity_mask::of(processors);
    CHECK(mask.processors() == processors);
    CHECK(static_cast<std::size_t>(mask.count()) == processors.size());
  }
}

TEST_CASE("a mask covers one with the same processors or fewer, whatever their sizes") {
  const auto covers = [](const std::vector<int>& all, const std::vector<int>& some) {
    return affinity_mask::of(all).covers(affinity_mask::of(some));
  };
  CHECK(covers({1, 2}, {1, 2}));
  CHECK(covers({1, 2}, {2}));
  CHECK(covers({1, 2}, {}));
  CHECK(covers({1, 2, 5000}, {1}));
  CHECK_FALSE(covers({1, 2}, {1, 3}));
  CHECK_FALSE(covers({1, 2}, {5000}));
  CHECK_FALSE(covers({}, {0}));
}

TEST_CASE("binding concerns the calling thread alone") {
  const std::vector<int> all = affinity_mask().processors();
  bool bound = false;
  std::vector<int> now;
  std::thread([&] {
    bound = affinity_mask::of(std::array{all.back()}).bind();
    now = affinity_mask().processors();
  }).join();
  if (bound) CHECK(now == std::vector<int>{all.back()});  // else the system does not allow it
  CHECK(affinity_mask().processors() == all);
}

TEST_CASE("binding to no processor, or to one that is not there, changes nothing") {
  const std::vector<int> all = affinity_mask().processors();
  CHECK_FALSE(affinity_mask::of({}).bind());
  CHECK_FALSE(affinity_mask::of(std::array{1000}).bind());
  CHECK(affinity_mask().processors() == all);
}
