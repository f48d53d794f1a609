#include <manyhands/detail/journal.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::checkpoint_error;
using manyhands::observer_error;
using manyhands::detail::crc32;
using manyhands::detail::journal;
using manyhands::detail::journal_facts;

/// A path in a directory of its own.
class place {
 public:
  place() {
    std::string name = (std::filesystem::temp_directory_path() / "manyhands_journal_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
  }
  place(const place&) = delete;
  place& operator=(const place&) = delete;
  ~place() { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path() const { return directory_ + "/journal"; }
  [[nodiscard]] std::string content() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void content(const std::string& bytes) const { std::ofstream(path(), std::ios::binary) << bytes; }

 private:
  std::string directory_;
};

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text(const journal& from, std::size_t index) {
  const auto found = from.find(index);
  return found ? std::string(reinterpret_cast<const char*>(found->data()), found->size()) : "none";
}
const journal_facts call{.tasks = 10, .seed = 3, .result_type = "int", .description = "a call"};

/// A journal of three results.
void write_three(const place& at) {
  journal made(at.path(), call);
  made.append(4, bytes("four"));
  made.append(0, bytes("zero"));
  made.append(7, bytes(""));
  made.finish();
}

std::string refusal(const place& at, const journal_facts& facts) {
  try {
    journal opened(at.path(), facts);
  } catch (const checkpoint_error& error) {
    return error.what();
  }
  return "none";
}

TEST_CASE("the checksum is that of IEEE 802.3") {
  CHECK(crc32(bytes("123456789")) == 0xCBF43926U);
  CHECK(crc32(bytes("56789"), crc32(bytes("1234"))) == 0xCBF43926U);
  CHECK(crc32({}) == 0);
}

TEST_CASE("what was added is there the next time") {
  const place at;
  {
    const journal made(at.path(), call);
    CHECK(made.restored() == 0);
    CHECK_FALSE(made.holds(4));
  }
  write_three(at);
  const journal again(at.path(), call);
  CHECK(again.restored() == 3);
  CHECK(again.broken() == 0);
  CHECK(text(again, 4) == "four");
  CHECK(text(again, 0) == "zero");
  CHECK(again.holds(7));
  CHECK(text(again, 7).empty());
  CHECK_FALSE(again.holds(1));
  CHECK_FALSE(again.holds(10));
}

TEST_CASE("results of several runs add up") {
  const place at;
  write_three(at);
  {
    journal again(at.path(), call);
    again.append(1, bytes("one"));
    again.finish();
  }
  const journal last(at.path(), call);
  CHECK(last.restored() == 4);
  CHECK(text(last, 1) == "one");
  CHECK(text(last, 4) == "four");
}

TEST_CASE("wherever the file ends, the whole records before are kept, and it can be added to") {
  const place at;
  write_three(at);
  const std::string whole = at.content();
  std::size_t most = 0;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    CAPTURE(size);
    at.content(whole.substr(0, size));
    {
      journal cut(at.path(), call);
      CHECK(cut.restored() >= most);
      CHECK(cut.restored() + (cut.broken() > 0 ? 1 : 0) <= 3);
      most = cut.restored();
      if (cut.holds(4)) CHECK(text(cut, 4) == "four");
      cut.append(9, bytes("nine"));
      cut.finish();
    }
    const journal again(at.path(), call);
    CHECK(again.broken() == 0);
    CHECK(text(again, 9) == "nine");
    CHECK(again.restored() == most + 1);
  }
  CHECK(most == 3);
}

TEST_CASE("a flipped bit costs the record that it is in, and those behind, but never a wrong result") {
  const place at;
  write_three(at);
  const std::string whole = at.content();
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    CAPTURE(bit);
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    at.content(flipped);
    try {
      const journal opened(at.path(), call);
      CHECK(opened.restored() < 3);
      CHECK(opened.broken() > 0);
      for (const auto& [index, value] : {std::pair<std::size_t, std::string>(4, "four"), {0, "zero"}, {7, ""}}) {
        if (opened.holds(index)) CHECK(text(opened, index) == value);
      }
    } catch (const checkpoint_error&) {  // in the head
    }
  }
}

TEST_CASE("the journal of another call is refused, and the error says what differs") {
  const place at;
  write_three(at);
  const std::string before = at.content();
  journal_facts other = call;
  other.tasks = 11;
  CHECK(refusal(at, other).find("it has 10 tasks, and this one has 11 tasks") != std::string::npos);
  other.tasks = journal_facts::unknown;
  CHECK(refusal(at, other).find("an unknown number of tasks") != std::string::npos);
  other = call;
  other.seed = 4;
  CHECK(refusal(at, other).find("its seed is 3, and this one's 4") != std::string::npos);
  other = call;
  other.result_type = "double";
  CHECK(refusal(at, other).find("its results are 'int', and this one's 'double'") != std::string::npos);
  other = call;
  other.description = "another";
  CHECK(refusal(at, other).find("\"a call\"") != std::string::npos);
  CHECK(at.content() == before);
}

TEST_CASE("what is no journal is refused, and left alone") {
  const place at;
  at.content("my thesis, all of it, with many words and no copy anywhere else in the world, so please do not overwrite it; thank you");
  const std::string before = at.content();
  CHECK(refusal(at, call).find("is no journal") != std::string::npos);
  CHECK(at.content() == before);
  at.content("x");
  CHECK(refusal(at, call).find("is no journal") != std::string::npos);
  CHECK(at.content() == "x");
}

TEST_CASE("a path that cannot be opened is refused") {
  try {
    journal made("/no/such/directory/journal", call);
    FAIL("opened");
  } catch (const checkpoint_error& error) {
    CHECK(std::string(error.what()).find("/no/such/directory/journal") != std::string::npos);
    CHECK(std::string(error.what()).find("No such file") != std::string::npos);
  }
  CHECK_THROWS_AS(journal("/tmp", call), checkpoint_error);
  CHECK_THROWS_AS(journal("/dev/null", call), checkpoint_error);
}

TEST_CASE("of two that want the file at the same time the second is refused") {
  const place at;
  const journal first(at.path(), call);
  CHECK(refusal(at, call).find("in use") != std::string::npos);
}

TEST_CASE("results may come from many threads") {
  const place at;
  {
    journal made(at.path(), {.tasks = 4000});
    std::vector<std::thread> workers;
    for (std::size_t worker = 0; worker < 4; ++worker) {
      workers.emplace_back([&, worker] {
        for (std::size_t i = 0; i < 1000; ++i) made.append(worker * 1000 + i, bytes(std::to_string(worker * 1000 + i)));
      });
    }
    for (auto& worker : workers) worker.join();
    made.finish();
  }
  const journal again(at.path(), {.tasks = 4000});
  REQUIRE(again.restored() == 4000);
  for (std::size_t i = 0; i < 4000; ++i) {
    if (text(again, i) != std::to_string(i)) FAIL(i);
  }
}

TEST_CASE("a file that may not grow ends in an error, and what was written before counts") {
  const place at;
  {
    journal made(at.path(), call);
    made.append(1, bytes("one"));
    // Files of this process may not become larger than this one is. The signal is for those who do not look at the error.
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{static_cast<rlim_t>(at.content().size() + 10), before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    made.append(2, bytes("two"));
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    made.append(3, bytes("three"));  // nothing more is added: there would be a hole in the middle
    CHECK_THROWS_AS(made.finish(), observer_error);
  }
  const journal again(at.path(), call);
  CHECK(again.restored() == 1);
  CHECK(again.broken() == 0);
  CHECK(text(again, 1) == "one");
}

}  // namespace
