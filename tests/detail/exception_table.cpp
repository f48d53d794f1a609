#include <manyhands/detail/exception_table.hpp>

#include <set>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <typeinfo>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::detail::builtin_exceptions;
using manyhands::detail::exception_entry;
using manyhands::detail::exception_entry_of;
using manyhands::detail::find_exception;
using manyhands::detail::find_exception_type;
using manyhands::detail::list_exception;
using manyhands::detail::registered_exception_of;

struct first : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct second : std::runtime_error {
  using std::runtime_error::runtime_error;
};
template <int>
struct numbered : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <int N>
void list_numbered() {
  list_exception(registered_exception_of<numbered<N>>);
}

}  // namespace

TEST_CASE("no two built-in exceptions share a name or a type") {
  std::set<std::string_view> names;
  for (const exception_entry& entry : builtin_exceptions<>) {
    CHECK(names.insert(entry.name).second);
    CHECK(find_exception_type(*entry.type) == &entry);
  }
}

TEST_CASE("a type is found exactly, and once it is listed") {
  CHECK(find_exception_type(typeid(std::out_of_range)) != nullptr);
  CHECK(find_exception_type(typeid(first)) == nullptr);
  list_exception(registered_exception_of<first>);
  REQUIRE(find_exception_type(typeid(first)) != nullptr);
  CHECK(find_exception_type(typeid(first))->name == exception_entry_of<first>.name);
  CHECK(find_exception_type(typeid(second)) == nullptr);
  list_exception(registered_exception_of<second>);
  list_exception(registered_exception_of<first>);
  int listed = 0;
  find_exception([&](const exception_entry& entry) {
    if (*entry.type == typeid(first)) ++listed;
    return false;
  });
  CHECK(listed == 1);
}

TEST_CASE("types listed by several threads at a time are all found") {
  const std::vector<void (*)()> list = {list_numbered<0>, list_numbered<1>, list_numbered<2>, list_numbered<3>};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < list.size(); ++i) {
    threads.emplace_back([&list, i] {
      for (std::size_t k = 0; k < list.size(); ++k) list[(i + k) % list.size()]();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(find_exception_type(typeid(numbered<0>)) != nullptr);
  CHECK(find_exception_type(typeid(numbered<1>)) != nullptr);
  CHECK(find_exception_type(typeid(numbered<2>)) != nullptr);
  CHECK(find_exception_type(typeid(numbered<3>)) != nullptr);
}
