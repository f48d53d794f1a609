#include <manyhands/detail/wire.hpp>

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include <support/catch.hpp>

using namespace manyhands::detail;

namespace {

/// A ring, both ends of it in one process.
struct ring {
  explicit ring(std::size_t size) : bytes(size), writer(positions, bytes), reader(positions, bytes) {}

  void write(std::uint64_t index, std::string_view text, frame_kind kind = frame_kind::value) {
    writer.write(index, kind, std::as_bytes(std::span(text)),
                 [](const auto&, std::uint32_t) { throw std::runtime_error("the ring is full"); });
  }
  frame_reader::state next() {
    return reader.next([](const frame_header&) { return true; }, [](const auto&) {});
  }
  std::string text() const { return {reinterpret_cast<const char*>(reader.payload().data()), reader.payload().size()}; }

  ring_positions positions;
  std::vector<std::byte> bytes;
  frame_writer writer;
  frame_reader reader;
};

using state = frame_reader::state;

}  // namespace

TEST_CASE("frames come out as they went in, in order") {
  ring wire(1024);
  CHECK(wire.next() == state::empty);
  wire.write(5, "five");
  wire.write(6, "", frame_kind::error);
  REQUIRE(wire.next() == state::frame);
  CHECK(wire.reader.header().index == 5);
  CHECK(wire.reader.header().kind == frame_kind::value);
  CHECK(wire.text() == "five");
  REQUIRE(wire.next() == state::frame);
  CHECK(wire.reader.header().index == 6);
  CHECK(wire.reader.header().kind == frame_kind::error);
  CHECK(wire.text().empty());
  CHECK(wire.next() == state::empty);
}

TEST_CASE("a ring is used again and again, headers across its end too") {
  ring wire(64);
  for (std::uint64_t index = 0; index < 1000; ++index) {
    const std::string text(index % 32, static_cast<char>('a' + index % 26));
    wire.write(index, text);
    REQUIRE(wire.next() == state::frame);
    REQUIRE(wire.reader.header().index == index);
    REQUIRE(wire.text() == text);
    REQUIRE(wire.next() == state::empty);
  }
}

TEST_CASE("frames much larger than the ring travel through it") {
  ring wire(256);
  std::mt19937 random(1);
  std::vector<std::string> texts;
  for (const std::size_t size : {0u, 1u, 255u, 256u, 257u, 10'000u, 100'000u}) {
    std::string text(size, '\0');
    for (char& each : text) each = static_cast<char>(random());
    texts.push_back(text);
  }
  std::thread far([&] {
    for (std::size_t index = 0; index < texts.size(); ++index) {
      wire.writer.write(index, frame_kind::value, std::as_bytes(std::span(texts[index])),
                        [](const auto& word, std::uint32_t seen) { word.wait(seen); });
    }
  });
  for (std::size_t index = 0; index < texts.size(); ++index) {
    state now = state::empty;
    while ((now = wire.reader.next([](const frame_header&) { return true; }, [](auto& word) { word.notify_all(); })) == state::empty) {
      std::this_thread::yield();
    }
    REQUIRE(now == state::frame);
    CHECK(wire.reader.header().index == index);
    CHECK(wire.text() == texts[index]);
    CHECK_FALSE(wire.reader.is_lost());
  }
  far.join();
}

TEST_CASE("a frame whose writer died in the middle is no frame") {
  ring wire(64);
  CHECK_THROWS(wire.write(1, std::string(100, 'x')));  // stops where the ring is full: half of it is published
  CHECK(wire.next() == state::empty);
  CHECK(wire.next() == state::empty);
}

TEST_CASE("the reader is asked about a frame before it keeps anything of it") {
  ring wire(1024);
  wire.write(7, "seven");
  const state refused = wire.reader.next(
      [](const frame_header& header) {
        CHECK(header.index == 7);
        CHECK(header.length == 5);
        return false;
      },
      [](const auto&) {});
  CHECK(refused == state::corrupt);
}

