#include <manyhands/codec.hpp>

#include <array>
#include <bitset>
#include <chrono>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <support/catch.hpp>
#include <support/codec_round_trip.hpp>

namespace {

using manyhands::codec_error;
using manyhands::reader;
using manyhands::transportable;
using manyhands::writer;
using manyhands_test::decoded;
using manyhands_test::encoded;
using manyhands_test::refuses_every_cut;
using manyhands_test::round_trip;

struct point {
  int x;
  double y;
  friend bool operator==(const point&, const point&) = default;
};
enum class color : std::uint8_t { red, green, blue };

/// One field of everything.
struct everything {
  int a;
  bool b[3];
  std::string c;
  std::vector<point> d;
  std::map<std::string, std::vector<int>> e;
  std::optional<std::string> f;
  std::variant<std::monostate, int, std::string> g;
  std::unique_ptr<std::string> h;
  std::vector<bool> i;
  std::list<std::pair<int, std::string>> j;
  std::unordered_map<int, std::set<std::string>> k;
  std::array<std::string, 2> l;
  std::chrono::milliseconds m;
  std::complex<double> n;
  std::filesystem::path o;
  std::bitset<11> p;
  std::tuple<color, bool, std::deque<std::string>> q;
  std::error_code r;
  std::vector<everything> s;
};

everything sample() {
  everything value{};
  value.a = 1;
  value.b[1] = true;
  value.c = "text";
  value.d = {{1, 2}, {3, 4}};
  value.e = {{"one", {1}}, {"two", {1, 2}}};
  value.f = "maybe";
  value.g = "either";
  value.h = std::make_unique<std::string>("owned");
  value.i = {true, false, true};
  value.j = {{1, "a"}, {2, "b"}};
  value.k = {{1, {"x", "y"}}, {2, {}}};
  value.l = {"l", "ll"};
  value.m = std::chrono::milliseconds(5);
  value.n = {1, 2};
  value.o = "/a/b";
  value.p = 0x123;
  value.q = {color::blue, true, {"d", "e"}};
  value.r = std::make_error_code(std::errc::io_error);
  everything inner{};
  inner.c = "inner";
  value.s.push_back(std::move(inner));
  return value;
}

}  // namespace

/// The example of the documentation: a class with a secret.
class money {
 public:
  explicit money(std::int64_t cents) : cents_(cents) {}
  money(const money& other) : cents_(other.cents_) {}
  std::int64_t cents() const { return cents_; }
  friend bool operator==(const money& a, const money& b) { return a.cents_ == b.cents_; }

 private:
  std::int64_t cents_;
};
template <>
struct manyhands::codec<money> {
  static void save(const money& value, writer& out) { out.put(value.cents()); }
  static money load(reader& in) { return money(in.get<std::int64_t>()); }
};

/// A container of its own kind, and a base with derived classes.
struct matrix : std::vector<double> {
  std::size_t columns = 0;
};
template <>
struct manyhands::codec<matrix> {
  static void save(const matrix& value, writer& out) {
    out.put(static_cast<const std::vector<double>&>(value));
    out.put(value.columns);
  }
  static matrix load(reader& in) {
    matrix value;
    static_cast<std::vector<double>&>(value) = in.get<std::vector<double>>();
    value.columns = in.get<std::size_t>();
    if (value.columns == 0 || value.size() % value.columns != 0) throw codec_error("no matrix has these columns");
    return value;
  }
};

struct shape {
  virtual ~shape() = default;
  virtual double area() const = 0;
};
struct square final : shape {
  explicit square(double length) : side(length) {}
  double area() const override { return side * side; }
  double side;
};
template <>
struct manyhands::codec<std::unique_ptr<shape>> {
  static void save(const std::unique_ptr<shape>& value, writer& out) { out.put(std::sqrt(value->area())); }
  static std::unique_ptr<shape> load(reader& in) { return std::make_unique<square>(in.get<double>()); }
};

