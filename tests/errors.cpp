#include <manyhands/errors.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <support/catch.hpp>

namespace {

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string lost(std::size_t index, int worker, int signal, int exit_code) {
  return manyhands::worker_lost(index, worker, signal, exit_code).what();
}

template <class Error>
constexpr bool is_ours = std::is_base_of_v<manyhands::error, Error>&& std::is_nothrow_copy_constructible_v<manyhands::error>;

}  // namespace

TEST_CASE("a worker may be lost without anybody knowing how") {
  const manyhands::worker_lost lost(7, 2, "rank 3 on node9 gave no sign of life any more");
  CHECK(lost.what() == std::string("worker 2 was lost while it ran task 7: rank 3 on node9 gave no sign of life any more"));
  CHECK(lost.index() == 7);
  CHECK(lost.worker() == 2);
  CHECK(lost.signal() == 0);
  CHECK(lost.exit_code() == -1);
  CHECK(lost.backtrace().empty());
}

TEST_CASE("all errors of the library can be caught as one, and as std::runtime_error") {
  STATIC_REQUIRE(std::is_base_of_v<std::runtime_error, manyhands::error>);
  STATIC_REQUIRE(is_ours<manyhands::worker_lost>);
  STATIC_REQUIRE(is_ours<manyhands::remote_error>);
  STATIC_REQUIRE(is_ours<manyhands::pool_broken>);
  STATIC_REQUIRE(is_ours<manyhands::not_transportable>);
  STATIC_REQUIRE(is_ours<manyhands::codec_error>);
  STATIC_REQUIRE(is_ours<manyhands::task_timeout>);
  STATIC_REQUIRE(is_ours<manyhands::cancelled>);
  STATIC_REQUIRE(is_ours<manyhands::observer_error>);
  STATIC_REQUIRE(is_ours<manyhands::checkpoint_error>);
  CHECK_THROWS_AS(throw manyhands::cancelled("stopped"), manyhands::error);
  CHECK_THROWS_AS(throw manyhands::worker_lost(1, 2, 9, -1), std::runtime_error);
}

TEST_CASE("bad input is no error of the library") { STATIC_REQUIRE_FALSE(std::is_base_of_v<manyhands::error, std::invalid_argument>); }

TEST_CASE("a lost worker is told with its task, its number and its end") {
  const manyhands::worker_lost killed(7, 3, 11, -1);
  CHECK(killed.index() == 7);
  CHECK(killed.worker() == 3);
  CHECK(killed.signal() == 11);
  CHECK(killed.exit_code() == -1);
  const manyhands::worker_lost exited(0, 0, 0, 0);
  CHECK(exited.index() == 0);
  CHECK(exited.worker() == 0);
  CHECK(exited.signal() == 0);
  CHECK(exited.exit_code() == 0);
}

TEST_CASE("a lost worker's message names the task, the worker, the signal and what it often means") {
  const std::string text = lost(7, 3, 9, -1);
  CHECK(mentions(text, "worker 3"));
  CHECK(mentions(text, "task 7"));
  CHECK(mentions(text, "signal 9"));
  CHECK(mentions(text, "SIGKILL"));
  CHECK(mentions(text, "out of memory"));
  CHECK(mentions(lost(0, 0, 11, -1), "SIGSEGV"));
  CHECK(mentions(lost(0, 0, 6, -1), "SIGABRT"));
  CHECK(mentions(lost(0, 0, 8, -1), "SIGFPE"));
  CHECK(mentions(lost(0, 0, 4, -1), "SIGILL"));
  CHECK(mentions(lost(0, 0, 15, -1), "SIGTERM"));
  CHECK(mentions(lost(0, 0, 64, -1), "signal 64"));
}

