#include <manyhands/detail/codec_values.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <support/catch.hpp>
#include <support/codec_round_trip.hpp>

namespace {

using manyhands::codec_error;
using manyhands::fixed_codec_size;
using manyhands::transportable;
using manyhands::writer;
using manyhands_test::decoded;
using manyhands_test::encoded;
using manyhands_test::refuses_every_cut;
using manyhands_test::round_trip;

class no_default {
 public:
  explicit no_default(int value) : value_(value) {}
  friend bool operator==(const no_default&, const no_default&) = default;

 private:
  int value_;
};
struct named_no_default {
  no_default a;
  std::string b;
  friend bool operator==(const named_no_default&, const named_no_default&) = default;
};
struct base {
  virtual ~base() = default;
};
struct leaf final : base {};
struct chain {
  int value = 0;
  std::unique_ptr<chain> next;
};
struct incomplete;
struct hides_incomplete {
  std::unique_ptr<incomplete> a;
  ~hides_incomplete();
};
struct throws_on_copy {
  throws_on_copy() = default;
  throws_on_copy(const throws_on_copy&) { throw 1; }
  throws_on_copy& operator=(const throws_on_copy&) = default;
  std::string a;
};

}  // namespace

template <>
struct manyhands::codec<throws_on_copy> {
  static void save(const throws_on_copy&, writer&) {}
  static throws_on_copy load(reader&) { return {}; }
};

static_assert(fixed_codec_size<std::array<int, 5>> == 20 && fixed_codec_size<std::array<std::array<double, 2>, 3>> == 48);
static_assert(fixed_codec_size<std::array<bool, 2>> == 0 && fixed_codec_size<std::array<int, 0>> == 0);
static_assert(fixed_codec_size<std::optional<int>> == 0 && fixed_codec_size<std::pair<int, int>> == 0);
static_assert(transportable<std::array<int, 0>> && transportable<std::array<std::string, 3>>);
static_assert(transportable<std::pair<const int, std::string>> && transportable<std::tuple<>> && transportable<std::monostate>);
static_assert(!transportable<std::pair<int, int*>> && !transportable<std::tuple<int&>> && !transportable<std::optional<void*>> &&
              !transportable<std::variant<int, std::string_view>> && !transportable<std::array<int*, 2>>);
static_assert(transportable<std::unique_ptr<int>> && transportable<std::unique_ptr<std::unique_ptr<std::string>>> && transportable<chain>);
static_assert(!transportable<std::unique_ptr<int[]>> && !transportable<std::unique_ptr<base>> && !transportable<std::unique_ptr<leaf>>);
static_assert(!transportable<std::unique_ptr<int, void (*)(int*)>> && !transportable<std::unique_ptr<incomplete>> &&
              !transportable<hides_incomplete>);

TEST_CASE("pairs, tuples and arrays come back") {
  CHECK(round_trip(std::pair(1, std::string("one"))) == std::pair(1, std::string("one")));
  CHECK(round_trip(std::tuple(1, true, std::string("x"))) == std::tuple(1, true, std::string("x")));
  CHECK(round_trip(std::tuple()) == std::tuple());
  CHECK(round_trip(std::array{1, 2, 3}) == std::array{1, 2, 3});
  CHECK(round_trip(std::array{true, false}) == std::array{true, false});
  CHECK(round_trip(std::array<std::string, 2>{"a", "b"}) == std::array<std::string, 2>{"a", "b"});
  CHECK(round_trip(std::array<std::string, 0>{}).empty());
  CHECK(round_trip(std::monostate()) == std::monostate());
}

TEST_CASE("values need no default constructor") {
  const named_no_default value{no_default(7), "seven"};
  CHECK(round_trip(value) == value);
  CHECK(round_trip(std::pair(value, 1)) == std::pair(value, 1));
  CHECK(round_trip(std::tuple(value)) == std::tuple(value));
  CHECK(round_trip(std::array{value, value}) == std::array{value, value});
  CHECK(round_trip(std::optional(value)) == std::optional(value));
  CHECK(*round_trip(std::make_unique<no_default>(8)) == no_default(8));
}

TEST_CASE("an optional comes back full or empty") {
  CHECK(round_trip(std::optional(5)) == std::optional(5));
  CHECK(round_trip(std::optional<int>()) == std::nullopt);
  CHECK(round_trip(std::optional(std::optional<int>())) == std::optional(std::optional<int>()));
  auto bytes = encoded(std::optional(5));
  bytes[0] = std::byte{2};
  CHECK_THROWS_AS(decoded<std::optional<int>>(bytes), codec_error);
}

TEST_CASE("a variant comes back with the alternative it had") {
  using either = std::variant<int, std::string, int>;
  CHECK(round_trip(either(std::in_place_index<0>, 1)) == either(std::in_place_index<0>, 1));
  CHECK(round_trip(either("x")) == either("x"));
  CHECK(round_trip(either(std::in_place_index<2>, 3)) == either(std::in_place_index<2>, 3));
  CHECK(round_trip(std::variant<std::monostate, int>()).index() == 0);
}

TEST_CASE("a variant's alternative must exist") {
  using either = std::variant<int, std::string>;
  for (const std::uint32_t index : {2U, 3U, 0x80000000U, 0xffffffffU}) {
    writer out;
    out.put(index);
    out.put(std::uint64_t{0});
    CHECK_THROWS_AS(decoded<either>(out.bytes()), codec_error);
  }
}

TEST_CASE("a variant that lost its value cannot be saved") {
  std::variant<int, throws_on_copy> value = 1;
  const throws_on_copy bad;
  CHECK_THROWS_AS((value.emplace<1>(bad)), int);
  REQUIRE(value.valueless_by_exception());
  CHECK_THROWS_AS(encoded(value), codec_error);
}

TEST_CASE("a unique_ptr comes back with its object, or null") {
  CHECK(*round_trip(std::make_unique<std::string>("x")) == "x");
  CHECK(round_trip(std::unique_ptr<int>()) == nullptr);
}

TEST_CASE("a chain of unique_ptr comes back, and one without end is refused") {
  chain first;
  chain* last = &first;
  for (int i = 1; i < 100; ++i) {
    last->next = std::make_unique<chain>();
    last = last->next.get();
    last->value = i;
  }
  const chain copy = round_trip(first);
  int count = 0;
  for (const chain* link = &copy; link != nullptr; link = link->next.get()) CHECK(link->value == count++);
  CHECK(count == 100);

  const std::vector<std::byte> hostile(1000000, std::byte{1});
  CHECK_THROWS_AS(decoded<chain>(hostile), codec_error);
}

TEST_CASE("every cut of a value is an error") {
  CHECK(refuses_every_cut(std::pair(1, std::array<std::string, 2>{"a", "bc"})));
  CHECK(refuses_every_cut(std::tuple(1, true, 'x', std::optional(2.5), std::optional<int>())));
  CHECK(refuses_every_cut(std::variant<int, std::string>("abc")));
  CHECK(refuses_every_cut(std::make_unique<std::string>("abc")));
  CHECK(refuses_every_cut(std::array{1, 2, 3}));
}
