#include <manyhands/detail/codec_sequences.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
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
  friend auto operator<=>(const no_default&, const no_default&) = default;

 private:
  int value_;
};
class only_moves {
 public:
  explicit only_moves(int value) : value_(value) {}
  only_moves(only_moves&&) = default;
  only_moves& operator=(only_moves&&) = default;
  friend bool operator==(const only_moves&, const only_moves&) = default;

 private:
  int value_;
};
struct tree {
  int value = 0;
  std::vector<tree> kids;
  friend bool operator==(const tree&, const tree&) = default;
};
struct dictionary {
  std::map<std::string, dictionary> entries;
  std::list<dictionary> others;
};
struct says_nothing {};
struct big {
  double values[128];
};
struct incomplete;
struct backwards : std::greater<int> {};
struct either_way {
  bool up = true;
  bool operator()(int a, int b) const { return up ? a < b : b < a; }
};
struct needs_an_argument {
  explicit needs_an_argument(int) {}
  bool operator()(int a, int b) const { return a < b; }
};

/// Refuses to be large: what a lying count asks for shows as `std::bad_alloc`.
template <class T>
struct small_allocator {
  using value_type = T;
  small_allocator() = default;
  template <class U>
  explicit small_allocator(const small_allocator<U>&) {}
  T* allocate(std::size_t count) {
    if (count > 1000) throw std::bad_alloc();
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* at, std::size_t count) { std::allocator<T>().deallocate(at, count); }
  friend bool operator==(const small_allocator&, const small_allocator&) = default;
};

}  // namespace

template <>
struct manyhands::codec<says_nothing> {
  static void save(const says_nothing&, writer&) {}
  static says_nothing load(reader&) { return {}; }
};
template <>
struct manyhands::codec<only_moves> {
  static void save(const only_moves& value, writer& out) { out.write(&value, sizeof value); }
  static only_moves load(reader& in) {
    int value = 0;
    in.read(&value, sizeof value);
    return only_moves(value);
  }
};

static_assert(transportable<std::string> && transportable<std::u16string> && transportable<std::wstring>);
static_assert(transportable<std::vector<bool>> && transportable<std::vector<std::vector<std::string>>>);
static_assert(transportable<std::pmr::vector<int>> && transportable<std::pmr::string>);
static_assert(transportable<tree> && transportable<dictionary> && transportable<std::vector<tree>>);
static_assert(transportable<std::vector<std::unique_ptr<int>>> && transportable<std::map<std::string, std::unique_ptr<int>>>);
static_assert(transportable<std::set<int, backwards>> && !transportable<std::set<int, needs_an_argument>> &&
              !transportable<std::set<int, either_way>> && !transportable<std::set<int, bool (*)(int, int)>>);
static_assert(!transportable<std::vector<int*>> && !transportable<std::map<int, std::string_view>> &&
              !transportable<std::vector<incomplete>> && !transportable<std::list<std::span<int>>>);
static_assert(fixed_codec_size<std::string> == 0 && fixed_codec_size<std::vector<int>> == 0);

TEMPLATE_TEST_CASE("a container of ints comes back as it was", "", std::vector<int>, std::deque<int>, std::list<int>,
                   std::forward_list<int>, std::set<int>, std::multiset<int>, std::unordered_set<int>, std::unordered_multiset<int>,
                   (std::set<int, backwards>), (std::vector<int, small_allocator<int>>), std::pmr::vector<int>) {
  const TestType some{3, 1, 4, 15, 9, 2, 6};
  CHECK(round_trip(some) == some);
  CHECK(round_trip(TestType()) == TestType());
  CHECK(refuses_every_cut(some));
}

TEMPLATE_TEST_CASE("a container of strings comes back as it was", "", std::vector<std::string>, std::deque<std::string>,
                   std::list<std::string>, std::forward_list<std::string>, std::set<std::string>, std::multiset<std::string>,
                   std::unordered_set<std::string>, std::unordered_multiset<std::string>) {
  const TestType some{"a", "", "a string that is too long to lie within the object itself", "b"};
  CHECK(round_trip(some) == some);
  CHECK(round_trip(TestType()) == TestType());
  CHECK(refuses_every_cut(some));
}

