#include <manyhands/options.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>

#include <manyhands/backend.hpp>

#include <support/catch.hpp>

namespace {

using manyhands::automatic;
using manyhands::backend_choice;
using manyhands::batch_size;
using manyhands::options;

class idle_backend final : public manyhands::backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "idle"; }
  void run(manyhands::jobs&, const manyhands::plan&) override {}
};

class watcher final : public manyhands::observer {};

template <class Count>
std::string refusal(Count count) {
  try {
    static_cast<void>(batch_size(count));
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return "not refused";
}

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("options say nothing until they are told") {
  const options none;
  CHECK_FALSE(none.n_jobs);
  CHECK_FALSE(none.backend.has_value());
  CHECK_FALSE(none.prefer);
  CHECK_FALSE(none.require);
  CHECK_FALSE(none.batch_size);
  CHECK_FALSE(none.pre_dispatch);
  CHECK_FALSE(none.timeout);
  CHECK_FALSE(none.retries);
  CHECK_FALSE(none.inner_max_num_threads);
  CHECK_FALSE(none.max_tasks_per_worker);
  CHECK_FALSE(none.memory_limit);
  CHECK_FALSE(none.initializer);
  CHECK_FALSE(none.pin);
  CHECK_FALSE(none.stop);
  CHECK_FALSE(none.verbose);
  CHECK_FALSE(none.progress);
  CHECK_FALSE(none.description);
  CHECK_FALSE(none.trace);
  CHECK_FALSE(none.report);
  CHECK_FALSE(none.checkpoint);
  CHECK_FALSE(none.seed);
  CHECK(none.observer == nullptr);
}

TEST_CASE("all options can be named, in the order of the documentation") {
  using namespace std::chrono_literals;
  std::stop_source source;
  const options all{.n_jobs = 4,
                    .backend = "processes",
                    .prefer = manyhands::prefer::processes,
                    .require = manyhands::require::shared_memory,
                    .batch_size = 10,
                    .pre_dispatch = "3*n_jobs",
                    .timeout = 5s,
                    .retries = 2,
                    .inner_max_num_threads = 1,
                    .max_tasks_per_worker = 100,
                    .memory_limit = 1 << 20,
                    .initializer = [] {},
                    .pin = manyhands::pin::cores,
                    .stop = source.get_token(),
                    .verbose = 10,
                    .progress = true,
                    .description = "all of it",
                    .trace = "trace.json",
                    .report = "report.html",
                    .checkpoint = "journal",
                    .seed = 42,
                    .observer = std::make_shared<watcher>()};
  STATIC_REQUIRE(std::is_aggregate_v<options>);
  CHECK(all.n_jobs == 4);
  CHECK(all.backend.name() == "processes");
  CHECK(all.prefer == manyhands::prefer::processes);
  CHECK(all.require == manyhands::require::shared_memory);
  CHECK(all.batch_size->count() == 10);
  CHECK(all.pre_dispatch->batches(4) == 12);
  CHECK(all.timeout == 5s);
  CHECK(all.retries == 2);
  CHECK(all.inner_max_num_threads == 1);
  CHECK(all.max_tasks_per_worker == 100);
  CHECK(all.memory_limit == 1U << 20);
  CHECK(all.initializer);
  CHECK(all.pin == manyhands::pin::cores);
  CHECK(all.stop->stop_possible());
  CHECK(all.verbose == 10);
  CHECK(all.progress == true);
  CHECK(all.description == "all of it");
  CHECK(all.trace->string() == "trace.json");
  CHECK(all.report->string() == "report.html");
  CHECK(all.checkpoint->string() == "journal");
  CHECK(all.seed == 42U);
  CHECK(all.observer != nullptr);
}

TEST_CASE("options can be copied and changed") {
  options some{.n_jobs = 2, .description = "first"};
  options other = some;
  other.n_jobs = 3;
  CHECK(some.n_jobs == 2);
  CHECK(other.description == "first");
  some = std::move(other);
  CHECK(some.n_jobs == 3);
}

// --- batch_size

TEST_CASE("a batch size is a number, or automatic") {
  CHECK(batch_size(automatic).is_automatic());
  CHECK(batch_size(automatic).count() == 0);
  CHECK(batch_size(1).count() == 1);
  CHECK_FALSE(batch_size(1).is_automatic());
  CHECK(batch_size(std::size_t{7}).count() == 7);
  CHECK(batch_size(std::numeric_limits<std::size_t>::max()).count() == std::numeric_limits<std::size_t>::max());
  const options chosen{.batch_size = automatic};
  CHECK(chosen.batch_size->is_automatic());
}

TEST_CASE("a batch size below 1 is refused, with the value and the cure") {
  for (const int count : {0, -1, std::numeric_limits<int>::min()}) {
    const std::string text = refusal(count);
    CHECK(mentions(text, "batch_size is " + std::to_string(count) + ":"));
    CHECK(mentions(text, "at least 1"));
    CHECK(mentions(text, "manyhands::automatic"));
  }
  CHECK(mentions(refusal(std::size_t{0}), "batch_size is 0:"));
  CHECK(mentions(refusal(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808"));
  CHECK_THROWS_AS((options{.batch_size = 0}), std::invalid_argument);
}

TEST_CASE("a truth value, a fraction or a text is no batch size") {
  STATIC_REQUIRE(std::is_convertible_v<int, batch_size>);
  STATIC_REQUIRE(std::is_convertible_v<unsigned long, batch_size>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<batch_size, bool>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<batch_size, double>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<batch_size, const char*>);
  STATIC_REQUIRE_FALSE(std::is_assignable_v<std::optional<batch_size>&, bool>);
}

TEST_CASE("automatic is not made by empty braces") { STATIC_REQUIRE_FALSE(std::is_convertible_v<std::nullopt_t, batch_size>); }

// --- backend

TEST_CASE("a backend is chosen by a name of any kind") {
  const std::string text = "threads";
  const options literal{.backend = "threads"};
  const options string{.backend = text};
  const options view{.backend = std::string_view("threads, and more").substr(0, 7)};
  for (const options* one : {&literal, &string, &view}) {
    CHECK(one->backend.has_value());
    CHECK(one->backend.name() == "threads");
    CHECK(one->backend.object() == nullptr);
  }
}

TEST_CASE("a backend is chosen by an object of any backend class") {
  const auto mine = std::make_shared<idle_backend>();
  const std::shared_ptr<manyhands::backend> base = mine;
  const options derived{.backend = mine};
  const options general{.backend = base};
  for (const options* one : {&derived, &general}) {
    CHECK(one->backend.has_value());
    CHECK(one->backend.object() == base);
    CHECK(one->backend.name().empty());
  }
  CHECK(mine.use_count() == 4);
}

TEST_CASE("an empty name and a null object are a choice, which is refused when it is used") {
  CHECK(backend_choice("").has_value());
  CHECK(backend_choice(std::shared_ptr<idle_backend>()).has_value());
  CHECK(backend_choice(std::shared_ptr<manyhands::backend>()).has_value());
  CHECK_FALSE(backend_choice().has_value());
}

TEST_CASE("nothing else is a backend") {
  STATIC_REQUIRE_FALSE(std::is_constructible_v<backend_choice, int>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<backend_choice, bool>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<backend_choice, std::shared_ptr<int>>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<backend_choice, idle_backend*>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<backend_choice, std::unique_ptr<int>>);
}
