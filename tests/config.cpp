#include <manyhands/config.hpp>

#include <bit>

#include <support/catch.hpp>

// The macros must have a value wherever they are asked, also in an #if.
#if MANYHANDS_WITH_HWLOC != 0 && MANYHANDS_WITH_HWLOC != 1
#error MANYHANDS_WITH_HWLOC is 0 or 1
#endif
#if MANYHANDS_HAS_FORK != 0 && MANYHANDS_HAS_FORK != 1
#error MANYHANDS_HAS_FORK is 0 or 1
#endif
#if MANYHANDS_ASAN != 0 && MANYHANDS_ASAN != 1
#error MANYHANDS_ASAN is 0 or 1
#endif
#if MANYHANDS_TSAN != 0 && MANYHANDS_TSAN != 1
#error MANYHANDS_TSAN is 0 or 1
#endif

TEST_CASE("a build knows which sanitizer it is under") {
  STATIC_REQUIRE(MANYHANDS_ASAN + MANYHANDS_TSAN <= 1);
#if defined(__SANITIZE_ADDRESS__)
  STATIC_REQUIRE(MANYHANDS_ASAN == 1);
#elif defined(__SANITIZE_THREAD__)
  STATIC_REQUIRE(MANYHANDS_TSAN == 1);
#elif !defined(__has_feature)
  STATIC_REQUIRE(MANYHANDS_ASAN + MANYHANDS_TSAN == 0);
#else
#if __has_feature(address_sanitizer)
  STATIC_REQUIRE(MANYHANDS_ASAN == 1);
#else
  STATIC_REQUIRE(MANYHANDS_ASAN == 0);
#endif
#if __has_feature(thread_sanitizer)
  STATIC_REQUIRE(MANYHANDS_TSAN == 1);
#else
  STATIC_REQUIRE(MANYHANDS_TSAN == 0);
#endif
#endif
}

TEST_CASE("processes can be forked on Linux") {
#if defined(__linux__)
  STATIC_REQUIRE(MANYHANDS_HAS_FORK == 1);
#else
  STATIC_REQUIRE(MANYHANDS_HAS_FORK == 0);
#endif
}

TEST_CASE("what stands a cache line apart can be aligned to it") {
  using manyhands::detail::cache_line;
  STATIC_REQUIRE(std::has_single_bit(cache_line));
  STATIC_REQUIRE(cache_line >= 64);
  struct alignas(cache_line) apart {
    char first;
  };
  apart both[2];
  CHECK(reinterpret_cast<char*>(&both[1]) - reinterpret_cast<char*>(&both[0]) >= static_cast<long>(cache_line));
}
