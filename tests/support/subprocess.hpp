#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <utility>

namespace manyhands_test {

/// What became of a copy of the test program.
struct subprocess_end {
  int exit_code = -1;
  int signal = 0;
};

/// Runs a function in a copy of the test program, which may change there what belongs to the whole process: signal handlers, limits,
/// streams. The function returns whether all is well; then the exit code is 0. A copy that hangs is killed after a minute.
template <class Function>
subprocess_end in_subprocess(Function&& function) {
  std::fflush(stdout);
  std::cout.flush();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(60);
    int code = 1;
    try {
      code = std::forward<Function>(function)() ? 0 : 1;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "in_subprocess: %s\n", error.what());
    } catch (...) {
    }
    ::_exit(code);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0};
}

/// True where the function returns true in a copy of the test program.
template <class Function>
bool holds_in_subprocess(Function&& function) {
  return in_subprocess(std::forward<Function>(function)).exit_code == 0;
}

}  // namespace manyhands_test
