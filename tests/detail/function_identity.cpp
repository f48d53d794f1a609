#include <manyhands/detail/function_identity.hpp>

#include <dlfcn.h>

#include <cstdint>
#include <string>

#include <support/catch.hpp>

namespace {

using manyhands::error;
using manyhands::reader;
using manyhands::writer;
using manyhands::detail::find_function;
using manyhands::detail::function_identity;
using manyhands::detail::identify;
using manyhands::detail::identify_own;
using manyhands::detail::load_identity;
using manyhands::detail::program_identity;
using manyhands::detail::save_identity;

int seven() { return 7; }
template <int n>
int number() {
  return n;
}
const auto lambda = [] { return 3; };

template <class Function>
const void* address(Function* function) {
  return reinterpret_cast<const void*>(function);
}

std::string refused(const void* function) {
  try {
    static_cast<void>(identify(function));
  } catch (const error& why) {
    return why.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a function of the program is found again, whatever it is") {
  for (const void* function : {address(&seven), address(&number<1>), address(&number<2>), address(+lambda)}) {
    const function_identity identity = identify(function);
    CHECK(identity.image == program_identity());
    CHECK(identity.symbol.empty());
    CHECK(find_function(identity) == function);
  }
  CHECK(identify(address(&number<1>)) != identify(address(&number<2>)));
}

TEST_CASE("an identity travels as bytes") {
  for (const function_identity& identity : {identify(address(&seven)), function_identity{1, 0, "a name"}}) {
    writer out;
    save_identity(identity, out);
    reader in(out.bytes());
    CHECK(load_identity(in) == identity);
    CHECK(in.remaining() == 0);
  }
}

TEST_CASE("a function that a library exports goes by its name there") {
  void* const library = ::dlopen("libc.so.6", RTLD_LAZY);
  REQUIRE(library != nullptr);
  const void* const function = ::dlsym(library, "strtol");
  REQUIRE(function != nullptr);
  const function_identity identity = identify(function);
  CHECK(identity.image != program_identity());
  CHECK_FALSE(identity.symbol.empty());
  CHECK(identity.offset == 0);
  CHECK(find_function(identity) == function);
  CHECK_THROWS_WITH(find_function({identity.image, 0, "no_such_function"}), Catch::Matchers::Contains("no_such_function"));
  ::dlclose(library);
}

TEST_CASE("a variant of a library's function is refused, and the cure named") {
  // Which of several the system took for this processor; where there is but one, it has the name.
  void* const library = ::dlopen("libc.so.6", RTLD_LAZY);
  REQUIRE(library != nullptr);
  const auto* const chosen = static_cast<const char*>(::dlsym(library, "strlen"));
  const std::string why = refused(chosen + 1);
  CHECK(why.find("libc.so.6") != std::string::npos);
  CHECK(why.find("wrap it in a lambda") != std::string::npos);
  // What we compiled ourselves needs no name.
  CHECK(find_function(identify_own(chosen + 1)) == chosen + 1);
  ::dlclose(library);
}

TEST_CASE("a function of a library that was loaded later is found, and missed when it is gone") {
  void* const library = ::dlopen(FAKE_POOLS, RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  const void* const function = ::dlsym(library, "fake_mkl_local");
  REQUIRE(function != nullptr);
  const function_identity by_name = identify(function);
  const function_identity by_place = identify_own(function);
  CHECK(by_name.symbol == "fake_mkl_local");
  CHECK(find_function(by_name) == function);
  CHECK(find_function(by_place) == function);
  ::dlclose(library);
  if (::dlopen(FAKE_POOLS, RTLD_NOLOAD | RTLD_LAZY) != nullptr) return;  // a sanitizer keeps it
  static_cast<void>(manyhands::detail::image_table::refreshed());
  CHECK_THROWS_WITH(find_function(by_place), Catch::Matchers::Contains("has not loaded"));
}

TEST_CASE("what is no function is refused") {
  static const int number = 0;
  CHECK(refused(nullptr).find("null") != std::string::npos);
  CHECK(refused(&number).find("neither") != std::string::npos);
  int local = 0;
  CHECK(refused(&local).find("neither") != std::string::npos);
}

TEST_CASE("an identity that cannot be is refused before anybody jumps there") {
  CHECK_THROWS_WITH(find_function({program_identity() + 1, 0, ""}), Catch::Matchers::Contains("another build"));
  CHECK_THROWS_WITH(find_function({program_identity(), 0, ""}), Catch::Matchers::Contains("no code"));
  CHECK_THROWS_WITH(find_function({program_identity(), std::uint64_t{1} << 60U, ""}), Catch::Matchers::Contains("no code"));
}
