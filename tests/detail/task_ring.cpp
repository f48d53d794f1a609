#include <manyhands/detail/task_ring.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::detail::parcel_header;
using manyhands::detail::parcel_receiver;
using manyhands::detail::parcel_sender;
using manyhands::detail::ring_positions;

constexpr std::size_t ring_size = 64;

/// Both ends of one ring, in one thread.
struct line {
  explicit line(std::size_t size = ring_size) : ring(size) {}

  std::vector<std::byte> ring;
  ring_positions positions;
  parcel_sender sender{positions, ring};
  parcel_receiver receiver{positions, ring};
  int made_room = 0;

  /// Appends what there is room for of a parcel, from its byte `from` on; returns how many bytes that were.
  std::size_t send(std::uint64_t number, const std::string& text, std::size_t from = 0) {
    const parcel_header header{number, text.size()};
    std::vector<std::byte> all(sizeof header + text.size());
    std::memcpy(all.data(), &header, sizeof header);
    std::memcpy(all.data() + sizeof header, text.data(), text.size());
    const std::size_t taken = sender.append(std::span<const std::byte>(all).subspan(from));
    sender.publish();
    return taken;
  }
  /// Whether the parcel is there.
  bool find(std::uint64_t number) {
    return receiver.find(
        number, [] { return false; }, [this] { ++made_room; });
  }
  [[nodiscard]] std::string text() const {
    const auto bytes = receiver.bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

}  // namespace

TEST_CASE("parcels come in the order in which they were sent") {
  line of;
  CHECK_FALSE(of.find(0));
  for (std::uint64_t number = 0; number < 40; ++number) {
    const std::string text(number % 30, static_cast<char>('a' + number % 26));
    CHECK(of.send(number, text) == sizeof(parcel_header) + text.size());
    CHECK(of.receiver.has_news());
    REQUIRE(of.find(number));
    CHECK(of.text() == text);
  }
  CHECK_FALSE(of.receiver.has_news());
  CHECK(of.made_room > 3);
}

TEST_CASE("small parcels stay in the ring until the next one is looked for") {
  line of(4096);
  std::uint64_t sent = 0;
  for (std::uint64_t number = 0; number < 10'000; ++number) {
    // Some wait, some do not; some are too large to stay; some are not wanted.
    const auto text_of = [](std::uint64_t which) { return std::string(which * which % 100, static_cast<char>('a' + which % 26)); };
    for (; sent < number + 1 + number % 5; ++sent) REQUIRE(of.send(sent, text_of(sent)) == sizeof(parcel_header) + text_of(sent).size());
    if (number % 7 == 3) continue;
    REQUIRE(of.find(number));
    REQUIRE(of.text() == text_of(number));
    REQUIRE(of.receiver.has_news() == (sent != number + 1));
    REQUIRE(of.sender.is_intact());
  }
  CHECK(of.made_room > 100);
}

TEST_CASE("a parcel that stays in the ring keeps no larger one from coming") {
  line of(1024);
  of.send(0, "zero");
  REQUIRE(of.find(0));
  const std::string text(5000, 'x');
  std::size_t sent = of.send(1, text);
  CHECK(sent < 1024);
  while (sent != sizeof(parcel_header) + text.size()) {
    CHECK_FALSE(of.find(1));
    sent += of.send(1, text, sent);
  }
  REQUIRE(of.find(1));
  CHECK(of.text() == text);
}

TEST_CASE("parcels that nobody wants are passed over") {
  line of;
  of.send(1, "one");
  of.send(2, "");
  of.send(3, "three");
  REQUIRE(of.find(3));
  CHECK(of.text() == "three");
  of.send(parcel_header::of_call(2), "call");
  REQUIRE(of.find(parcel_header::of_call(2)));
  CHECK(of.text() == "call");
}

TEST_CASE("a parcel may be larger than the ring, and come in pieces of any size") {
  line of;
  std::string text(1000, '\0');
  std::iota(text.begin(), text.end(), '\0');
  const std::size_t whole = sizeof(parcel_header) + text.size();
  std::size_t sent = of.send(7, text);
  CHECK(sent == ring_size);
  CHECK_FALSE(of.sender.has_room());
  while (sent != whole) {
    CHECK_FALSE(of.find(7));
    CHECK(of.sender.has_room());
    sent += of.send(7, text, sent);
  }
  REQUIRE(of.find(7));
  CHECK(of.text() == text);
}

TEST_CASE("one that was begun and is no longer wanted is passed over to its end") {
  line of;
  const std::string text(100, 'x');
  const std::size_t sent = of.send(7, text);
  CHECK_FALSE(of.find(7));
  CHECK_FALSE(of.find(8));
  std::size_t rest = sent;
  while (rest != sizeof(parcel_header) + text.size()) {
    rest += of.send(7, text, rest);
    CHECK_FALSE(of.find(8));
  }
  of.send(8, "eight");
  REQUIRE(of.find(8));
  CHECK(of.text() == "eight");
}

TEST_CASE("a worker that says it has read more than there is gets no more, and is found out") {
  line of;
  of.send(1, "one");
  CHECK(of.sender.is_intact());
  of.positions.head = 1'000'000;
  CHECK_FALSE(of.sender.is_intact());
  CHECK_FALSE(of.sender.has_room());
  of.positions.head = 0;
  CHECK(of.sender.is_intact());
  of.positions.tail = 1'000'000;
  CHECK_FALSE(of.sender.is_intact());
}

TEST_CASE("both ends may work at the same time") {
  line of;
  constexpr std::uint64_t count = 20'000;
  bool all = true;
  std::thread worker([&] {
    for (std::uint64_t number = 0; number < count; ++number) {
      const bool found = of.receiver.find(
          number,
          [] {
            std::this_thread::yield();
            return true;
          },
          [] {});
      all = all && found && of.text() == std::to_string(number * number);
    }
  });
  for (std::uint64_t number = 0; number < count; ++number) {
    const std::string text = std::to_string(number * number);
    for (std::size_t sent = 0; sent != sizeof(parcel_header) + text.size();) {
      sent += of.send(number, text, sent);
      std::this_thread::yield();
    }
  }
  worker.join();
  CHECK(all);
}
