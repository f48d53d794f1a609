#include <manyhands/observer.hpp>

#include <memory>
#include <type_traits>

#include <support/catch.hpp>

namespace {

class counts_ends final : public manyhands::observer {
 public:
  explicit counts_ends(int& ends) : ends_(ends) {}
  ~counts_ends() override { ++ends_; }

 private:
  int& ends_;
};

}  // namespace

TEST_CASE("an observer ends through its base") {
  int ends = 0;
  std::unique_ptr<manyhands::observer>(std::make_unique<counts_ends>(ends)).reset();
  CHECK(ends == 1);
}

TEST_CASE("an observer has one place: it is neither copied nor moved") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<manyhands::observer>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<manyhands::observer>);
  STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<manyhands::observer>);
}
