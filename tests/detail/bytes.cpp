#include <manyhands/detail/bytes.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::codec_error;
using manyhands::reader;
using manyhands::writer;

std::vector<std::byte> copy(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

struct nest {
  int depth;
};

}  // namespace

template <>
struct manyhands::codec<nest> {
  static void save(const nest& value, writer& out) {
    const unsigned char more = value.depth > 0 ? 1 : 0;
    out.write(&more, 1);
    if (value.depth > 0) out.put(nest{value.depth - 1});
  }
  static nest load(reader& in) {
    unsigned char more = 0;
    in.read(&more, 1);
    return nest{more != 0 ? in.get<nest>().depth + 1 : 0};
  }
};

TEST_CASE("bytes come back as they were written, whatever their number") {
  writer out;
  std::vector<std::byte> all;
  for (int size = 0; size < 300; ++size) {
    const std::vector<std::byte> piece(static_cast<std::size_t>(size), std::byte(size % 251));
    out.write(piece.data(), piece.size());
    all.insert(all.end(), piece.begin(), piece.end());
  }
  REQUIRE(out.size() == all.size());
  CHECK(copy(out.bytes()) == all);
  reader in(out.bytes());
  std::vector<std::byte> back(all.size());
  in.read(back.data(), back.size());
  CHECK(back == all);
  CHECK_NOTHROW(in.finish());
}

TEST_CASE("nothing may be written from a null pointer") {
  writer out;
  out.write(nullptr, 0);
  CHECK(out.size() == 0);
  CHECK(out.bytes().empty());
  reader in(out.bytes());
  in.read(nullptr, 0);
  in.finish();
}

TEST_CASE("a cleared writer starts anew in the same memory") {
  writer out;
  const std::array<std::byte, 100> bytes{};
  out.write(bytes.data(), bytes.size());
  const std::byte* const where = out.bytes().data();
  out.clear();
  CHECK(out.size() == 0);
  out.write(bytes.data(), bytes.size());
  CHECK(out.bytes().data() == where);
}

TEST_CASE("a writer takes back what came last") {
  writer out;
  const std::array<unsigned char, 4> bytes{1, 2, 3, 4};
  out.write(bytes.data(), 4);
  out.truncate(2);
  out.write(bytes.data(), 1);
  CHECK(copy(out.bytes()) == std::vector{std::byte{1}, std::byte{2}, std::byte{1}});
}

TEST_CASE("room made in advance is used") {
  writer out;
  out.reserve(1000);
  const std::byte zero{};
  out.write(&zero, 1);
  const std::byte* const where = out.bytes().data();
  for (int i = 1; i < 1000; ++i) out.write(&zero, 1);
  CHECK(out.bytes().data() == where);
}

TEST_CASE("a moved writer takes its bytes along and leaves an empty one") {
  writer from;
  const int value = 7;
  from.write(&value, sizeof value);
  writer to(std::move(from));
  CHECK(to.size() == sizeof value);
  CHECK(from.size() == 0);
  from.write(&value, sizeof value);
  from.write(&value, sizeof value);
  to = std::move(from);
  CHECK(to.size() == 2 * sizeof value);
  CHECK(from.size() == 0);
}

TEST_CASE("a reader refuses to read past the end and stays where it is") {
  const std::array<std::byte, 3> bytes{std::byte{1}, std::byte{2}, std::byte{3}};
  reader in(bytes);
  std::array<std::byte, 4> to{};
  CHECK_THROWS_AS(in.read(to.data(), 4), codec_error);
  CHECK_THROWS_AS(in.take(std::numeric_limits<std::size_t>::max()), codec_error);
  CHECK(in.remaining() == 3);
  in.read(to.data(), 3);
  CHECK(in.remaining() == 0);
  CHECK_THROWS_AS(in.take(1), codec_error);
  CHECK_NOTHROW(in.take(0));
}

TEST_CASE("bytes that are left over are an error") {
  const std::array<std::byte, 3> bytes{};
  reader in(bytes);
  CHECK_THROWS_WITH(in.finish(), "3 bytes are left after the value");
  static_cast<void>(in.take(3));
  CHECK_NOTHROW(in.finish());
}

TEST_CASE("an announced count must fit into the bytes that are left") {
  const auto announce = [](std::uint64_t count, std::size_t behind) {
    writer out;
    out.write(&count, sizeof count);
    for (std::size_t i = 0; i < behind; ++i) out.write("x", 1);
    return out;
  };
  const auto counted = [](const writer& out, std::size_t each) {
    reader in(out.bytes());
    return in.count(each);
  };
  CHECK(counted(announce(0, 0), 8) == 0);
  CHECK(counted(announce(3, 24), 8) == 3);
  CHECK(counted(announce(3, 3), 1) == 3);
  CHECK(counted(announce(3, 3), 0) == 3);
  CHECK_THROWS_AS(counted(announce(3, 23), 8), codec_error);
  CHECK_THROWS_AS(counted(announce(1, 0), 0), codec_error);
  CHECK_THROWS_AS(counted(announce(std::uint64_t{1} << 60, 24), 0), codec_error);
  CHECK_THROWS_AS(counted(announce(std::numeric_limits<std::uint64_t>::max(), 24), 8), codec_error);
  CHECK_THROWS_AS(counted(announce(std::uint64_t{1} << 61, 24), 8), codec_error);
  const std::array<std::byte, 7> cut{};
  reader in(cut);
  CHECK_THROWS_AS(in.count(1), codec_error);
}

TEST_CASE("values nest only so deep, on the way out and on the way in") {
  writer out;
  out.put(nest{900});
  reader in(out.bytes());
  CHECK(in.get<nest>().depth == 900);
  in.finish();

  writer deep;
  CHECK_THROWS_AS(deep.put(nest{100000}), codec_error);
  deep.clear();
  CHECK_NOTHROW(deep.put(nest{900}));

  const std::vector<unsigned char> hostile(1000000, 1);
  reader endless(std::as_bytes(std::span(hostile)));
  CHECK_THROWS_AS(endless.get<nest>(), codec_error);
}
