#include <manyhands/detail/packed_call.hpp>

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <manyhands/detail/slots.hpp>
#include <manyhands/scope.hpp>
#include <support/catch.hpp>

namespace {

using manyhands::codec_error;
using manyhands::delayed;
using manyhands::not_transportable;
using manyhands::options;
using manyhands::reader;
using manyhands::task_result;
using manyhands::worker_scope;
using manyhands::writer;
using manyhands::detail::call_facts;
using manyhands::detail::input_for;
using manyhands::detail::outcome_results;
using manyhands::detail::packed_call;
using manyhands::detail::range_slots;
using manyhands::detail::save_call;
using manyhands::detail::scope_codec;
using manyhands::detail::scope_frame;
using manyhands::detail::slot_jobs;
using manyhands::detail::value_results;

/// The near side of a call over a range.
template <class Range, bool outcomes = false>
struct near_call {
  using input = input_for<Range>;
  using result = typename input::result_type;
  using results = std::conditional_t<outcomes, outcome_results<result>, value_results<result, !input::reads_ahead>>;

  explicit near_call(Range& range, const call_facts& facts) : slots(range), work(facts, slots, false) {
    while (!work.complete() && work.read(100)) {
    }
  }

  range_slots<input, results> slots;
  slot_jobs<range_slots<input, results>> work;
};

writer saved(const manyhands::jobs& work) {
  writer out;
  save_call(work, out);
  return out;
}

/// Packs all tasks, runs them in another place that knows only the bytes, and takes the results home.
void send(manyhands::jobs& work) {
  const writer call = saved(work);
  reader in(call.bytes());
  packed_call far(in);
  CHECK(in.remaining() == 0);
  const worker_scope scope(far, 1);
  for (std::size_t index = 0; index != work.known() && index < far.limit(); ++index) {
    writer task;
    work.pack(index, task);
    writer result;
    const task_result what = far.execute(index, task.bytes(), result);
    reader back(result.bytes());
    if (what == task_result::value) {
      work.load(index, back);
    } else {
      work.load_error(index, back);
    }
  }
}

int initialized = 0;
void initialize() { ++initialized; }
void initialize_quietly() noexcept { ++initialized; }

}  // namespace

TEST_CASE("a call's tasks run of their bytes, and know who they are") {
  const std::vector<int> numbers{10, 20, 30};
  auto tasks =
      numbers | delayed([](int x) { return x + static_cast<int>(manyhands::this_task::index()) * 1000 + manyhands::this_worker::index(); });
  const call_facts facts;
  near_call call(tasks, facts);
  send(call.work);
  CHECK(call.slots.take() == std::vector<int>{11, 1021, 2031});
}

TEST_CASE("a task's seed and attempt are those of the call") {
  const std::vector<int> numbers{0, 1};
  auto tasks = numbers | delayed([](int) {
                 if (manyhands::this_task::attempt() < 2) throw std::runtime_error("not yet");
                 return manyhands::this_task::seed();
               });
  const call_facts facts{.seed = 77, .retries = 2};
  near_call call(tasks, facts);
  send(call.work);
  CHECK(call.slots.take() == std::vector<std::uint64_t>{manyhands::detail::mixed(77, 0), manyhands::detail::mixed(77, 1)});
}

TEST_CASE("an error ends the far side's call where one is enough, and not where all are wanted") {
  const std::vector<int> numbers{0, 1, 2};
  auto tasks = numbers | delayed([](int x) -> int { return x == 1 ? throw std::out_of_range("one") : x; });
  const call_facts facts;
  near_call call(tasks, facts);
  send(call.work);
  CHECK_THROWS_AS(call.work.rethrow(), std::out_of_range);
  near_call<decltype(tasks), true> all(tasks, facts);
  send(all.work);
  const auto outcomes = all.slots.take();
  CHECK(outcomes[0].value() == 0);
  CHECK_THROWS_AS(outcomes[1].value(), std::out_of_range);
  CHECK(outcomes[2].value() == 2);
}

