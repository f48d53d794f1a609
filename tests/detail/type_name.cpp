#include <manyhands/detail/type_name.hpp>

#include <string>
#include <vector>

#include <support/catch.hpp>

namespace somewhere {

struct thing {};
template <class T>
struct box {};

}  // namespace somewhere

using manyhands::detail::type_name;

TEST_CASE("a type's name is the one that a programmer writes") {
  CHECK(type_name<int>() == "int");
  CHECK(type_name<double>() == "double");
  CHECK(type_name<somewhere::thing>() == "somewhere::thing");
  CHECK(type_name<somewhere::box<somewhere::thing>>() == "somewhere::box<somewhere::thing>");
  CHECK(type_name<std::vector<int>>().find("std::vector<int") == 0);
  CHECK(type_name<std::string>().find("basic_string<char") != std::string::npos);
}

TEST_CASE("a type's name tells pointers and references apart") {
  CHECK(type_name<int>() != type_name<int*>());
  CHECK(type_name<int*>().find('*') != std::string::npos);
  CHECK(type_name<const int&>().find('&') != std::string::npos);
}

TEST_CASE("a type's name is known to the compiler") {
  STATIC_REQUIRE(manyhands::detail::type_name_view<int>() == "int");
  STATIC_REQUIRE(manyhands::detail::type_name_view<std::vector<int>>().size() > 10);
}
