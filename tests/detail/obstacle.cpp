#include <manyhands/detail/obstacle.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <manyhands/codec.hpp>

#include <support/catch.hpp>

namespace {

using Catch::Matchers::Contains;
using manyhands::detail::obstacle_of;

struct holder {
  int a;
  std::string b;
  char* c;
};
struct outer {
  int a;
  std::vector<holder> b;
};
struct refers {
  int& a;
};
struct good {
  int a;
  std::vector<good> b;
};
struct bad_tree {
  std::vector<bad_tree> kids;
  std::string_view name;
};
class closed {
 public:
  closed() = default;
  closed(const closed&) {}
};
struct base {
  virtual ~base() = default;
};
struct half {
  virtual ~half() = default;
};
struct incomplete;

}  // namespace

template <>
struct manyhands::codec<half> {
  static void save(const half&, writer&) {}
};

TEST_CASE("what travels has no obstacle") {
  CHECK(obstacle_of<int>().empty());
  CHECK(obstacle_of<good>().empty());
  CHECK(obstacle_of<std::map<std::string, good>>().empty());
}

TEST_CASE("an obstacle names its reason and a cure") {
  CHECK_THAT(obstacle_of<int*>(), Contains("pointer") && Contains("return a copy"));
  CHECK_THAT(obstacle_of<void (*)()>(), Contains("pointer"));
  CHECK_THAT(obstacle_of<int base::*>(), Contains("pointer"));
  CHECK_THAT(obstacle_of<int&>(), Contains("reference") && Contains("return a copy"));
  CHECK_THAT(obstacle_of<std::string_view>(), Contains("does not own") && Contains("std::string"));
  CHECK_THAT(obstacle_of<std::span<int>>(), Contains("does not own") && Contains("std::vector"));
  CHECK_THAT(obstacle_of<std::reference_wrapper<int>>(), Contains("does not own"));
  CHECK_THAT(obstacle_of<std::vector<int>::iterator>(), Contains("copy of the data"));
  CHECK_THAT(obstacle_of<std::shared_ptr<int>>(), Contains("shared") && Contains("unique_ptr"));
  CHECK_THAT(obstacle_of<std::unique_ptr<base>>(), Contains("derived") && Contains("specialise manyhands::codec"));
  CHECK_THAT(obstacle_of<std::unique_ptr<int[]>>(), Contains("array") && Contains("std::vector"));
  CHECK_THAT(obstacle_of<closed>(), Contains("no codec") && Contains("specialise manyhands::codec"));
  CHECK_THAT(obstacle_of<std::function<void()>>(), Contains("specialise manyhands::codec"));
  CHECK_THAT(obstacle_of<std::mutex>(), Contains("neither be moved nor copied"));
  CHECK_THAT(obstacle_of<refers>(), Contains("reference member"));
  CHECK_THAT(obstacle_of<half>(), Contains("load"));
  CHECK_THAT(obstacle_of<int[3]>(), Contains("std::array"));
  CHECK_FALSE(obstacle_of<void>().empty());
  CHECK_FALSE(obstacle_of<void()>().empty());
  CHECK_FALSE(obstacle_of<incomplete>().empty());
}

TEST_CASE("an obstacle inside an aggregate is named by the field's number and type") {
  CHECK_THAT(obstacle_of<holder>(), Contains("its field 3 is of type 'char") && Contains("it is a pointer"));
  CHECK_THAT(obstacle_of<outer>(), Contains("its field 2 is of type 'std::vector") && Contains("holder") &&
                                       Contains("its field 3 is of type 'char") && Contains("it is a pointer"));
  CHECK_THAT(obstacle_of<bad_tree>(), Contains("its field 2 is of type") && Contains("does not own"));
  CHECK_THAT((obstacle_of<std::map<int, int*>>()), Contains("a part of it is of type 'int") && Contains("it is a pointer"));
}