TEST_CASE("a header that is no header is found out") {
  for (std::size_t at = 0; at < sizeof(frame_header); ++at) {
    ring wire(1024);
    wire.write(7, "seven");
    wire.bytes[at] ^= std::byte{0x10};
    CHECK(wire.next() == state::corrupt);
  }
}

TEST_CASE("a payload that somebody has overwritten is found out") {
  for (std::size_t at = 0; at < 11; ++at) {
    ring wire(1024);
    wire.write(7, "hello there");
    wire.bytes[sizeof(frame_header) + at] ^= std::byte{0x01};
    CHECK(wire.next() == state::corrupt);
  }
}

TEST_CASE("positions that cannot be are found out") {
  const auto tail = GENERATE(as<std::uint64_t>{}, 65, 1 << 20, 0x8000000000000000, 0xffffffffffffffff);
  ring wire(64);
  wire.positions.tail = tail;
  CHECK(wire.next() == state::corrupt);
}

TEST_CASE("a writer whose positions were overwritten writes nowhere else") {
  ring wire(64);
  for (const std::uint64_t head : {std::uint64_t{1000}, std::uint64_t{0xfffffffffffffff0}}) {
    wire.positions.head = head;
    wire.writer.write(1, frame_kind::value, std::as_bytes(std::span(std::string_view("some text"))),
                      [&](const auto&, std::uint32_t) { wire.positions.head = 1u << 20; });
  }
  SUCCEED("a sanitizer or a crash would have told");
}

TEST_CASE("a length that lies costs no memory") {
  ring wire(1024);
  wire.write(3, "x");
  frame_header header;
  std::memcpy(&header, wire.bytes.data(), sizeof header);
  header.length = std::uint64_t{1} << 60;
  header.check = header.expected_check();
  std::memcpy(wire.bytes.data(), &header, sizeof header);
  CHECK(wire.next() == state::empty);  // waits for more of it, in vain
  CHECK_FALSE(wire.reader.is_lost());
}

TEST_CASE("rubbish in the ring never makes the reader read elsewhere") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 2000; ++round) {
    ring wire(256);
    for (int frame = 0; frame < 3; ++frame) wire.write(static_cast<std::uint64_t>(frame), "some text");
    for (int hit = 0; hit < 4; ++hit) wire.bytes[random() % wire.bytes.size()] = static_cast<std::byte>(random());
    if (round % 4 == 0) wire.positions.tail = random() >> (random() % 64);
    int frames = 0;
    while (wire.next() == state::frame && frames < 20) ++frames;
    CHECK(frames < 20);
  }
}

TEST_CASE("there is news as long as something was not read") {
  ring wire(1024);
  CHECK_FALSE(wire.reader.has_news());
  wire.write(1, "one");
  CHECK(wire.reader.has_news());
  REQUIRE(wire.next() == state::frame);
  CHECK_FALSE(wire.reader.has_news());
}

TEST_CASE("a ring that fills up is told from one that does not") {
  ring wire(1024);
  wire.write(1, "small");
  CHECK_FALSE(wire.writer.is_half_full());
  wire.write(2, std::string(600, 'x'));
  CHECK(wire.writer.is_half_full());
  REQUIRE(wire.next() == state::frame);
  REQUIRE(wire.next() == state::frame);
  REQUIRE(wire.next() == state::empty);
  CHECK_FALSE(wire.writer.is_half_full());
}

TEST_CASE("a reader sees that its position was overwritten") {
  ring wire(64);
  CHECK(wire.reader.is_intact());
  wire.write(1, "one");
  REQUIRE(wire.next() == state::frame);
  REQUIRE(wire.next() == state::empty);
  CHECK(wire.reader.is_intact());
  wire.positions.head = 1;
  CHECK_FALSE(wire.reader.is_intact());
}
