#include <manyhands/detail/aggregate.hpp>

#include <any>
#include <array>
#include <atomic>
#include <complex>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::detail::anatomy_of;
using manyhands::detail::layout;

template <class T, std::size_t Fields>
inline constexpr bool is_plain = (anatomy_of<T>.kind == layout::plain) && (anatomy_of<T>.fields == Fields);
template <class T>
inline constexpr bool is_opaque = anatomy_of<T>.kind == layout::opaque;
template <class T>
inline constexpr bool is_closed = anatomy_of<T>.kind == layout::closed;

struct empty {};
struct one {
  int a;
};
struct two {
  int a;
  std::string b;
};
struct nested {
  two a;
  one b;
  empty c;
  std::array<two, 3> d;
};
struct self_holding {
  int value;
  std::vector<self_holding> kids;
};
struct pointing_to_self {
  std::unique_ptr<pointing_to_self> next;
};
struct mapping_to_self {
  std::map<std::string, mapping_to_self> kids;
};

struct no_default {
  explicit no_default(int) {}
};
struct no_default_pair {
  no_default_pair(int, int) {}
};
struct move_only {
  std::unique_ptr<int> a;
  int b;
};
struct immovable {
  std::mutex a;
  std::atomic<int> b;
};
struct with_no_default {
  int a;
  no_default b;
  no_default_pair c;
  int d;
};
struct many_kinds {
  std::string a;
  std::optional<int> b;
  std::variant<int, std::string> c;
  std::vector<double> d;
  std::map<int, std::string> e;
  std::filesystem::path f;
  std::tuple<int, int> g;
  std::pair<int, std::string> h;
  std::function<void()> i;
  std::complex<double> j;
  std::unordered_map<int, int> k;
  std::string_view l;
  std::shared_ptr<int> m;
  const int n;
  std::optional<std::string> o;
  std::vector<bool> p;
  int* q;
  void (*r)(int);
  int one::*s;
  std::array<int, 4> t;
};
struct with_defaults {
  int a = 1;
  std::string b = "b";
  double c = 3;
};

struct array_first {
  int a[3];
  int b;
};
struct array_last {
  std::string a;
  char b[64];
};
struct array_of_arrays {
  int a[2][3];
  std::string b[2];
  int c;
};
struct array_alone {
  int a[7];
};
struct array_of_one {
  int a[1];
  int b;
};
struct array_of_pairs {
  one a[3];
  one b;
  two c[2];
  two d;
};
struct array_of_no_default {
  no_default a[3];
  int b;
};
struct array_of_move_only {
  std::unique_ptr<int> a[3];
  int b[2];
};
struct array_behind_classes {
  two a;
  nested b;
  no_default c;
  int d[5];
  no_default e[2];
};
struct array_of_chars {
  char a[16];
  char b[16];
  wchar_t c[3];
};
struct array_too_big {
  char a[1000];
};
struct array_at_the_limit {
  char a[250];
  int b;
};

struct bits {
  unsigned a : 3;
  unsigned b : 5;
  bool c : 1;
  std::string d;
};
struct unnamed_union {
  int kind;
  union {
    int i;
    float f;
  };
  std::string text;
};
union number {
  int i;
  float f;
};
struct named_union {
  int kind;
  number value;
};

struct base_one {
  int a;
};
struct on_aggregate : base_one {
  int b;
};
struct on_empty : empty {
  int b;
};
struct only_a_base : empty {};
struct on_class : std::string {
  int b;
};
struct on_any : std::any {
  int b;
};
struct on_two : base_one, empty {
  std::string b;
};
struct with_any_first {
  int a;
  std::any b;
};

struct reference {
  int& a;
};
struct reference_inside {
  int a;
  int& b;
  int c;
};
struct const_reference {
  const int& a;
  int b;
};
struct moving_reference {
  int&& a;
};

class with_constructor {
 public:
  with_constructor(int a, int b) : a_(a), b_(b) {}