TEST_CASE("a task that cannot be packed fails with the reason, and no other does") {
  std::vector<int (*)()> functions{[] { return 1; }, nullptr, [] { return 3; }};
  const call_facts facts;
  near_call<decltype(functions), true> call(functions, facts);
  send(call.work);
  const auto outcomes = call.slots.take();
  CHECK(outcomes[0].value() == 1);
  CHECK_THROWS_WITH(outcomes[1].value(), Catch::Matchers::Contains("null"));
  CHECK(outcomes[2].value() == 3);
}

TEST_CASE("rubbish in the place of a task is that task's error") {
  const std::vector<int> numbers{0};
  auto tasks = numbers | delayed([](int x) { return x; });
  const call_facts facts;
  near_call<decltype(tasks), true> call(tasks, facts);
  const writer bytes = saved(call.work);
  reader in(bytes.bytes());
  packed_call far(in);
  const worker_scope scope(far, 0);
  writer result;
  CHECK(far.execute(0, {}, result) == task_result::error);
  reader back(result.bytes());
  CHECK_THROWS_AS(std::rethrow_exception(manyhands::detail::load_exception(back)), codec_error);
}

TEST_CASE("tasks see the scope of the call") {
  const std::vector<int> numbers{0};
  auto tasks = numbers | delayed([](int) {
                 const options& scope = manyhands::detail::scoped();
                 return std::to_string(scope.n_jobs.value_or(-1)) + scope.backend.name() + std::to_string(scope.seed.value_or(0));
               });
  const scope_frame frame{{.n_jobs = 3, .backend = "sequential", .seed = 5}};
  const call_facts facts{.scope = &frame};
  near_call call(tasks, facts);
  send(call.work);
  CHECK(call.slots.take() == std::vector<std::string>{"3sequential5"});
}

TEST_CASE("every option that matters elsewhere travels, and one that is not set stays so") {
  const options all{.n_jobs = -2,
                    .backend = "threads",
                    .prefer = manyhands::prefer::processes,
                    .require = manyhands::require::shared_memory,
                    .batch_size = 7,
                    .pre_dispatch = "3*n_jobs",
                    .timeout = std::chrono::seconds(3),
                    .retries = 4,
                    .inner_max_num_threads = 5,
                    .max_tasks_per_worker = 6,
                    .memory_limit = 1'000'000,
                    .initializer = &initialize,
                    .pin = manyhands::pin::cores,
                    .description = "what",
                    .seed = 8};
  writer out;
  scope_codec::save(all, out);
  reader in(out.bytes());
  const options back = scope_codec::load(in);
  CHECK(in.remaining() == 0);
  CHECK(back.n_jobs == -2);
  CHECK(back.backend.name() == "threads");
  CHECK(back.prefer == manyhands::prefer::processes);
  CHECK(back.require == manyhands::require::shared_memory);
  CHECK(back.batch_size->count() == 7);
  CHECK(back.pre_dispatch->batches(2) == 6);
  CHECK(back.timeout == std::chrono::seconds(3));
  CHECK(back.retries == 4);
  CHECK(back.inner_max_num_threads == 5);
  CHECK(back.max_tasks_per_worker == 6);
  CHECK(back.memory_limit == 1'000'000);
  CHECK(back.pin == manyhands::pin::cores);
  CHECK(back.description == "what");
  CHECK(back.seed == 8);
  initialized = 0;
  back.initializer();
  CHECK(initialized == 1);

  writer empty;
  scope_codec::save({}, empty);
  reader nothing(empty.bytes());
  const options none = scope_codec::load(nothing);
  CHECK_FALSE(none.n_jobs.has_value());
  CHECK_FALSE(none.backend.has_value());
  CHECK_FALSE(none.batch_size.has_value());
  CHECK_FALSE(none.initializer);
  CHECK_FALSE(none.seed.has_value());
  reader cut(empty.bytes().first(20));
  CHECK_THROWS_AS(scope_codec::load(cut), codec_error);
}

