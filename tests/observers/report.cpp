#include <manyhands/observers/report.hpp>

#include <chrono>
#include <cstddef>
#include <string>

#include <manyhands/errors.hpp>
#include <support/catch.hpp>
#include <support/files.hpp>

namespace {

using namespace std::chrono_literals;
using manyhands::observed_call;
using manyhands::report_observer;
using manyhands_test::contents;
using manyhands_test::temporary_folder;

TEST_CASE("a page is written when the call has ended, and replaces the one before") {
  const temporary_folder folder;
  const std::string path = folder / "report.html";
  report_observer watch(path);
  for (const char* const name : {"first call", "second call"}) {
    const std::string before = contents(path);
    const observed_call call{.description = name, .tasks = 1, .begin = observed_call::clock::now()};
    watch.call_begun(call);
    watch.input_ended(call, 1);
    watch.task_finished(call, {.index = 0, .begin = call.begin, .end = call.begin + 1ms});
    CHECK(contents(path) == before);
    watch.call_ended(call, nullptr);
    CHECK(contents(path).find("<h1>" + std::string(name) + "</h1>") != std::string::npos);
    CHECK(contents(path).ends_with("</html>\n"));
  }
  CHECK(folder.files() == 1);
}

TEST_CASE("a page that cannot be written is an error") {
  const observed_call call{.begin = observed_call::clock::now()};
  for (const char* const path : {"/dev/full", "/no/such/folder/report.html"}) {
    report_observer watch(path);
    watch.call_begun(call);
    CHECK_THROWS_AS(watch.call_ended(call, nullptr), manyhands::observer_error);
  }
}

}  // namespace
