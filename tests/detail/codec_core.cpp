#include <manyhands/detail/codec_core.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <typeindex>
#include <utility>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::codec;
using manyhands::codec_error;
using manyhands::fixed_codec_size;
using manyhands::reader;
using manyhands::transportable;
using manyhands::writer;

enum class color : std::uint8_t { red, green };
enum weekday { monday, tuesday };
enum class answer : bool { no, yes };

struct point {
  int x;
  double y;
  friend bool operator==(const point&, const point&) = default;
};
struct segment {
  point ends[2];
  color paint;
  std::uint16_t grid[2][3];
};
struct empty {};
struct empty_and_tidy {
  ~empty_and_tidy() {}
};
struct with_bool {
  int a;
  bool b;
  friend bool operator==(const with_bool&, const with_bool&) = default;
};
struct with_bools {
  bool a[2][2];
  with_bool b[2];
  short c;
  answer d;
};
struct with_constant {
  const int a;
  const bool b;
};
struct with_bits {
  unsigned a : 3;
  int b : 5;
  bool c : 1;
};
union number {
  int i;
  float f;
};
struct on_base : point {
  int z;
};
class opaque {
 public:
  explicit opaque(int value) : value_(value) {}
  int value() const { return value_; }

 private:
  int value_;
};
struct holds_opaque {
  opaque a;
  bool b;
};

struct holds_pointer {
  int a;
  int* b;
};
struct holds_pointers {
  double a;
  holds_pointer b[2];
};
struct holds_view {
  std::string_view a;
};
struct holds_span {
  std::span<int> a;
};
struct holds_reference {
  int& a;
};
struct holds_const_reference {
  const int& a;
};
struct holds_wrapper {
  std::reference_wrapper<int> a;
};
struct holds_function {
  void (*a)();
  bool b;
};
struct holds_atomic {
  std::atomic<int> a;
};
struct holds_mutex {
  std::mutex a;
};
class iterator_like {
 public:
  int& operator*() const { return *p_; }

 private:
  int* p_ = nullptr;
};
class no_copy_of_bits {
 public:
  no_copy_of_bits() = default;
  no_copy_of_bits(const no_copy_of_bits& other) : a_(other.a_) {}

 private:
  int a_ = 0;
};
struct empty_and_convertible {
  operator int*() const { return nullptr; }
};
struct incomplete;

// Bit copyable, an aggregate, and still the user's own way.
struct own {
  int a;
  int b;
};
struct holds_own {
  int a;
  own b;
};
struct half_a_codec {
  virtual ~half_a_codec() = default;
};
struct wrong_codec {
  virtual ~wrong_codec() = default;
};
template <class T>
struct own_template {
  T a;
};

template <class T>
T back(const writer& out) {
  reader in(out.bytes());
  T value = in.get<T>();
  in.finish();
  return value;
}
template <class T>
T round_trip(const T& value) {
  writer out;
  out.put(value);
  return back<T>(out);
}

}  // namespace

template <>
struct manyhands::codec<own> {
  static void save(const own& value, writer& out) { out.put(value.a + value.b); }
  static own load(reader& in) { return {in.get<int>(), -1}; }
};
template <>
struct manyhands::codec<half_a_codec> {
  static void save(const half_a_codec&, writer&) {}
};
template <>
struct manyhands::codec<wrong_codec> {
  static void save(const wrong_codec&, writer&) {}
  static int load(reader&) { return 0; }
};
template <class T>
struct manyhands::codec<own_template<T>> {
  static void save(const own_template<T>& value, writer& out) { out.put(value.a); }
  static own_template<T> load(reader& in) { return {in.get<T>()}; }
};

static_assert(fixed_codec_size<int> == sizeof(int) && fixed_codec_size<const long double> == sizeof(long double));
static_assert(fixed_codec_size<char> == 1 && fixed_codec_size<color> == 1 && fixed_codec_size<weekday> == sizeof(weekday));
static_assert(fixed_codec_size<std::byte> == 1 && fixed_codec_size<empty> == 1);
static_assert(fixed_codec_size<point> == sizeof(point) && fixed_codec_size<segment> == sizeof(segment));
static_assert(fixed_codec_size<opaque> == sizeof(opaque) && fixed_codec_size<number> == sizeof(number));
static_assert(fixed_codec_size<on_base> == sizeof(on_base));

static_assert(transportable<bool> && fixed_codec_size<bool> == 0);
static_assert(transportable<answer> && fixed_codec_size<answer> == 0);
static_assert(transportable<with_bool> && fixed_codec_size<with_bool> == 0);
static_assert(transportable<with_bools> && fixed_codec_size<with_bools> == 0);
static_assert(transportable<with_bits> && transportable<with_constant> && transportable<holds_opaque>);
static_assert(transportable<const int> && transportable<const with_bool>);

static_assert(!transportable<void> && !transportable<const void> && !transportable<void()> && !transportable<int&> &&
              !transportable<int&&> && !transportable<const int&>);
