// How a program under mpirun ends when something goes wrong, or when it is left in one way or another: see support/mpi_faults.cpp.

#include <stdlib.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include <support/catch.hpp>

namespace {

using Catch::Matchers::Contains;

struct run {
  int code = -1;
  std::string output;
  std::chrono::duration<double> lasted{};
};

/// A line of shell, with LAUNCH, FAULTS and OTHER for the launcher, the program, and another build of it.
run shell(const std::string& line) {
  const std::string whole = "export LAUNCH='" MPI_LAUNCH "' FAULTS='" MPI_FAULTS "' OTHER='" MPI_OTHER "'; { " + line + "; } 2>&1";
  run result;
  const auto begin = std::chrono::steady_clock::now();
  std::FILE* const pipe = ::popen(whole.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> bytes{};
  for (std::size_t got = 0; (got = std::fread(bytes.data(), 1, bytes.size(), pipe)) > 0;) result.output.append(bytes.data(), got);
  const int status = ::pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.lasted = std::chrono::steady_clock::now() - begin;
  UNSCOPED_INFO(line << " gave " << result.code << " after " << result.lasted.count() << " s:\n" << result.output);
  return result;
}
run faults(int ranks, const std::string& arguments, const std::string& flags = "") {
  return shell("timeout -k 5 60 $LAUNCH " + std::to_string(ranks) + " " + flags + " $FAULTS " + arguments);
}

constexpr bool is_open_mpi = MPI_IS_OPEN_MPI;

class scratch {
 public:
  scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "manyhands_faults_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string file() const { return (path_ / "task").string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("whatever way main is left, its status is the run's, and no rank gets past the session") {
  for (const auto& [mode, code] :
       {std::pair("return 6", 6), std::pair("exit 5", 5), std::pair("_Exit 7", 7), std::pair("nothing else", 0)}) {
    const run ended = faults(3, std::string("'") + mode + "'");
    CHECK(ended.code == code);
    const std::string line = "rank 0 goes on with 2 workers";
    const auto first = ended.output.find(line);
    CHECK(first != std::string::npos);
    CHECK(ended.output.find(line, first + 1) == std::string::npos);
  }
  CHECK(faults(3, "throw").code != 0);
}

TEST_CASE("a program may have begun MPI itself, and may end it itself") {
  CHECK(faults(3, "'own init'").code == 0);
  const run ended = faults(3, "'own init, and end'");
  CHECK(ended.code == 0);
  const run single = faults(2, "single");
  CHECK(single.code != 0);
  if (is_open_mpi) CHECK_THAT(single.output, Contains("at least MPI_THREAD_SERIALIZED is needed"));
}

TEST_CASE("who asks for ranks without a session is told so") {
  const run ended = faults(1, "'no session'");
  CHECK(ended.code == 0);
  CHECK_THAT(ended.output, Contains("write `manyhands::mpi_session session;` as the first statement of main"));
}

TEST_CASE("a program without a launcher is one rank, and uses threads") {
  const run ended = shell("timeout 60 $FAULTS 'nothing else'");
  CHECK(ended.code == 0);
  CHECK_THAT(ended.output, Contains("rank 0 goes on with 0 workers"));
  CHECK_THAT(ended.output, Contains("all 60 tasks were settled"));
}

TEST_CASE("ranks that the launcher of another MPI started are refused") {
  const run ended = shell("OMPI_COMM_WORLD_SIZE=4 PMI_SIZE=4 timeout 60 $FAULTS 'nothing else'");
  // The one whose launcher it seems to be may refuse it earlier.
  CHECK(ended.code != 0);
  CHECK_THAT(ended.output, Contains("has started 4 processes") || Contains("PMI"));
}

TEST_CASE("another build of the program is refused by name") {
  const run ended = shell("timeout -k 5 60 $LAUNCH 2 $FAULTS 'nothing else' : -n 1 $OTHER 'nothing else'");
  CHECK(ended.code != 0);
  CHECK_THAT(ended.output, Contains("rank 2 on "));
  CHECK_THAT(ended.output, Contains("runs another build of the program, " MPI_OTHER));
  CHECK_THAT(ended.output, !Contains("goes on"));
}

TEST_CASE("a rank that is killed, or ends, in the middle of a task ends the run") {
  for (const char* mode : {"kill", "crash", "exit", "_exit"}) {
    const run ended = faults(3, mode);
    // MPICH's launcher ends the run, too, where a rank calls _exit(0), but with that rank's status.
    if (is_open_mpi || std::string(mode) != "_exit") CHECK(ended.code != 0);
    CHECK(ended.code != 124);
    CHECK(ended.lasted.count() < 20);
    // The call that came before has ended, and this one has not.
    const auto first = ended.output.find("all 60 tasks were settled");
    CHECK(first != std::string::npos);
    CHECK(ended.output.find("all 60 tasks were settled", first + 1) == std::string::npos);
  }
  CHECK_THAT(faults(3, "exit").output, Contains("exit(0) was called in task 20 on rank "));
}

TEST_CASE("a rank that is frozen is missed, and ends the run") {
  const run ended = faults(3, "freeze");
  CHECK(ended.code != 0);
  CHECK(ended.lasted.count() < 30);
  CHECK_THAT(ended.output, Contains("gave no sign of life for 1500 ms: the run ends"));
}

TEST_CASE("with resubmission, others do the tasks of a rank that was killed") {
  if (!is_open_mpi) return;  // MPICH's launcher ends the run where ranks share a machine
  const scratch folder;
  const run ended = faults(4, "kill_once resubmit " + folder.file(), "--enable-recovery");
  CHECK(ended.lasted.count() < 20);
  CHECK_THAT(ended.output, !Contains("worker_lost") && !Contains("error:") && !Contains("wrong"));
  const auto first = ended.output.find("all 60 tasks were settled");
  CHECK(ended.output.find("all 60 tasks were settled", first + 1) != std::string::npos);
}

TEST_CASE("with resubmission, a task that kills its rank again and again fails, and only that") {
  if (!is_open_mpi) return;
  const run ended = faults(4, "poison resubmit", "--enable-recovery");
  CHECK(ended.lasted.count() < 30);
  CHECK_THAT(ended.output, Contains("worker_lost for task 20"));
  const auto first = ended.output.find("all 60 tasks were settled");
  CHECK(ended.output.find("all 60 tasks were settled", first + 1) != std::string::npos);
}

TEST_CASE("with resubmission, the others end when rank 0 is gone") {
  if (!is_open_mpi) return;
  const run ended = faults(3, "orphans resubmit", "--enable-recovery");
  CHECK(ended.code != 124);
  CHECK(ended.lasted.count() < 30);
  CHECK_THAT(ended.output, Contains("has no sign of life of rank 0 any more, and ends"));
}

// Three "machines" are network namespaces with names of their own, and an `ip netns exec` stands in the place of ssh.
TEST_CASE("over several hosts the results are the same") {
  if (!is_open_mpi) return;
  const run ended = shell("timeout -k 5 110 '" MPI_HOSTS "' '" MPI_LAUNCHER "' $FAULTS hosts");
  if (ended.output.find("skipped: ") != std::string::npos) {
    WARN(ended.output);
    return;
  }
  CHECK(ended.code == 0);
  CHECK_THAT(ended.output, Contains("rank 0 goes on with 2 workers"));
  CHECK_THAT(ended.output, Contains("all 60 tasks were settled"));
  CHECK_THAT(ended.output, Contains("tasks ran on mh2") && Contains("tasks ran on mh3") && !Contains("tasks ran on mh1"));
  CHECK_THAT(ended.output, !Contains("wrong") && !Contains("error:"));
}
