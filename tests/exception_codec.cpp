#include <manyhands/exception_codec.hpp>

#include <any>
#include <cstddef>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <typeindex>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include <support/catch.hpp>

namespace {

using Catch::Matchers::Contains;
using manyhands::reader;
using manyhands::register_exception;
using manyhands::remote_error;
using manyhands::writer;
using manyhands::detail::load_exception;
using manyhands::detail::save_exception;
using manyhands::detail::type_name;

template <class F>
std::exception_ptr caught(F f) {
  try {
    f();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}
template <class E>
std::exception_ptr thrown(E value) {
  return caught([&] { throw std::move(value); });
}

std::vector<std::byte> saved(const std::exception_ptr& error) {
  writer out;
  save_exception(error, out);
  return {out.bytes().begin(), out.bytes().end()};
}
std::exception_ptr loaded(std::span<const std::byte> bytes) {
  reader in(bytes);
  return load_exception(in);
}
std::exception_ptr round_trip(const std::exception_ptr& error) {
  const auto bytes = saved(error);
  reader in(bytes);
  std::exception_ptr back = load_exception(in);
  CHECK(in.remaining() == 0);
  return back;
}

/// The exact type of the exception; `check(value)` sees it.
template <class E, class Check>
void with(const std::exception_ptr& error, Check check) {
  REQUIRE(error);
  try {
    std::rethrow_exception(error);
  } catch (const E& value) {
    CHECK(*abi::__cxa_current_exception_type() == typeid(E));
    check(value);
  } catch (...) {
    FAIL("it came back as " << manyhands::detail::current_exception_name() << ": " << manyhands::detail::current_exception_text());
  }
}
template <class E>
void comes_back(const E& value) {
  INFO(typeid(E).name() << ": " << value.what());
  with<E>(round_trip(thrown(value)), [&](const E& back) { CHECK(std::string(back.what()) == value.what()); });
}
void comes_back_as_remote(const std::exception_ptr& error, const std::string& type_name, const std::string& message) {
  with<remote_error>(round_trip(error), [&](const remote_error& back) {
    CHECK(back.type_name() == type_name);
    CHECK(std::string(back.what()) == type_name + ": " + message);
  });
}

class own_category final : public std::error_category {
  const char* name() const noexcept override { return "own"; }
  std::string message(int) const override { return "own message"; }
};

}  // namespace

namespace shop {

struct unknown : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct sold_out : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct closed : std::exception {
  explicit closed(const char* text) : text_(text) {}
  const char* what() const noexcept override { return text_.c_str(); }
  std::string text_;
};
struct keeps_pointer : std::exception {
  explicit keeps_pointer(const char* literal) : text(literal) {}
  const char* what() const noexcept override { return text; }
  const char* text;
};
struct too_dear : std::runtime_error {
  too_dear(int price_, std::vector<std::string> items_)
      : std::runtime_error("too dear: " + std::to_string(price_)), price(price_), items(std::move(items_)) {}
  int price;
  std::vector<std::string> items;
};
struct plain {
  int code;
  std::string text;
};
struct final_one final : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct with_inside : std::runtime_error, std::nested_exception {
  using std::runtime_error::runtime_error;
};
struct never_loads : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct never_saves : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct late : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct from_threads : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct no_text : std::exception {
  const char* what() const noexcept override { return nullptr; }
};
struct silent {};

}  // namespace shop

template <>
struct manyhands::codec<shop::too_dear> {
  static void save(const shop::too_dear& value, writer& out) {
    out.put(value.price);
    out.put(value.items);
  }
  static shop::too_dear load(reader& in) {
    const int price = in.get<int>();
    return shop::too_dear(price, in.get<std::vector<std::string>>());
  }
};
template <>
struct manyhands::codec<shop::never_loads> {
  static void save(const shop::never_loads&, writer&) {}
  static shop::never_loads load(reader&) { throw std::logic_error("not today"); }
};
template <>
struct manyhands::codec<shop::never_saves> {
  static void save(const shop::never_saves&, writer& out) {
    out.put(1);
    throw std::logic_error("not today");
  }
  static shop::never_saves load(reader&) { return shop::never_saves("x"); }
};

TEST_CASE("a standard exception with a text comes back with type and text") {
  comes_back(std::logic_error("logic"));
  comes_back(std::invalid_argument("invalid"));
  comes_back(std::domain_error("domain"));
  comes_back(std::length_error("length"));
  comes_back(std::out_of_range("range"));
  comes_back(std::runtime_error(""));
  comes_back(std::range_error("range \n\xff"));
  comes_back(std::overflow_error("overflow"));
  comes_back(std::underflow_error(std::string(100000, 'x')));
}

TEST_CASE("a standard exception without a text comes back with its type") {
  comes_back(std::exception());
  comes_back(std::bad_exception());
  comes_back(std::bad_alloc());
  comes_back(std::bad_array_new_length());
  comes_back(std::bad_cast());
  comes_back(std::bad_typeid());
  comes_back(std::bad_any_cast());
  comes_back(std::bad_function_call());
  comes_back(std::bad_weak_ptr());
  comes_back(std::bad_optional_access());
  comes_back(std::bad_variant_access());
}

TEST_CASE("what the standard library itself throws comes back") {
  const auto type_of = [](const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (...) {
      return std::type_index(*abi::__cxa_current_exception_type());
    }
  };
  const auto same = [&](auto f) {
    const std::exception_ptr error = caught(f);
    REQUIRE(error);
    CHECK(type_of(round_trip(error)) == type_of(error));
  };
  same([] { static_cast<void>(std::vector<int>().at(1)); });
  same([] { static_cast<void>(std::stoi("x")); });
  same([] { static_cast<void>(std::optional<int>().value()); });
  same([] { static_cast<void>(std::get<1>(std::variant<int, int>(std::in_place_index<0>, 0))); });
  same([] { static_cast<void>(std::any_cast<int>(std::any(1.5))); });
  same([] { std::function<void()>()(); });
  same([] { std::shared_ptr<int> lock(std::weak_ptr<int>{}); });
  same([] {
    std::promise<int> promise;
    static_cast<void>(promise.get_future());
    static_cast<void>(promise.get_future());
  });
  same([] { static_cast<void>(std::filesystem::file_size("/no/such/file")); });
  same([] { std::thread().join(); });
  same([] { std::string().resize(std::string().max_size() + 1); });
}

TEST_CASE("a system_error comes back with its code and text") {
  for (const std::error_category* category :
       {&std::generic_category(), &std::system_category(), &std::iostream_category(), &std::future_category()}) {
    for (const std::system_error& error : {std::system_error(2, *category, "opening"), std::system_error(2, *category),
                                           std::system_error(2, *category, ""), std::system_error(-7, *category, "a: b: ")}) {
      comes_back(error);
      with<std::system_error>(round_trip(thrown(error)), [&](const std::system_error& back) { CHECK(back.code() == error.code()); });
    }
  }
}

TEST_CASE("a system_error of an unknown category comes back as remote_error") {
  const own_category own;
  comes_back_as_remote(thrown(std::system_error(1, own, "text")), "std::system_error", "text: own message");
}

TEST_CASE("a stream's failure comes back, the user's and the library's") {
  comes_back(std::ios_base::failure("text"));
  const auto error = caught([] {
    std::istringstream in;
    in.exceptions(std::ios_base::failbit);
    in.setstate(std::ios_base::failbit);
  });
  std::string text;
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& value) {
    text = value.what();
  }
  with<std::ios_base::failure>(round_trip(error), [&](const std::ios_base::failure& back) {
    CHECK(back.what() == text);
    CHECK(back.code() == std::io_errc::stream);
  });
}

