#include <manyhands/detail/frame_names.hpp>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <support/catch.hpp>

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using manyhands::detail::demangled;
using manyhands::detail::frame_names;
using manyhands::detail::symbol_file;

namespace shop {

[[gnu::noinline]] int price(int count) {
  volatile int each = 5;
  return each * count;
}

}  // namespace shop

namespace {

[[gnu::noinline]] int local_price(int count) {
  volatile int each = 7;
  return each * count;
}

std::uintptr_t address_of(int (*function)(int)) { return reinterpret_cast<std::uintptr_t>(function); }

}  // namespace

TEST_CASE("functions of the program are named, those that it does not export, too") {
  CHECK(shop::price(1) + local_price(1) == 12);
  const auto names = frame_names({address_of(&shop::price) + 1, address_of(&local_price), address_of(&shop::price)});
  REQUIRE(names.size() == 3);
  CHECK_THAT(names[0], StartsWith("shop::price(int)+0x1 (") && Contains("test.detail.frame_names"));
  CHECK_THAT(names[1], Contains("local_price(int)+0x0 ("));
  CHECK_THAT(names[2], StartsWith("shop::price(int)+0x0 ("));
}

TEST_CASE("functions of libraries are named") {
  const auto names = frame_names({reinterpret_cast<std::uintptr_t>(::dlsym(RTLD_DEFAULT, "gnu_get_libc_version")) + 2});
  CHECK_THAT(names.at(0), Contains("gnu_get_libc_version") && Contains("+0x2 (libc"));
}

TEST_CASE("what no file knows is a number, and nothing has no names") {
  CHECK(frame_names({0x10, 0}) == std::vector<std::string>{"0x10", "0x0"});
  CHECK(frame_names({}).empty());
}

TEST_CASE("a file without functions answers nothing") {
  const char* const path = GENERATE("/dev/null", "/proc/self/status", "/nowhere");
  std::vector<symbol_file::query> all{{0x1000}, {0}};
  symbol_file(path).find(all);
  CHECK(all[0].name.empty());
  CHECK(all[1].name.empty());
}

TEST_CASE("a name that is none of C++ stays as it is") {
  CHECK(demangled("memcpy") == "memcpy");
  CHECK(demangled("_ZN4shop5priceEi") == "shop::price(int)");
  CHECK(demangled("_Znonsense") == "_Znonsense");
}
