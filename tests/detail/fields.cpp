#include <manyhands/detail/fields.hpp>

#include <string>
#include <type_traits>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::detail::fields_of;
using manyhands::detail::types;
using manyhands::detail::with_fields;

struct empty {};
struct two {
  int a;
  std::string b;
};
struct constants {
  const int a;
  const std::string b;
};
struct const_reference {
  const int& a;
  int b;
};
struct array_of_arrays {
  int a[2][3];
  std::string b[2];
  int c;
};
struct bits {
  unsigned a : 3;
  unsigned b : 5;
};
struct of_32 {
  int a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7, c0, c1, c2, c3, c4, c5, c6, c7, d0, d1, d2, d3, d4, d5, d6, d7;
};

struct addresses {
  template <class... Fields>
  std::vector<const void*> operator()(const std::remove_cv_t<Fields>&... fields) const {
    return {static_cast<const void*>(&fields)...};
  }
};
struct sum {
  template <class... Fields>
  int operator()(const Fields&... fields) const {
    return (0 + ... + static_cast<int>(fields));
  }
};

static_assert(std::is_same_v<fields_of<empty>, types<>>);
static_assert(std::is_same_v<fields_of<two>, types<int, std::string>>);
static_assert(std::is_same_v<fields_of<constants>, types<int, std::string>>);
static_assert(std::is_same_v<fields_of<const_reference>, types<const int&, int>>);
static_assert(std::is_same_v<fields_of<array_of_arrays>, types<int[2][3], std::string[2], int>>);
static_assert(std::is_same_v<fields_of<bits>, types<unsigned, unsigned>>);

}  // namespace

TEST_CASE("the fields of an aggregate are seen where they lie, in order") {
  const two value{1, "one"};
  CHECK(with_fields(value, addresses()) == std::vector<const void*>{&value.a, &value.b});
  const array_of_arrays arrays{};
  CHECK(with_fields(arrays, addresses()) == std::vector<const void*>{&arrays.a, &arrays.b, &arrays.c});
}

TEST_CASE("an aggregate without fields has none to see") {
  const empty value{};
  CHECK(with_fields(value, addresses()).empty());
}

TEST_CASE("bit-fields are seen by value") {
  const bits value{3, 17};
  CHECK(with_fields(value, sum()) == 20);
}

TEST_CASE("as many as 32 fields are seen") {
  of_32 value{};
  value.a0 = 1;
  value.d7 = 2;
  CHECK(with_fields(value, sum()) == 3);
  CHECK(with_fields(value, addresses()).size() == 32);
}