TEST_CASE("a filesystem_error comes back with its paths and code") {
  namespace fs = std::filesystem;
  const std::error_code code = std::make_error_code(std::errc::no_such_file_or_directory);
  for (const fs::filesystem_error& error : {fs::filesystem_error("text", code), fs::filesystem_error("text", "/a/b", code),
                                            fs::filesystem_error("", "/a/b", "c d", code), fs::filesystem_error("a: b", "", "c", code)}) {
    comes_back(error);
    with<fs::filesystem_error>(round_trip(thrown(error)), [&](const fs::filesystem_error& back) {
      CHECK(back.path1() == error.path1());
      CHECK(back.path2() == error.path2());
      CHECK(back.code() == error.code());
    });
  }
}

TEST_CASE("a future_error comes back with its code") {
  comes_back(std::future_error(std::future_errc::broken_promise));
  with<std::future_error>(round_trip(thrown(std::future_error(std::future_errc::no_state))),
                          [](const std::future_error& back) { CHECK(back.code() == std::future_errc::no_state); });
}

TEST_CASE("the library's own errors come back") {
  comes_back(manyhands::error("error"));
  comes_back(manyhands::pool_broken("broken"));
  comes_back(manyhands::codec_error("codec"));
  comes_back(manyhands::task_timeout(7, std::chrono::milliseconds(1500)));
  with<manyhands::task_timeout>(round_trip(thrown(manyhands::task_timeout(7, std::chrono::nanoseconds(3)))),
                                [](const manyhands::task_timeout& back) {
                                  CHECK(back.index() == 7);
                                  CHECK(back.limit() == std::chrono::nanoseconds(3));
                                });
  comes_back(manyhands::cancelled("cancelled"));
  comes_back(manyhands::observer_error("observer"));
  comes_back(manyhands::checkpoint_error("checkpoint"));
  comes_back(manyhands::not_transportable("int*", "it is a pointer"));
  comes_back(remote_error("shop::lost", "a: b"));
  with<remote_error>(round_trip(thrown(remote_error("shop::lost", "text"))),
                     [](const remote_error& back) { CHECK(back.type_name() == "shop::lost"); });
  comes_back(manyhands::worker_lost(7, 3, 11, -1));
  with<manyhands::worker_lost>(round_trip(thrown(manyhands::worker_lost(7, 3, 0, 5))), [](const manyhands::worker_lost& back) {
    CHECK(back.index() == 7);
    CHECK(back.worker() == 3);
    CHECK(back.signal() == 0);
    CHECK(back.exit_code() == 5);
  });
}

