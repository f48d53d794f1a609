#include <manyhands/detail/exception_forms.hpp>

#include <exception>
#include <ios>
#include <stdexcept>
#include <string>
#include <system_error>

#include <support/catch.hpp>

namespace {

using manyhands::reader;
using manyhands::writer;
using manyhands::detail::exception_form;
using manyhands::detail::has_exception_form;
using manyhands::detail::taken_apart;

struct from_text : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct from_literal : std::exception {
  explicit from_literal(const char*) {}
};
struct from_nothing : std::exception {};
struct no_exception {
  explicit no_exception(const std::string&) {}
  virtual ~no_exception() = default;
};
struct plain {
  int code;
};
struct holds_pointer {
  int* code;
};

template <class E>
E round_trip(const E& value) {
  writer out;
  exception_form<E>::save(value, out);
  reader in(out.bytes());
  E back = exception_form<E>::load(in, value.what());
  in.finish();
  return back;
}

}  // namespace

static_assert(has_exception_form<from_text> && has_exception_form<from_literal> && has_exception_form<plain> && has_exception_form<int>);
static_assert(!has_exception_form<from_nothing> && !has_exception_form<no_exception> && !has_exception_form<holds_pointer>);
static_assert(!has_exception_form<const char*> && !has_exception_form<std::exception_ptr>);

TEST_CASE("a system_error is taken apart into what it was made of") {
  const std::error_code code = std::make_error_code(std::errc::io_error);
  CHECK(taken_apart(code, std::system_error(code, "text").what()).text == "text");
  CHECK(taken_apart(code, std::system_error(code, "a: b").what()).text == "a: b");
  CHECK(taken_apart(code, std::system_error(code, "").what()).text == "");
  CHECK_FALSE(taken_apart(code, std::system_error(code).what()).text.has_value());
  CHECK(taken_apart(code, "not made by the constructor").text == "not made by the constructor");
}

TEST_CASE("an exception made of its text needs no bytes") {
  writer out;
  exception_form<std::runtime_error>::save(std::runtime_error("text"), out);
  CHECK(out.size() == 0);
  CHECK(std::string(round_trip(std::runtime_error("text")).what()) == "text");
}

TEST_CASE("the parts of an exception come back") {
  const std::error_code code = std::make_error_code(std::errc::io_error);
  CHECK(round_trip(std::system_error(code, "text")).code() == code);
  CHECK(round_trip(std::ios_base::failure("text", code)).code() == code);
  CHECK(round_trip(manyhands::worker_lost(1, 2, 0, 4)).exit_code() == 4);
  CHECK(round_trip(manyhands::worker_lost(1, 2, 0, 4)).fault_address() == std::nullopt);
  const manyhands::worker_lost crashed = round_trip(manyhands::worker_lost(1, 2, 11, -1, {0xdead, {"inner", "outer"}}));
  CHECK(crashed.fault_address() == std::uintptr_t{0xdead});
  CHECK(crashed.backtrace() == std::vector<std::string>{"inner", "outer"});
  CHECK(round_trip(manyhands::remote_error("type", "text")).type_name() == "type");
}
