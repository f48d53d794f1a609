// What the caller gets when a task throws, and when its worker dies.

#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <ranges>
#include <stdexcept>
#include <string>

#include <manyhands.hpp>

using manyhands::Parallel, manyhands::delayed;

int half_of(int i) {
  if (i == 3 || i == 7) throw std::out_of_range(std::to_string(i) + " cannot be halved");
  return i / 2;
}

int risky(int i) {
  if (i == 2) std::abort();         // as a failed assert does
  if (i == 4) std::raise(SIGKILL);  // as the kernel does when memory runs out
  if (i == 6) std::_Exit(3);        // as a library that gives up does
  if (i == 8) throw std::runtime_error("an ordinary error");
  return i;
}

std::string story(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const manyhands::worker_lost& lost) {
    const bool killed = lost.signal() != 0;
    return "worker lost, task " + std::to_string(lost.index()) + (killed ? ", signal " : ", exit code ") +
           std::to_string(killed ? lost.signal() : lost.exit_code());
  } catch (const std::exception& other) {
    return other.what();
  }
}

int main() {
  // The call throws the task's own exception. Of several it is the one that a plain loop would have met first.
  for (const char* backend : {"sequential", "threads", "processes"}) {
    try {
      Parallel({.n_jobs = 2, .backend = backend})(std::views::iota(0, 10) | delayed(half_of));
    } catch (const std::out_of_range& error) {
      std::cout << backend << ": " << error.what() << '\n';
    }
  }

  // outcomes: every task's value or its error. A crash costs the one task that it struck.
  const Parallel workers({.n_jobs = 2, .backend = "processes"});
  for (const auto& one : workers.outcomes(std::views::iota(0, 10) | delayed(risky))) {
    std::cout << one.index() << ": " << (one ? "fine" : story(one.error())) << '\n';
  }

  // Without outcomes a crash is an exception, and the program goes on.
  try {
    workers(std::views::iota(0, 10) | delayed(risky));
  } catch (const manyhands::worker_lost& lost) {
    std::cout << "caught: task " << lost.index() << " was lost, signal " << lost.signal() << '\n';
  }
}