TEST_CASE("an unknown type becomes remote_error, and never the base that it derives from") {
  comes_back_as_remote(thrown(shop::unknown("text")), "shop::unknown", "text");
  comes_back_as_remote(thrown(shop::no_text()), "shop::no_text", "");
}

TEST_CASE("what is thrown without being a std::exception becomes remote_error with its value") {
  comes_back_as_remote(thrown(42), "int", "42");
  comes_back_as_remote(thrown(-1L), "long", "-1");
  comes_back_as_remote(thrown(7U), "unsigned int", "7");
  comes_back_as_remote(thrown('x'), "char", "x");
  comes_back_as_remote(thrown(true), "bool", "true");
  comes_back_as_remote(caught([] { throw "literal"; }), "char const*", "literal");
  comes_back_as_remote(thrown(shop::silent()), "shop::silent", "an exception that is no std::exception");
  with<remote_error>(round_trip(thrown(std::string("text"))), [](const remote_error& back) {
    CHECK_THAT(back.type_name(), Contains("string"));
    CHECK_THAT(back.what(), Contains("text"));
  });
  comes_back_as_remote(caught([] { throw static_cast<const char*>(nullptr); }), "char const*", "");
}

TEST_CASE("a registered type comes back as itself, by its text") {
  register_exception<shop::sold_out>();
  register_exception<shop::sold_out>();
  comes_back(shop::sold_out("apples"));
  register_exception<shop::closed>();
  comes_back(shop::closed("on sunday"));
  register_exception<shop::final_one>();
  comes_back(shop::final_one("last"));
}

TEST_CASE("an exception that keeps a pointer to its text comes back with a text that stays") {
  register_exception<shop::keeps_pointer>();
  const std::string text = "a text that is too long to lie within the string itself";
  const std::exception_ptr first = round_trip(thrown(shop::keeps_pointer(text.c_str())));
  const std::exception_ptr second = round_trip(thrown(shop::keeps_pointer(text.c_str())));
  with<shop::keeps_pointer>(first, [&](const shop::keeps_pointer& back) {
    CHECK(back.what() == text);
    with<shop::keeps_pointer>(second, [&](const shop::keeps_pointer& other) { CHECK(back.text == other.text); });
  });
}

TEST_CASE("types of one name are told apart") {
  const auto one = [] {
    struct failure : std::runtime_error {
      using std::runtime_error::runtime_error;
    };
    register_exception<failure>();
    const auto back = round_trip(thrown(failure("one")));
    with<failure>(back, [](const failure& it) { CHECK(std::string(it.what()) == "one"); });
    return std::string(type_name<failure>());
  };
  const auto other = [] {
    struct failure {
      int code;
    };
    register_exception<failure>();
    const auto back = round_trip(thrown(failure{7}));
    with<failure>(back, [](const failure& it) { CHECK(it.code == 7); });
    return std::string(type_name<failure>());
  };
  for (int round = 0; round < 2; ++round) CHECK(one() == other());
}