TEST_CASE("an initializer travels if it is a plain function") {
  const std::vector<int> numbers{0};
  auto tasks = numbers | delayed([](int x) { return x; });
  for (const std::function<void()>& initializer :
       {std::function<void()>(&initialize), std::function<void()>(&initialize_quietly), std::function<void()>(+[] { ++initialized; })}) {
    const call_facts facts{.initializer = initializer};
    near_call call(tasks, facts);
    initialized = 0;
    send(call.work);
    CHECK(initialized == 1);
  }
  const call_facts facts{.initializer = [] { ++initialized; }};
  near_call call(tasks, facts);
  writer out;
  CHECK_THROWS_WITH(save_call(call.work, out), Catch::Matchers::Contains("write `+` before a lambda"));
  CHECK_THROWS_AS(save_call(call.work, out), not_transportable);
}

TEST_CASE("an initializer that throws is known on the far side") {
  const std::vector<int> numbers{0};
  auto tasks = numbers | delayed([](int x) { return x; });
  const call_facts facts{.initializer = +[] { throw std::domain_error("no"); }};
  near_call call(tasks, facts);
  const writer bytes = saved(call.work);
  reader in(bytes.bytes());
  packed_call far(in);
  const worker_scope scope(far, 0);
  REQUIRE(far.aborted() != nullptr);
  CHECK_THROWS_AS(std::rethrow_exception(far.aborted()), std::domain_error);
  CHECK(far.limit() == 0);
}

TEST_CASE("a call whose tasks cannot travel is refused by name") {
  int captured = 0;
  const std::vector<int> numbers{0};
  auto tasks = numbers | delayed([&captured](int x) { return x + captured; });
  const call_facts facts;
  near_call call(tasks, facts);
  writer out;
  CHECK_THROWS_WITH(save_call(call.work, out), Catch::Matchers::Contains("lambda"));
  CHECK_THROWS_AS(save_call(call.work, out), not_transportable);
}

// Not of itself: run by the next one, in a process that shares nothing with it but the program.
TEST_CASE("a packed call is run elsewhere", "[.elsewhere]") {
  const char* const text = std::getenv("MANYHANDS_TEST_PACKED");
  REQUIRE(text != nullptr);
  std::vector<std::byte> bytes;
  for (std::string_view rest = text; rest.size() >= 2; rest.remove_prefix(2)) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(rest.substr(0, 2)), nullptr, 16)));
  }
  reader in(bytes);
  packed_call far(in);
  const worker_scope scope(far, 0);
  writer result;
  REQUIRE(far.execute(0, in.take(in.remaining()), result) == task_result::value);
  reader back(result.bytes());
  std::printf("elsewhere: %s\n", back.get<std::string>().c_str());
}

TEST_CASE("a task runs in another process of the same program, whose memory lies elsewhere") {
  using function = std::string (*)(const std::string&);
  const function shout = [](const std::string& text) { return text + "!"; };
  std::vector tasks{delayed(shout)(std::string("hello"))};
  const call_facts facts;
  near_call call(tasks, facts);
  writer out;
  save_call(call.work, out);
  call.work.pack(0, out);
  std::string text;
  for (const std::byte each : out.bytes()) {
    constexpr std::string_view digits = "0123456789abcdef";
    text += digits[static_cast<unsigned>(each) / 16];
    text += digits[static_cast<unsigned>(each) % 16];
  }
  const std::string self = std::to_string(::getpid());
  const std::string command = "MANYHANDS_TEST_PACKED=" + text + " /proc/" + self + "/exe '[.elsewhere]' 2>&1";
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string output;
  for (int letter = 0; (letter = std::fgetc(pipe)) != EOF;) output += static_cast<char>(letter);
  CHECK(::pclose(pipe) == 0);
  CHECK(output.find("elsewhere: hello!") != std::string::npos);
}
