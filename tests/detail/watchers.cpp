#include <manyhands/detail/watchers.hpp>

#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include <manyhands/backends/sequential.hpp>
#include <support/catch.hpp>

namespace {

using manyhands::observed_call;
using manyhands::observer;
using manyhands::options;
using manyhands::plan;
using manyhands::sequential_backend;
using manyhands::detail::call_facts;
using manyhands::detail::class_name;
using manyhands::detail::here;
using manyhands::detail::is_unobserved;
using manyhands::detail::path_for;
using manyhands::detail::place;
using manyhands::detail::watchers;

/// Makes the calling thread look as if it ran a task of such a call.
class inside {
 public:
  explicit inside(const call_facts& call) : outer_(here.call) { here.call = &call; }
  inside(const inside&) = delete;
  inside& operator=(const inside&) = delete;
  ~inside() { here.call = outer_; }

 private:
  const call_facts* outer_;
};

}  // namespace

TEST_CASE("a class is named as its author wrote it") {
  CHECK(class_name(sequential_backend()) == "sequential_backend");
  CHECK(class_name(std::string()) == "string");
}

TEST_CASE("nobody watches: no observation") {
  const sequential_backend who;
  const plan how;
  CHECK(watchers({}, {}, who, how, 3, nullptr).get() == nullptr);
}

TEST_CASE("a call's own observer goes before its scope's, and is told what call it is") {
  class asks final : public observer {
   public:
    observed_call seen;
    std::string backend;
    void call_begun(const observed_call& call) override {
      seen = call;
      backend = call.backend;
    }
  };
  const auto own = std::make_shared<asks>();
  const auto scopes = std::make_shared<asks>();
  options mine, around;
  mine.observer = own;
  mine.n_jobs = -2;
  around.observer = scopes;
  const sequential_backend who;
  const plan how{.workers = 3, .read_ahead = 6, .description = "a call"};
  {
    watchers both(mine, around, who, how, 3, nullptr);
    REQUIRE(both.get() != nullptr);
    both.get()->begin();
    both.get()->end(nullptr);
  }
  CHECK(own->backend == "sequential");
  CHECK(own->seen.n_jobs == -2);
  CHECK(own->seen.workers == 3);
  CHECK(own->seen.tasks == 3U);
  CHECK(own->seen.pre_dispatch == 6U);
  CHECK(scopes->backend.empty());
  watchers inherited({}, around, who, how, std::nullopt, nullptr);
  CHECK(inherited.get() != nullptr);
}

TEST_CASE("calls inside worker processes, and those below a call that nobody watches, are not watched") {
  CHECK_FALSE(is_unobserved());
  for (const auto& [where, unobserved, expected] :
       {std::tuple(place::threads, false, false), std::tuple(place::process, false, true), std::tuple(place::threads, true, true)}) {
    const call_facts around{.where = where, .unobserved = unobserved};
    const inside task(around);
    CHECK(is_unobserved() == expected);
  }
}

TEST_CASE("a scope's path is for the calls in it, not for those in their tasks") {
  const std::optional<manyhands::file_name> own("own"), scopes("scope's"), none;
  CHECK(path_for(own, scopes)->string() == "own");
  CHECK(path_for(none, scopes)->string() == "scope's");
  const call_facts around;
  const inside task(around);
  CHECK(path_for(own, scopes)->string() == "own");
  CHECK_FALSE(path_for(none, scopes).has_value());
}
