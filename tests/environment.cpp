#include <manyhands/environment.hpp>

#include <stdlib.h>
#include <unistd.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <support/catch.hpp>

namespace {

using manyhands::detail::env_backend;
using manyhands::detail::env_max_cpu_count;
using manyhands::detail::env_n_jobs;

/// Sets a variable until the end of the scope.
class variable {
 public:
  variable(const char* name, const std::string& value) : name_(name) {
    if (const char* text = getenv(name)) before_ = text;
    setenv(name, value.c_str(), 1);
  }
  variable(const variable&) = delete;
  variable& operator=(const variable&) = delete;
  ~variable() {
    if (before_) {
      setenv(name_, before_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> before_ = std::nullopt;
};

template <class Read>
std::string refusal(Read read) {
  try {
    static_cast<void>(read());
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return "not refused";
}

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a variable that is not set, or set to nothing, asks for nothing") {
  for (const char* name : {"MANYHANDS_N_JOBS", "MANYHANDS_BACKEND", "MANYHANDS_MAX_CPU_COUNT"}) {
    const variable nothing(name, "");
    CHECK_FALSE(env_n_jobs().has_value());
    CHECK_FALSE(env_backend().has_value());
    CHECK_FALSE(env_max_cpu_count().has_value());
    unsetenv(name);
    CHECK_FALSE(env_n_jobs().has_value());
    CHECK_FALSE(env_backend().has_value());
    CHECK_FALSE(env_max_cpu_count().has_value());
  }
}

TEST_CASE("MANYHANDS_N_JOBS takes numbers of both signs") {
  for (const int n : {1, 4, -1, -2, 2147483647, -2147483647 - 1}) {
    const variable set("MANYHANDS_N_JOBS", std::to_string(n));
    REQUIRE(env_n_jobs().has_value());
    CHECK_FALSE(env_n_jobs()->automatic);
    CHECK(env_n_jobs()->n == n);
  }
}

TEST_CASE("MANYHANDS_N_JOBS takes auto") {
  const variable set("MANYHANDS_N_JOBS", "auto");
  REQUIRE(env_n_jobs().has_value());
  CHECK(env_n_jobs()->automatic);
}

TEST_CASE("a bad MANYHANDS_N_JOBS is refused with its name, its value and the cure") {
  for (const char* value :
       {"0", "-0", "abc", "3x", "x3", " 3", "3 ", "+3", "3.5", "0x4", "AUTO", "auto ", "-", "2147483648", "99999999999999999999"}) {
    const variable set("MANYHANDS_N_JOBS", value);
    const std::string text = refusal(env_n_jobs);
    INFO(text);
    CHECK(mentions(text, "MANYHANDS_N_JOBS"));
    CHECK(mentions(text, "'" + std::string(value) + "'"));
    CHECK(mentions(text, "auto"));
    CHECK(mentions(text, "other than 0"));
  }
}

TEST_CASE("MANYHANDS_BACKEND is taken as it is") {
  const variable set("MANYHANDS_BACKEND", "no such backend");
  CHECK(env_backend() == "no such backend");
}

TEST_CASE("MANYHANDS_MAX_CPU_COUNT takes numbers above 0") {
  for (const int n : {1, 7, 2147483647}) {
    const variable set("MANYHANDS_MAX_CPU_COUNT", std::to_string(n));
    CHECK(env_max_cpu_count() == n);
  }
}

TEST_CASE("a bad MANYHANDS_MAX_CPU_COUNT is refused with its name, its value and the cure") {
  for (const char* value : {"0", "-1", "auto", "abc", "3x", " 3", "1.5", "2147483648", "-99999999999999999999"}) {
    const variable set("MANYHANDS_MAX_CPU_COUNT", value);
    const std::string text = refusal(env_max_cpu_count);
    INFO(text);
    CHECK(mentions(text, "MANYHANDS_MAX_CPU_COUNT"));
    CHECK(mentions(text, "'" + std::string(value) + "'"));
    CHECK(mentions(text, "at least 1"));
  }
}

TEST_CASE("variables are read anew each time") {
  const variable first("MANYHANDS_MAX_CPU_COUNT", "3");
  CHECK(env_max_cpu_count() == 3);
  const variable second("MANYHANDS_MAX_CPU_COUNT", "5");
  CHECK(env_max_cpu_count() == 5);
}

TEST_CASE("a variable is seen however it came into the environment, and when it went") {
  const auto is_seen = [] { return env_backend() == std::optional<std::string>("threads"); };
  static char text[] = "MANYHANDS_BACKEND=threads";
  unsetenv("MANYHANDS_BACKEND");
  CHECK_FALSE(env_backend().has_value());

  putenv(text);
  CHECK(is_seen());
  unsetenv("MANYHANDS_BACKEND");
  CHECK_FALSE(env_backend().has_value());

  char*& first = environ[0];
  char* const before = std::exchange(first, text);
  CHECK(is_seen());
  first = before;
  CHECK_FALSE(env_backend().has_value());

  char longer[] = "MANYHANDS_BACKENDS=loky";
  char shorter[] = "MANYHANDS_BACK=loky";
  char unset[] = "MANYHANDS_BACKEND";
  char* mine[] = {longer, shorter, unset, nullptr, nullptr};
  char** const all = std::exchange(environ, mine);
  CHECK_FALSE(env_backend().has_value());
  mine[3] = text;
  CHECK(is_seen());
  environ = nullptr;
  CHECK_FALSE(env_backend().has_value());
  environ = all;
}