static_assert(transportable<everything> && transportable<money> && transportable<matrix> && transportable<std::unique_ptr<shape>>);
static_assert(!transportable<shape>);

TEST_CASE("a struct with one field of everything comes back") {
  const everything value = sample();
  const everything copy = round_trip(value);
  CHECK(copy.a == 1);
  CHECK(copy.b[1]);
  CHECK_FALSE(copy.b[2]);
  CHECK(copy.c == value.c);
  CHECK(copy.d == value.d);
  CHECK(copy.e == value.e);
  CHECK(copy.f == value.f);
  CHECK(copy.g == value.g);
  REQUIRE(copy.h);
  CHECK(*copy.h == "owned");
  CHECK(copy.i == value.i);
  CHECK(copy.j == value.j);
  CHECK(copy.k == value.k);
  CHECK(copy.l == value.l);
  CHECK(copy.m == value.m);
  CHECK(copy.n == value.n);
  CHECK(copy.o == value.o);
  CHECK(copy.p == value.p);
  CHECK(copy.q == value.q);
  CHECK(copy.r == value.r);
  REQUIRE(copy.s.size() == 1);
  CHECK(copy.s[0].c == "inner");
}

TEST_CASE("a user's class, container and hierarchy come back by the user's codec") {
  CHECK(round_trip(money(5)) == money(5));
  CHECK(round_trip(std::map<std::string, money>{{"a", money(1)}}).at("a") == money(1));
  matrix value;
  value.assign({1, 2, 3, 4});
  value.columns = 2;
  CHECK(round_trip(value).columns == 2);
  CHECK(round_trip(value) == value);
  std::vector<std::unique_ptr<shape>> shapes;
  shapes.push_back(std::make_unique<square>(3));
  CHECK(round_trip(shapes).at(0)->area() == 9);
}

TEST_CASE("several values stand behind each other in one buffer") {
  writer out;
  out.put(1);
  out.put(std::string("two"));
  out.put(3.0);
  reader in(out.bytes());
  CHECK(in.get<int>() == 1);
  CHECK(in.get<std::string>() == "two");
  CHECK(in.get<const double>() == 3.0);
  CHECK(in.remaining() == 0);
  in.finish();
}

TEST_CASE("every cut of everything is an error") { CHECK(refuses_every_cut(sample())); }

TEST_CASE("bytes changed at random are a value or an error, never anything else") {
  const std::vector<std::byte> good = encoded(sample());
  std::mt19937 random(20240607);
  const auto below = [&](std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(random); };
  int refused = 0;
  for (int round = 0; round < 100000; ++round) {
    std::vector<std::byte> bytes = good;
    for (std::size_t change = below(4) + 1; change > 0; --change) {
      switch (below(5)) {
        case 0:
          bytes[below(bytes.size())] ^= std::byte{1} << below(8);
          break;
        case 1:
          bytes[below(bytes.size())] = std::byte(below(256));
          break;
        case 2:
          bytes[below(bytes.size())] = std::byte{0xff};
          break;
        case 3:
          bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())), std::byte(below(256)));
          break;
        default:
          if (bytes.size() > 1) bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())));
      }
    }
    try {
      static_cast<void>(encoded(decoded<everything>(bytes)));
    } catch (const codec_error&) {
      ++refused;
    }
  }
  CHECK(refused > 10000);
  CHECK(refused < 100000);
}

TEST_CASE("bytes made at random are a value or an error, never anything else") {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bytes(random() % 200);
    for (std::byte& byte : bytes) byte = random() % 4 == 0 ? std::byte(random() % 256) : std::byte(random() % 3);
    try {
      static_cast<void>(encoded(decoded<everything>(bytes)));
    } catch (const codec_error&) {
    }
    try {
      static_cast<void>(encoded(decoded<std::vector<std::vector<std::optional<std::string>>>>(bytes)));
    } catch (const codec_error&) {
    }
  }
}