TEMPLATE_TEST_CASE("a map comes back as it was", "", (std::map<int, std::string>), (std::multimap<int, std::string>),
                   (std::unordered_map<int, std::string>), (std::unordered_multimap<int, std::string>)) {
  const TestType some{{1, "one"}, {2, "two"}, {-3, ""}};
  CHECK(round_trip(some) == some);
  CHECK(round_trip(TestType()) == TestType());
  CHECK(refuses_every_cut(some));
}

TEST_CASE("equal keys come back in their order") {
  const std::multimap<int, int> value{{1, 3}, {1, 1}, {1, 2}, {0, 5}};
  CHECK(round_trip(value) == value);
  const std::multiset<int> set{1, 1, 1, 2};
  CHECK(round_trip(set) == set);
}

TEST_CASE("a key that comes twice where it may not is an error") {
  CHECK_THROWS_AS(decoded<std::set<int>>(encoded(std::vector{1, 2, 1})), codec_error);
  CHECK_THROWS_AS(decoded<std::unordered_set<int>>(encoded(std::vector{1, 2, 1})), codec_error);
  const std::vector<std::pair<int, int>> pairs{{1, 1}, {1, 2}};
  CHECK_THROWS_AS((decoded<std::map<int, int>>(encoded(pairs))), codec_error);
  CHECK_THROWS_AS((decoded<std::unordered_map<int, int>>(encoded(pairs))), codec_error);
}

TEST_CASE("keys in the wrong order are put in order") { CHECK(decoded<std::set<int>>(encoded(std::vector{3, 1, 2})) == std::set{1, 2, 3}); }

TEST_CASE("strings come back with every character") {
  const std::string text("nul \0 and \xff", 11);
  CHECK(round_trip(text) == text);
  CHECK(round_trip(std::string()).empty());
  CHECK(round_trip(std::u32string(U"ä€😀")) == U"ä€😀");
  CHECK(round_trip(std::wstring(L"wide")) == L"wide");
  CHECK(refuses_every_cut(std::u16string(u"abc")));
}

TEST_CASE("a vector of bool comes back, of every length, in one bit each") {
  for (std::size_t size = 0; size < 40; ++size) {
    std::vector<bool> value(size);
    for (std::size_t i = 0; i < size; i += 3) value[i] = true;
    CHECK(round_trip(value) == value);
    CHECK(encoded(value).size() == 8 + (size + 7) / 8);
    CHECK(refuses_every_cut(value));
  }
}

TEST_CASE("a vector of bool refuses lies about its length") {
  writer out;
  out.put(std::numeric_limits<std::uint64_t>::max());
  out.put(std::uint64_t{0});
  CHECK_THROWS_AS(decoded<std::vector<bool>>(out.bytes()), codec_error);
  auto bytes = encoded(std::vector<bool>(3));
  bytes[8] = std::byte{0x08};
  CHECK_THROWS_AS(decoded<std::vector<bool>>(bytes), codec_error);
}

TEST_CASE("plain elements are copied in one piece wherever the bytes lie") {
  const std::vector<double> value{1, 2, 3, 4, 5};
  const auto bytes = encoded(value);
  CHECK(bytes.size() == 8 + 5 * sizeof(double));
  for (std::size_t shift = 0; shift < 8; ++shift) {
    std::vector<std::byte> moved(shift);
    moved.insert(moved.end(), bytes.begin(), bytes.end());
    CHECK(decoded<std::vector<double>>(std::span(moved).subspan(shift)) == value);
    CHECK(decoded<std::deque<double>>(std::span(moved).subspan(shift)).size() == 5);
  }
  std::vector<std::byte> text{std::byte{0}};
  const auto wide = encoded(std::u32string(U"abc"));
  text.insert(text.end(), wide.begin(), wide.end());
  CHECK(decoded<std::u32string>(std::span(text).subspan(1)) == U"abc");
}

TEST_CASE("elements need no default constructor, nor a copy") {
  const std::vector<no_default> plain{no_default(1), no_default(2)};
  CHECK(round_trip(plain) == plain);
  const auto bytes = encoded(plain);
  std::vector<std::byte> moved(1);
  moved.insert(moved.end(), bytes.begin(), bytes.end());
  CHECK(decoded<std::vector<no_default>>(std::span(moved).subspan(1)) == plain);
  CHECK(round_trip(std::set<no_default>{no_default(1)}).size() == 1);

  std::vector<only_moves> moving;
  moving.emplace_back(1);
  moving.emplace_back(2);
  CHECK(round_trip(moving) == moving);
  std::map<int, std::unique_ptr<std::string>> owners;
  owners.emplace(1, std::make_unique<std::string>("one"));
  owners.emplace(2, nullptr);
  const auto copy = round_trip(owners);
  REQUIRE(copy.size() == 2);
  CHECK(*copy.at(1) == "one");
  CHECK(copy.at(2) == nullptr);
  std::forward_list<only_moves> list;
  list.emplace_front(5);
  CHECK(round_trip(list) == list);
}