TEST_CASE("a registered type comes back as itself, by its codec") {
  register_exception<shop::too_dear>();
  with<shop::too_dear>(round_trip(thrown(shop::too_dear(99, {"pears", "figs"}))), [](const shop::too_dear& back) {
    CHECK(back.price == 99);
    CHECK(back.items == std::vector<std::string>{"pears", "figs"});
    CHECK(std::string(back.what()) == "too dear: 99");
  });
}

TEST_CASE("any transportable type can be registered") {
  register_exception<shop::plain>();
  with<shop::plain>(round_trip(thrown(shop::plain{3, "three"})), [](const shop::plain& back) {
    CHECK(back.code == 3);
    CHECK(back.text == "three");
  });
  register_exception<unsigned short>();
  with<unsigned short>(round_trip(thrown(static_cast<unsigned short>(9))), [](unsigned short back) { CHECK(back == 9); });
}

TEST_CASE("a type may be registered after the exception was thrown, and a built-in type too") {
  const auto error = thrown(shop::late("late"));
  comes_back_as_remote(error, "shop::late", "late");
  register_exception<shop::late>();
  comes_back(shop::late("late"));
  register_exception<std::runtime_error>();
  comes_back(std::runtime_error("text"));
}

TEST_CASE("a type that only the sender has registered comes back as remote_error with its name") {
  auto bytes = saved(thrown(std::out_of_range("text")));
  const std::string_view known = "std::out_of_range";
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t at = text.find(known);
  REQUIRE(at != std::string::npos);
  std::memcpy(bytes.data() + at, "std::out_of_rangX", known.size());
  with<remote_error>(loaded(bytes), [](const remote_error& back) { CHECK(back.type_name() == "std::out_of_rangX"); });
}

TEST_CASE("types are registered from several threads at a time") {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      register_exception<shop::from_threads>();
      register_exception<shop::sold_out>();
      register_exception<shop::closed>();
      static_cast<void>(saved(thrown(shop::unknown("text"))));
    });
  }
  for (std::thread& thread : threads) thread.join();
  comes_back(shop::from_threads("text"));
}

TEST_CASE("an exception whose codec fails still brings its name and text") {
  register_exception<shop::never_saves>();
  comes_back_as_remote(thrown(shop::never_saves("text")), "shop::never_saves", "text");
  register_exception<shop::never_loads>();
  comes_back_as_remote(thrown(shop::never_loads("text")), "shop::never_loads", "text (it could not be rebuilt: not today)");
}

TEST_CASE("nested exceptions come back as a chain, each with its type") {
  const auto error = caught([] {
    try {
      try {
        throw shop::unknown("innermost");
      } catch (...) {
        std::throw_with_nested(std::out_of_range("middle"));
      }
    } catch (...) {
      std::throw_with_nested(std::system_error(2, std::generic_category(), "outermost"));
    }
  });
  const auto back = round_trip(error);
  try {
    std::rethrow_exception(back);
  } catch (const std::system_error& outer) {
    CHECK(outer.code() == std::error_code(2, std::generic_category()));
    CHECK_THAT(outer.what(), Contains("outermost"));
    try {
      std::rethrow_if_nested(outer);
      FAIL("nothing is nested");
    } catch (const std::out_of_range& middle) {
      CHECK(std::string(middle.what()) == "middle");
      try {
        std::rethrow_if_nested(middle);
        FAIL("nothing is nested");
      } catch (const remote_error& inner) {
        CHECK(inner.type_name() == "shop::unknown");
        CHECK(std::string(inner.what()) == "shop::unknown: innermost");
        CHECK_NOTHROW(std::rethrow_if_nested(inner));
      }
    }
  }
  // and once more: what came back can be sent on
  const auto type_of = [](const std::exception_ptr& pointer) {
    try {
      std::rethrow_exception(pointer);
    } catch (...) {
      return std::type_index(*abi::__cxa_current_exception_type());
    }
  };
  CHECK(type_of(round_trip(back)) == type_of(error));
}