TEST_CASE("a lost worker tells where it crashed, if it could") {
  const manyhands::worker_lost killed(7, 3, 11, -1);
  CHECK(killed.fault_address() == std::nullopt);
  CHECK(killed.backtrace().empty());
  CHECK_FALSE(mentions(killed.what(), "address"));
  CHECK_FALSE(mentions(killed.what(), ", in"));
  const manyhands::worker_lost crashed(7, 3, 11, -1, {0xdead, {"inner(int)+0x1 (program)", "outer()+0x2 (program)"}});
  CHECK(crashed.fault_address() == std::uintptr_t{0xdead});
  CHECK(crashed.backtrace() == std::vector<std::string>{"inner(int)+0x1 (program)", "outer()+0x2 (program)"});
  CHECK(mentions(crashed.what(), "(SIGSEGV) at address 0xdead, in inner(int)+0x1 (program)"));
  CHECK(mentions(manyhands::worker_lost(0, 0, 11, -1, {0, {}}).what(), "at address 0x0"));
  const manyhands::worker_lost copy = crashed;
  CHECK(copy.backtrace().size() == 2);
  STATIC_REQUIRE(std::is_nothrow_copy_constructible_v<manyhands::worker_lost>);
}

TEST_CASE("a lost worker's message tells an exit from a signal, and both from an unknown end") {
  CHECK(mentions(lost(1, 2, 0, 0), "exited with code 0"));
  CHECK(mentions(lost(1, 2, 0, 255), "exited with code 255"));
  CHECK_FALSE(mentions(lost(1, 2, 0, 3), "signal"));
  CHECK_FALSE(mentions(lost(1, 2, 9, -1), "exited"));
  CHECK(mentions(lost(1, 2, 0, -1), "unknown"));
  CHECK_FALSE(mentions(lost(1, 2, 0, -1), "code"));
}

TEST_CASE("a lost worker may have the largest numbers") {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  const manyhands::worker_lost last(most, std::numeric_limits<int>::max(), 0, 1);
  CHECK(last.index() == most);
  CHECK(last.worker() == std::numeric_limits<int>::max());
  CHECK(mentions(last.what(), std::to_string(most)));
}

TEST_CASE("a remote error keeps the type's name and the message") {
  const manyhands::remote_error remote("shop::sold_out", "no bread");
  CHECK(remote.type_name() == "shop::sold_out");
  CHECK(std::string(remote.what()) == "shop::sold_out: no bread");
  CHECK(manyhands::remote_error("a", "").type_name() == "a");
}

TEST_CASE("what cannot travel is told with the type and the reason") {
  const manyhands::not_transportable stuck("int*", "it is a pointer; return a copy");
  CHECK(mentions(stuck.what(), "'int*'"));
  CHECK(mentions(stuck.what(), "it is a pointer; return a copy"));
  CHECK(std::string(manyhands::not_transportable(std::string(stuck.what())).what()) == stuck.what());
}

TEST_CASE("a timeout is told with its task, and its limit in the largest unit that leaves no fraction") {
  const manyhands::task_timeout late(7, std::chrono::milliseconds(1500));
  CHECK(late.index() == 7);
  CHECK(late.limit() == std::chrono::milliseconds(1500));
  CHECK(std::string(late.what()) == "task 7 ran longer than its timeout of 1500 ms");
  CHECK(mentions(manyhands::task_timeout(0, std::chrono::hours(1)).what(), "of 3600 s"));
  CHECK(mentions(manyhands::task_timeout(0, std::chrono::microseconds(20)).what(), "of 20 us"));
  CHECK(mentions(manyhands::task_timeout(0, std::chrono::nanoseconds(2001)).what(), "of 2001 ns"));
}

TEST_CASE("copies of an error say the same") {
  const manyhands::worker_lost lost_one(5, 1, 0, 3);
  const manyhands::worker_lost copy = lost_one;
  CHECK(copy.index() == 5);
  CHECK(copy.exit_code() == 3);
  CHECK(std::string(copy.what()) == lost_one.what());
  const manyhands::remote_error remote("T", "m");
  const manyhands::remote_error same = remote;
  CHECK(same.type_name() == "T");
  CHECK(std::string(same.what()) == remote.what());
}