static_assert(!transportable<int*> && !transportable<void*> && !transportable<const char*> && !transportable<void (*)()>);
static_assert(!transportable<int point::*> && !transportable<int (point::*)()> && !transportable<std::nullptr_t>);
static_assert(!transportable<int[3]> && !transportable<int[]> && !transportable<incomplete>);
static_assert(!transportable<std::string_view> && !transportable<std::span<int>> && !transportable<std::span<int, 3>>);
static_assert(!transportable<std::reference_wrapper<int>> && !transportable<std::initializer_list<int>> && !transportable<std::type_index>);
static_assert(!transportable<holds_pointer> && !transportable<holds_pointers> && !transportable<holds_view> && !transportable<holds_span>);
static_assert(!transportable<holds_reference> && !transportable<holds_const_reference> && !transportable<holds_wrapper>);
static_assert(!transportable<holds_function> && !transportable<holds_atomic> && !transportable<holds_mutex>);
static_assert(!transportable<std::shared_ptr<int>> && !transportable<std::function<void()>> && !transportable<std::mutex>);
static_assert(!transportable<std::vector<int>::iterator> && !transportable<iterator_like> && !transportable<no_copy_of_bits>);
static_assert(transportable<empty_and_convertible>);
static_assert(fixed_codec_size<int*> == 0 && fixed_codec_size<void> == 0 && fixed_codec_size<holds_pointer> == 0);

static_assert(transportable<own> && fixed_codec_size<own> == 0 && transportable<holds_own> && fixed_codec_size<holds_own> == 0);
static_assert(!transportable<half_a_codec> && !transportable<wrong_codec>);
static_assert(transportable<own_template<int>> && fixed_codec_size<own_template<int>> == 0);

TEST_CASE("numbers and enums come back bit by bit") {
  CHECK(round_trip(42) == 42);
  CHECK(round_trip(-0.5) == -0.5);
  CHECK(round_trip('x') == 'x');
  CHECK(round_trip(0x123456789abcdefLL) == 0x123456789abcdefLL);
  CHECK(round_trip(color::green) == color::green);
  CHECK(round_trip(tuesday) == tuesday);
  writer out;
  out.put(std::uint32_t{7});
  CHECK(out.size() == 4);
}

TEST_CASE("a bool is one byte, and only 0 or 1") {
  CHECK(round_trip(true));
  CHECK_FALSE(round_trip(false));
  CHECK(round_trip(answer::yes) == answer::yes);
  writer out;
  out.put(static_cast<unsigned char>(2));
  CHECK_THROWS_AS(back<bool>(out), codec_error);
  CHECK_THROWS_AS(back<answer>(out), codec_error);
}

TEST_CASE("a bool inside an aggregate is checked too") {
  writer out;
  out.put(1);
  out.put(static_cast<unsigned char>(3));
  CHECK_THROWS_AS(back<with_bool>(out), codec_error);
  CHECK(round_trip(with_bool{1, true}) == with_bool{1, true});
}

TEST_CASE("an aggregate of plain data is copied as a whole") {
  const segment value{{{1, 2.5}, {3, 4.5}}, color::green, {{1, 2, 3}, {4, 5, 6}}};
  writer out;
  out.put(value);
  CHECK(out.size() == sizeof(segment));
  const auto copy = back<segment>(out);
  CHECK(copy.ends[1] == value.ends[1]);
  CHECK(copy.paint == color::green);
  CHECK(copy.grid[1][2] == 6);
}

TEST_CASE("C arrays inside an aggregate go element by element") {
  const with_bools value{{{true, false}, {false, true}}, {{1, true}, {2, false}}, 9, answer::yes};
  const auto copy = round_trip(value);
  CHECK(copy.a[0][0]);
  CHECK_FALSE(copy.a[0][1]);
  CHECK_FALSE(copy.a[1][0]);
  CHECK(copy.a[1][1]);
  CHECK(copy.b[0] == value.b[0]);
  CHECK(copy.b[1] == value.b[1]);
  CHECK(copy.c == 9);
  CHECK(copy.d == answer::yes);
}

TEST_CASE("constants, bit-fields, unions, bases and opaque classes travel") {
  CHECK(round_trip(with_constant{5, true}).a == 5);
  CHECK(round_trip(with_constant{5, true}).b);
  const auto bits = round_trip(with_bits{5, -7, true});
  CHECK(bits.a == 5);
  CHECK(bits.b == -7);
  CHECK(bits.c);
  CHECK(round_trip(number{.i = 8}).i == 8);
  on_base derived{};
  derived.x = 3;
  derived.z = 4;
  CHECK(round_trip(derived).x == 3);
  CHECK(round_trip(derived).z == 4);
  CHECK(round_trip(opaque(11)).value() == 11);
  CHECK(round_trip(holds_opaque{opaque(12), true}).a.value() == 12);
}

TEST_CASE("an aggregate without fields takes no bytes") {
  STATIC_REQUIRE(fixed_codec_size<empty_and_tidy> == 0);
  writer out;
  out.put(empty_and_tidy());
  CHECK(out.size() == 0);
  static_cast<void>(back<empty_and_tidy>(out));
}

TEST_CASE("a user's codec comes before every built-in one, inside other types too") {
  const auto alone = round_trip(own{1, 2});
  CHECK(alone.a == 3);
  CHECK(alone.b == -1);
  const auto inside = round_trip(holds_own{5, {1, 2}});
  CHECK(inside.a == 5);
  CHECK(inside.b.a == 3);
  writer out;
  out.put(own_template<std::uint8_t>{7});
  CHECK(out.size() == 1);
}

TEST_CASE("every cut of an aggregate is an error") {
  writer out;
  out.put(with_bools{});
  for (std::size_t size = 0; size < out.size(); ++size) {
    reader in(out.bytes().first(size));
    CHECK_THROWS_AS(in.get<with_bools>(), codec_error);
  }
}
