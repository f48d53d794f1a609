#include <manyhands/detail/standard_forward.hpp>

#include <manyhands/exception_codec.hpp>

// After ours: nobody need know that their order might matter.
#include <exception>
#include <filesystem>
#include <future>
#include <string>
#include <type_traits>

#include <support/catch.hpp>

namespace {

template <class E>
bool comes_back(E value) {
  manyhands::writer out;
  manyhands::detail::save_exception(std::make_exception_ptr(value), out);
  manyhands::reader in(out.bytes());
  try {
    std::rethrow_exception(manyhands::detail::load_exception(in));
  } catch (const E& back) {
    return std::string(back.what()) == value.what() && back.code() == value.code();
  } catch (...) {
    return false;
  }
}

}  // namespace

TEST_CASE("the declarations are those of the standard library") {
  STATIC_REQUIRE(std::is_base_of_v<std::system_error, std::filesystem::filesystem_error>);
  STATIC_REQUIRE(std::is_base_of_v<std::logic_error, std::future_error>);
  STATIC_REQUIRE(manyhands::transportable<std::filesystem::path>);
  CHECK(&std::make_error_code(std::future_errc::no_state).category() == &std::future_category());
}

TEST_CASE("errors whose headers come after the library's come back as themselves") {
  CHECK(comes_back(std::filesystem::filesystem_error("text", "/a", std::make_error_code(std::errc::io_error))));
  CHECK(comes_back(std::future_error(std::future_errc::broken_promise)));
}