 private:
  [[maybe_unused]] int a_;
  [[maybe_unused]] int b_;
};
class with_private {
  [[maybe_unused]] int a_ = 0;

 public:
  int b = 0;
};
struct with_virtual {
  virtual ~with_virtual() = default;
  int a = 0;
};
class holds_private_type {
  struct hidden {
    int a;
    std::string b;
  };

 public:
  using type = hidden;
};
struct of_private_type {
  holds_private_type::type a;
  int b;
};
struct no_destructor {
  ~no_destructor() = delete;
  int a;
};
struct tuple_like {
  int a;
  std::string b;
};

struct of_32 {
  int a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7, c0, c1, c2, c3, c4, c5, c6, c7, d0, d1, d2, d3, d4, d5, d6, d7;
};
struct of_33 {
  of_32 a;
  int a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7, c0, c1, c2, c3, c4, c5, c6, c7, d0, d1, d2, d3, d4, d5, d6, d7;
};

template <class T>
struct of_any_type {
  T a;
  T b[2];
};

}  // namespace

template <>
struct std::tuple_size<tuple_like> : std::integral_constant<std::size_t, 1> {};

static_assert(is_plain<empty, 0> && is_plain<one, 1> && is_plain<two, 2> && is_plain<nested, 4>);
static_assert(is_plain<self_holding, 2> && is_plain<pointing_to_self, 1> && is_plain<mapping_to_self, 1>);
static_assert(is_plain<with_no_default, 4> && is_plain<move_only, 2> && is_plain<immovable, 2> && is_plain<with_defaults, 3>);
static_assert(is_plain<many_kinds, 20>);

static_assert(is_plain<array_first, 2> && is_plain<array_last, 2> && is_plain<array_of_arrays, 3> && is_plain<array_alone, 1>);
static_assert(is_plain<array_of_one, 2> && is_plain<array_of_pairs, 4> && is_plain<array_of_no_default, 2>);
static_assert(is_plain<array_of_move_only, 2> && is_plain<array_behind_classes, 5> && is_plain<array_of_chars, 3>);
static_assert(is_plain<array_at_the_limit, 2> && is_opaque<array_too_big>);

static_assert(is_plain<bits, 4>);
static_assert(is_opaque<unnamed_union> && is_opaque<named_union> && is_opaque<number>);
static_assert(is_opaque<on_aggregate> && is_opaque<on_empty> && is_opaque<only_a_base> && is_opaque<on_class> && is_opaque<on_any>);
static_assert(is_opaque<on_two> && is_plain<with_any_first, 2>);

static_assert(is_closed<reference> && is_closed<reference_inside>);
static_assert(is_plain<const_reference, 2>);
static_assert(anatomy_of<moving_reference>.kind != layout::opaque);

static_assert(is_opaque<with_constructor> && is_opaque<with_private> && is_opaque<with_virtual> && is_opaque<tuple_like>);
static_assert(is_opaque<int> && is_opaque<int*> && is_opaque<std::string> && is_opaque<std::array<std::string, 100000>>);
static_assert(is_plain<of_private_type, 2> && is_plain<holds_private_type::type, 2> && !is_plain<no_destructor, 1>);
static_assert(is_plain<of_32, 32> && is_opaque<of_33>);

static_assert(is_plain<of_any_type<int>, 2> && is_plain<of_any_type<std::string>, 2> && is_plain<of_any_type<two>, 2>);
static_assert(is_plain<of_any_type<std::optional<int>>, 2> && is_plain<of_any_type<std::vector<int>>, 2>);
static_assert(is_plain<of_any_type<std::variant<int, double>>, 2> && is_plain<of_any_type<no_default>, 2>);
static_assert(is_plain<of_any_type<empty>, 2> && is_plain<of_any_type<std::array<int, 2>>, 2> && is_plain<of_any_type<array_of_arrays>, 2>);

TEST_CASE("the anatomy of a class is known to the compiler") { STATIC_REQUIRE(is_plain<nested, 4>); }
