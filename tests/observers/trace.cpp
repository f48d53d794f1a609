#include <manyhands/observers/trace.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>

#include <support/catch.hpp>
#include <support/files.hpp>

namespace {

using namespace std::chrono_literals;
using manyhands::observed_call;
using manyhands::observed_task;
using manyhands::trace_observer;
using manyhands_test::contents;
using manyhands_test::count_of;
using manyhands_test::temporary_folder;

observed_call a_call(int workers) {
  return {.description = "the \"call\"\n\\ \xFF", .backend = "threads", .workers = workers, .begin = observed_call::clock::now()};
}

TEST_CASE("a trace names its process and its rows, and has a slice for each attempt") {
  const temporary_folder folder;
  const std::string path = folder / "trace.json";
  const observed_call call = a_call(2);
  trace_observer watch(path);
  watch.call_begun(call);
  watch.task_finished(call, {.index = 0, .worker = 0, .begin = call.begin + 1500ns, .end = call.begin + 3001ns});
  watch.task_retried(call, {.index = 1,
                            .worker = 1,
                            .begin = call.begin,
                            .end = call.begin + 5us,
                            .error = std::make_exception_ptr(std::runtime_error("a \"b\"\t<c>"))});
  watch.task_failed(call, {.index = 1,
                           .worker = 1,
                           .attempt = 1,
                           .begin = call.begin + 1s,
                           .end = call.begin + 2s,
                           .error = std::make_exception_ptr(std::runtime_error("again"))});
  watch.task_failed(call, {.index = 2, .worker = -1, .begin = call.begin, .end = call.begin, .error = std::make_exception_ptr(1)});
  watch.worker_lost(call, 1);
  watch.worker_replaced(call, 1);
  watch.task_finished(call, {.index = 3, .worker = 7, .begin = call.begin, .end = call.begin + 1us});  // a row nobody expected
  watch.call_ended(call, std::make_exception_ptr(std::out_of_range("over")));

  const std::string text = contents(path);
  CHECK(count_of(text, "\"ph\":\"X\"") == 5);
  CHECK(count_of(text, "\"name\":\"thread_name\"") == 3);
  CHECK(count_of(text, "\"ts\":1.500,\"dur\":1.501") == 1);
  if (!manyhands_test::has_python()) return;
  CHECK(manyhands_test::python_agrees(R"(
import json, sys
events = json.load(open(sys.argv[1], encoding="utf-8"))
of = lambda ph: [e for e in events if e["ph"] == ph]
assert [e["args"]["name"] for e in of("M") if e["name"] == "process_name"] == ["the \"call\"\n\\ \ufffd"]
assert {e["tid"]: e["args"]["name"] for e in of("M") if e["name"] == "thread_name"} == {0: "worker 0", 1: "worker 1", 7: "worker 7"}
first, retried, failed, nowhere, late = of("X")
assert (first["ts"], first["dur"], first["tid"], first["args"]) == (1.5, 1.501, 0, {"index": 0, "attempt": 0})
assert retried["args"] == {"index": 1, "attempt": 0, "error": "std::runtime_error: a \"b\"\t<c>"}
assert failed["ts"] == 1e6 and failed["dur"] == 1e6 and failed["args"]["attempt"] == 1
assert nowhere["tid"] == 0 and late["tid"] == 7
assert [(e["name"], e["tid"]) for e in of("i")] == [("worker lost", 1), ("worker replaced", 1), ("call failed", 0)]
assert of("i")[2]["args"] == {"error": "std::out_of_range: over"}
assert len({e["pid"] for e in events}) == 1
)",
                                      path));
}

TEST_CASE("a row says which rank it is, and on which host") {
  const temporary_folder folder;
  const std::string path = folder / "trace.json";
  const observed_call call = a_call(1);
  trace_observer watch(path);
  watch.call_begun(call);
  watch.worker_joined(call, 0, "node7", 3);
  watch.worker_joined(call, 5, "node8", 4);
  watch.call_ended(call, nullptr);
  const std::string text = contents(path);
  CHECK(count_of(text, "\"worker 0 (rank 3 on node7)\"") == 1);
  CHECK(count_of(text, "\"worker 5 (rank 4 on node8)\"") == 1);
  // What is said last of a row counts.
  CHECK(text.find("\"worker 0\"") < text.find("\"worker 0 (rank"));
}

TEST_CASE("a trace is whole before the call has ended, and its writer holds little of it") {
  const temporary_folder folder;
  const std::string path = folder / "trace.json";
  const observed_call call = a_call(1);
  trace_observer watch(path);
  watch.call_begun(call);
  constexpr std::size_t tasks = 20'000;
  for (std::size_t i = 0; i < tasks; ++i)
    watch.task_finished(call, {.index = i, .begin = call.begin + 1us * i, .end = call.begin + 1us * (i + 1)});
  const std::string text = contents(path);
  CHECK(text.starts_with("[\n"));
  CHECK(text.ends_with("}\n]\n"));
  CHECK(count_of(text, "\"ph\":\"X\"") > tasks - 1000);
  if (manyhands_test::has_python()) CHECK(manyhands_test::python_agrees("import json, sys; json.load(open(sys.argv[1]))", path));
  watch.call_ended(call, nullptr);
  CHECK(count_of(contents(path), "\"ph\":\"X\"") == tasks);
}

TEST_CASE("a trace that waits for more does not wait for more than about a second") {
  const temporary_folder folder;
  const observed_call call = a_call(1);
  trace_observer watch(folder / "trace.json");
  watch.call_begun(call);
  watch.task_finished(call, {.index = 0, .begin = call.begin, .end = call.begin + 10ms});
  CHECK(count_of(contents(folder / "trace.json"), "\"ph\":\"X\"") == 0);
  watch.task_finished(call, {.index = 1, .begin = call.begin, .end = call.begin + 1100ms});
  CHECK(count_of(contents(folder / "trace.json"), "\"ph\":\"X\"") == 2);
}

TEST_CASE("an observer may watch one call after another: each writes the file anew") {
  const temporary_folder folder;
  trace_observer watch(folder / "trace.json");
  for (std::size_t call_number = 0; call_number < 2; ++call_number) {
    const observed_call call = a_call(1);
    watch.call_begun(call);
    watch.task_finished(call, {.index = call_number, .begin = call.begin, .end = call.begin + 1us});
    watch.call_ended(call, nullptr);
  }
  const std::string text = contents(folder / "trace.json");
  CHECK(count_of(text, "\"ph\":\"X\"") == 1);
  CHECK(count_of(text, "\"task 1\"") == 1);
  CHECK(count_of(text, "thread_name") == 1);
}

}  // namespace