TEST_CASE("a type that holds itself comes back") {
  const tree value{1, {{2, {{3, {}}, {4, {}}}}, {5, {}}}};
  CHECK(round_trip(value) == value);
  dictionary words;
  words.entries["a"].entries["b"].others.emplace_back();
  CHECK(round_trip(words).entries.at("a").entries.at("b").others.size() == 1);
  CHECK(refuses_every_cut(value));
}

TEST_CASE("a tree without end is refused before the stack is") {
  tree deep;
  for (int i = 0; i < 100; ++i) {
    tree above;
    above.kids.push_back(std::move(deep));
    deep = std::move(above);
  }
  CHECK(round_trip(deep) == deep);
  writer hostile;
  for (int i = 0; i < 100000; ++i) {
    hostile.put(i);
    hostile.put(std::uint64_t{1});
  }
  CHECK_THROWS_AS(decoded<tree>(hostile.bytes()), codec_error);
}

TEST_CASE("elements of no bytes come back, and a lie about their number costs nothing") {
  CHECK(round_trip(std::vector<says_nothing>(1000)).size() == 1000);
  CHECK(round_trip(std::list<std::monostate>(3)).size() == 3);
  CHECK(round_trip(std::vector<std::tuple<>>(3)).size() == 3);
  CHECK(refuses_every_cut(std::vector<says_nothing>(5)));
  for (const std::uint64_t count : {std::uint64_t{1}, std::uint64_t{1} << 32, std::uint64_t{1} << 60}) {
    writer out;
    out.put(count);
    CHECK_THROWS_AS(decoded<std::vector<says_nothing>>(out.bytes()), codec_error);
    CHECK_THROWS_AS(decoded<std::list<std::monostate>>(out.bytes()), codec_error);
    CHECK_THROWS_AS((decoded<std::map<std::monostate, std::monostate>>(out.bytes())), codec_error);
  }
}

TEMPLATE_TEST_CASE("a lie about the number of elements allocates nothing", "", (std::vector<int, small_allocator<int>>),
                   (std::vector<big, small_allocator<big>>), (std::vector<std::string, small_allocator<std::string>>),
                   (std::vector<std::pair<bool, big>, small_allocator<std::pair<bool, big>>>),
                   (std::basic_string<char, std::char_traits<char>, small_allocator<char>>),
                   (std::unordered_set<int, std::hash<int>, std::equal_to<>, small_allocator<int>>)) {
  for (std::uint64_t count = 1; count != 0; count *= 2) {
    writer out;
    out.put(count);
    const std::vector<std::byte> behind(500, std::byte{0xff});
    out.write(behind.data(), behind.size());
    CHECK_THROWS_AS(decoded<TestType>(out.bytes()), codec_error);
  }
}

namespace {

/// Is copied bit by bit, and can be made but not assigned.
struct fixed {
  const std::uint32_t value = 0;
};

}  // namespace

TEST_CASE("many elements arrive as few do, wherever they stand") {
  const std::size_t count = GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{100'000}, std::size_t{1'000'000});
  const bool is_aligned = GENERATE(true, false);
  std::vector<std::uint32_t> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<std::uint32_t>(i * 2654435761u);
  const std::string text(count, 'x');
  const std::vector<fixed> all_fixed(count, fixed{7});
  writer out;
  if (!is_aligned) out.put(std::byte{1});
  out.put(numbers);
  out.put(text);
  out.put(all_fixed);
  manyhands::reader in(out.bytes());
  if (!is_aligned) CHECK(in.get<std::byte>() == std::byte{1});
  CHECK(in.get<std::vector<std::uint32_t>>() == numbers);
  CHECK(in.get<std::string>() == text);
  const auto loaded = in.get<std::vector<fixed>>();
  REQUIRE(loaded.size() == count);
  for (const fixed& each : loaded) REQUIRE(each.value == 7);
  in.finish();
}