TEST_CASE("an unknown type with another inside keeps its name and the other") {
  const auto error = caught([] {
    try {
      throw 5;
    } catch (...) {
      std::throw_with_nested(shop::unknown("outer"));
    }
  });
  try {
    std::rethrow_exception(round_trip(error));
  } catch (const remote_error& outer) {
    CHECK(outer.type_name() == "shop::unknown");
    CHECK_THROWS_WITH(std::rethrow_if_nested(outer), "int: 5");
  }
}

TEST_CASE("a registered type that holds another by itself comes back with its type") {
  register_exception<shop::with_inside>();
  const auto error = caught([] {
    try {
      throw 5;
    } catch (...) {
      throw shop::with_inside("outer");
    }
  });
  with<shop::with_inside>(round_trip(error), [](const shop::with_inside& back) { CHECK(std::string(back.what()) == "outer"); });
}

TEST_CASE("a final type that holds nothing is not confused by a chain around it") {
  register_exception<shop::final_one>();
  const auto error = caught([] {
    try {
      throw shop::final_one("inner");
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  });
  try {
    std::rethrow_exception(round_trip(error));
  } catch (const std::runtime_error& outer) {
    CHECK(std::string(outer.what()) == "outer");
    CHECK_THROWS_AS(std::rethrow_if_nested(outer), shop::final_one);
  }
}

TEST_CASE("a chain without end is cut, not followed") {
  std::exception_ptr error = thrown(std::runtime_error("first"));
  for (int i = 0; i < 1000; ++i) {
    error = caught([&] {
      try {
        std::rethrow_exception(error);
      } catch (...) {
        std::throw_with_nested(std::runtime_error("next"));
      }
    });
  }
  int depth = 0;
  for (std::exception_ptr at = round_trip(error); at != nullptr;) {
    ++depth;
    try {
      std::rethrow_exception(at);
    } catch (const std::nested_exception& value) {
      at = value.nested_ptr();
    } catch (...) {
      at = nullptr;
    }
  }
  CHECK(depth == manyhands::detail::deepest_nested_exception);
}

TEST_CASE("no exception at all is an error too") {
  with<remote_error>(round_trip(nullptr), [](const remote_error& back) { CHECK_THAT(back.what(), Contains("no exception")); });
}

TEST_CASE("an empty record stands for a lack of memory") {
  with<std::bad_alloc>(loaded({}), [](const std::bad_alloc&) {});
}

TEST_CASE("an exception is appended behind what is there") {
  writer out;
  out.put(5);
  save_exception(thrown(std::out_of_range("text")), out);
  reader in(out.bytes());
  CHECK(in.get<int>() == 5);
  with<std::out_of_range>(load_exception(in), [](const std::out_of_range&) {});
}

TEST_CASE("every cut of a record is an error that says so") {
  const auto bytes = saved(caught([] {
    try {
      throw std::filesystem::filesystem_error("text", "/a", "/b", std::make_error_code(std::errc::io_error));
    } catch (...) {
      std::throw_with_nested(std::out_of_range("outer"));
    }
  }));
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    with<manyhands::codec_error>(loaded(cut), [](const manyhands::codec_error& back) {
      CHECK_THAT(back.what(), Contains("a task's exception came back as bytes that are none"));
    });
  }
}

TEST_CASE("a record changed at random is always some exception") {
  register_exception<shop::too_dear>();
  const std::vector<std::exception_ptr> errors = {
      thrown(std::system_error(2, std::generic_category(), "text")),
      thrown(std::filesystem::filesystem_error("text", "/a", "/b", std::make_error_code(std::errc::io_error))),
      thrown(manyhands::worker_lost(1, 2, 3, 4)),
      thrown(shop::too_dear(5, {"a", "b"})),
      thrown(shop::unknown("text")),
      caught([] {
        try {
          throw 5;
        } catch (...) {
          std::throw_with_nested(std::out_of_range("outer"));
        }
      })};
  std::mt19937 random(11);
  for (const std::exception_ptr& error : errors) {
    const auto good = saved(error);
    for (int round = 0; round < 2000; ++round) {
      auto bytes = good;
      for (unsigned change = 0; change <= random() % 3; ++change) bytes[random() % bytes.size()] = std::byte(random() % 256);
      if (random() % 4 == 0) bytes.resize(random() % bytes.size());
      const std::exception_ptr back = loaded(bytes);
      if (!back) FAIL("no exception came back");
      static_cast<void>(saved(back));
    }
  }
}
