// Traces and reports, on every backend.

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>
#include <support/files.hpp>

namespace {

using namespace manyhands;
using manyhands_test::contents;
using manyhands_test::count_of;
using manyhands_test::temporary_folder;

struct setting {
  const char* backend;
  int n_jobs;
};
const std::vector<setting> settings{{"sequential", 1}, {"threads", 1}, {"threads", 3}, {"processes", 2}};

int twice(int i) { return 2 * i; }

bool is_json(const std::string& path) {
  return !manyhands_test::has_python() || manyhands_test::python_agrees("import json, sys; json.load(open(sys.argv[1]))", path);
}

TEST_CASE("every task is in the trace and in the report, failed ones with their errors") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const temporary_folder folder;
    const std::string trace = folder / "trace.json";
    const std::string report = folder / "report.html";
    const auto outcomes = Parallel({.n_jobs = n_jobs, .backend = backend, .description = "a call", .trace = trace, .report = report})
                              .outcomes(std::views::iota(0, 100) | delayed([](int i) {
                                          if (i == 42) throw std::out_of_range("forty-two");
                                          return i;
                                        }));
    CHECK(outcomes.size() == 100);
    const std::string events = contents(trace);
    CHECK(is_json(trace));
    CHECK(count_of(events, "\"ph\":\"X\"") == 100);
    CHECK(count_of(events, "\"error\":\"std::out_of_range: forty-two\"") == 1);
    CHECK(count_of(events, "a call") == 1);
    const std::string page = contents(report);
    CHECK(count_of(page, "<h1>a call</h1>") == 1);
    CHECK(count_of(page, "<strong>100</strong>") == 1);
    CHECK(count_of(page, "std::out_of_range: forty-two") == 1);
    CHECK(page.find(backend) != std::string::npos);
    CHECK(folder.files() == 2);
  }
}

TEST_CASE("a call that fails leaves a whole trace and a report that says so") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const temporary_folder folder;
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .trace = folder / "trace.json", .report = folder / "report.html"});
    CHECK_THROWS_AS(par(std::views::iota(0, 20) | delayed([](int i) {
                          if (i == 7) throw std::out_of_range("seven");
                          return i;
                        })),
                    std::out_of_range);
    CHECK(is_json(folder / "trace.json"));
    CHECK(count_of(contents(folder / "trace.json"), "call failed") == 1);
    CHECK(count_of(contents(folder / "report.html"), "call failed") == 1);
  }
}

TEST_CASE("a worker that is lost is in both") {
  const temporary_folder folder;
  const auto outcomes = Parallel({.n_jobs = 2, .backend = "processes", .trace = folder / "trace.json", .report = folder / "report.html"})
                            .outcomes(std::views::iota(0, 100) | delayed([](int i) {
                                        if (i == 3) ::_exit(5);
                                        std::this_thread::sleep_for(std::chrono::milliseconds(2));
                                        return i;
                                      }));
  CHECK(outcomes.size() == 100);
  const std::string events = contents(folder / "trace.json");
  CHECK(is_json(folder / "trace.json"));
  CHECK(count_of(events, "\"worker lost\"") == 1);
  CHECK(count_of(events, "\"worker replaced\"") == 1);
  CHECK(count_of(events, "\"call ended\"") == 1);  // once, not once a worker
  CHECK(count_of(contents(folder / "report.html"), "<title>worker lost at ") == 1);
}

TEST_CASE("a trace or report that cannot be written is an error after the call") {
  for (const auto& [backend, n_jobs] : settings) {
    for (const char* const path : {"/dev/full", "/no/such/folder/file"}) {
      for (const bool traced : {true, false}) {
        CAPTURE(backend, n_jobs, path, traced);
        const temporary_folder folder;
        // Finished tasks leave a mark each, in processes, too.
        const auto tasks = std::views::iota(0, 20) | delayed([&folder](int i) {
                             std::ofstream(folder / ("task" + std::to_string(i)).c_str()) << i;
                             return i;
                           });
        options wanted{.n_jobs = n_jobs, .backend = backend};
        (traced ? wanted.trace : wanted.report) = path;
        const Parallel par(wanted);
        CHECK_THROWS_AS(par(tasks), observer_error);
        CHECK(folder.files() == 20);
        CHECK_THROWS_WITH(par(tasks),
                          Catch::StartsWith(std::string(traced ? "trace" : "report") + " \"" + path + "\" could not be written: "));
      }
    }
  }
}

TEST_CASE("the error of the call comes first") {
  const Parallel par({.n_jobs = 2, .report = "/dev/full"});
  CHECK_THROWS_AS(par(std::views::iota(0, 5) | delayed([](int) -> int { throw std::out_of_range("first"); })), std::out_of_range);
}

TEST_CASE("a scope's path is for its calls, the last of which has it, and not for those inside their tasks") {
  const temporary_folder folder;
  {
    const parallel_config guard({.trace = folder / "trace.json", .report = folder / "report.html"});
    const auto inner = [](int) { return Parallel({.n_jobs = 2, .description = "inner"})(std::views::iota(0, 5) | delayed(twice)).size(); };
    Parallel({.n_jobs = 2, .description = "first"})(std::views::iota(0, 3) | delayed(inner));
    Parallel({.n_jobs = 2, .description = "last"})(std::views::iota(0, 4) | delayed(inner));
  }
  CHECK(is_json(folder / "trace.json"));
  const std::string events = contents(folder / "trace.json");
  CHECK(count_of(events, "\"last\"") == 1);
  CHECK(count_of(events, "\"first\"") == 0);
  CHECK(count_of(events, "\"inner\"") == 0);
  CHECK(count_of(events, "\"ph\":\"X\"") == 4);
  CHECK(count_of(contents(folder / "report.html"), "<h1>last</h1>") == 1);
}

TEST_CASE("calls at the same time with the same path leave one whole trace and one whole report") {
  const temporary_folder folder;
  const Parallel par({.n_jobs = 2, .trace = folder / "trace.json", .report = folder / "report.html"});
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int call = 0; call < 5; ++call) static_cast<void>(par(std::views::iota(0, 50) | delayed(twice)));
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(is_json(folder / "trace.json"));
  CHECK(count_of(contents(folder / "trace.json"), "\"ph\":\"X\"") == 50);
  CHECK(count_of(contents(folder / "report.html"), "</html>") == 1);
  CHECK(folder.files() == 2);
}

TEST_CASE("nothing runs, and there is a page to say so") {
  const temporary_folder folder;
  CHECK(Parallel({.n_jobs = 2, .trace = folder / "trace.json", .report = folder / "report.html"})(std::vector<int>() | delayed(twice))
            .empty());
  CHECK(is_json(folder / "trace.json"));
  CHECK(count_of(contents(folder / "report.html"), "<strong>0</strong>") > 0);
}

}  // namespace
