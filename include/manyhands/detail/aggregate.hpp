#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace manyhands::detail {

template <class... Ts>
struct types {};

/// Initialises a member of any type: it is never really converted, only asked whether it could be.
struct anything {
  template <class T>
  operator T() const;
};
/// Initialises nothing but a base of `T`.
template <class T>
struct any_base_of {
  template <class U>
  requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T>) operator U() const;
};
/// Initialises nothing but a union.
struct any_union {
  template <class U>
  requires(std::is_union_v<U>) operator U() const;
};
/// Initialises only a member that takes everything, as a `std::any` does.
struct nothing {};

template <std::size_t>
using anything_at = anything;

template <class T, std::size_t... I>
consteval bool takes(std::index_sequence<I...>) {
  return requires { T{anything_at<I>()...}; };
}
template <class T, class Special, std::size_t... Before, std::size_t... After>
consteval bool takes_special(std::index_sequence<Before...>, std::index_sequence<After...>) {
  return requires { T{anything_at<Before>()..., Special(), anything_at<After>()...}; };
}
template <class T, std::size_t... Before, std::size_t... Inside, std::size_t... After>
consteval bool takes_braced(std::index_sequence<Before...>, std::index_sequence<Inside...>, std::index_sequence<After...>) {
  return requires { T{anything_at<Before>()..., {anything_at<Inside>()...}, anything_at<After>()...}; };
}

/// `T{x, ... n times}` is valid.
template <class T, std::size_t N>
inline constexpr bool takes_n = takes<T>(std::make_index_sequence<N>());
/// The same with one special initialiser at a position.
template <class T, class Special, std::size_t Before, std::size_t After>
inline constexpr bool takes_at = takes_special<T, Special>(std::make_index_sequence<Before>(), std::make_index_sequence<After>());
/// `T{x, ..., {y, ...}, z, ...}` is valid.
template <class T, std::size_t Before, std::size_t Inside, std::size_t After>
inline constexpr bool takes_inside =
    takes_braced<T>(std::make_index_sequence<Before>(), std::make_index_sequence<Inside>(), std::make_index_sequence<After>());

/// The most fields that structured bindings are written out for, and the most initialisers that are tried.
inline constexpr std::size_t most_fields = 32;
inline constexpr std::size_t most_slots = 256;

/// The least n for which `takes_n` holds; above `most_fields` if there is none.
template <class T, std::size_t N = 0>
consteval std::size_t fewest_slots() {
  if constexpr (N > most_fields || takes_n<T, N>) {
    return N;
  } else {
    return fewest_slots<T, N + 1>();
  }
}
// From the fewest on it holds up to the most without a gap: so doubling steps, then halving ones.
template <class T, std::size_t Holds, std::size_t Fails>
consteval std::size_t most_slots_between() {
  if constexpr (Fails - Holds <= 1) {
    return Holds;
  } else if constexpr (takes_n<T, (Holds + Fails) / 2>) {
    return most_slots_between<T, (Holds + Fails) / 2, Fails>();
  } else {
    return most_slots_between<T, Holds, (Holds + Fails) / 2>();
  }
}
template <class T, std::size_t Holds, std::size_t Step = 1>
consteval std::size_t most_slots_from() {
  if constexpr (Holds > most_slots) {
    return Holds;
  } else if constexpr (takes_n<T, Holds + Step>) {
    return most_slots_from<T, Holds + Step, Step * 2>();
  } else {
    return most_slots_between<T, Holds, Holds + Step>();
  }
}

/// How many of the `N` initialisers the member at position `P` consumes: more than one for a C array, whose braces may be left out.
template <class T, std::size_t N, std::size_t P, std::size_t K = 1>
consteval std::size_t slots_at() {
  if constexpr (K == 1) {
    if constexpr (takes_inside<T, P, 1, N - P - 1> || takes_inside<T, P, 0, N - P - 1>) {
      return 1;
    } else {
      return slots_at<T, N, P, 2>();
    }
  } else if constexpr (K > N - P) {
    return 1;  // a class that neither `{}` nor `{x}` can make
  } else if constexpr (takes_inside<T, P, K, N - P - K> && !takes_inside<T, P, K, N - P - K + 1>) {
    return K;  // nothing but an array of K leaves no room for one more behind it
  } else {
    return slots_at<T, N, P, K + 1>();
  }
}
template <class T, std::size_t N, std::size_t P = 0>
consteval std::size_t count_fields() {
  if constexpr (P >= N) {
    return 0;
  } else {
    return 1 + count_fields<T, N, P + slots_at<T, N, P>()>();
  }
}
template <class T, std::size_t N, std::size_t... P>
consteval bool has_union(std::index_sequence<P...>) {
  return ((takes_at<T, any_union, P, N - P - 1> && !takes_at<T, nothing, P, N - P - 1>) || ...);
}

/// What can be known of a class.
enum class layout {
  plain,   ///< a list of fields
  opaque,  ///< fields that cannot be listed: not an aggregate, bases, unions, or too many
  closed   ///< an aggregate that cannot be made from values: it has reference members
};

struct anatomy {
  layout kind = layout::opaque;
  std::size_t fields = 0;
};

template <class T>
consteval anatomy dissect() {
  if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T> || requires { sizeof(std::tuple_size<T>); }) {
    return {};  // a tuple-like class would be bound by its `get`
  } else {
    constexpr std::size_t fewest = fewest_slots<T>();
    if constexpr (fewest > most_fields) {
      return {layout::closed, 0};
    } else {
      constexpr std::size_t slots = most_slots_from<T, fewest>();
      if constexpr (slots == 0) {
        return {layout::plain, 0};
      } else if constexpr (slots > most_slots) {
        return {};
      } else if constexpr (takes_at<T, any_base_of<T>, 0, slots - 1> || has_union<T, slots>(std::make_index_sequence<slots>())) {
        return {};  // structured bindings refuse both, and not softly
      } else {
        constexpr std::size_t fields = count_fields<T, slots>();
        return fields > most_fields ? anatomy{} : anatomy{layout::plain, fields};
      }
    }
  }
}

/// The layout of `T` and the number of its fields.
template <class T>
inline constexpr anatomy anatomy_of = dissect<T>();

/// Calls `f.operator()<Fields...>(fields...)` with the declared types and the values of a plain aggregate's fields.
template <class T, class F, std::size_t N = anatomy_of<std::remove_const_t<T>>.fields>
decltype(auto) with_fields(T& value, F&& f) {
  if constexpr (N == 1) {
    auto& [f1] = value;
    return f.template operator()<decltype(f1)>(f1);
  } else if constexpr (N == 2) {
    auto& [f1, f2] = value;
    return f.template operator()<decltype(f1), decltype(f2)>(f1, f2);
  } else if constexpr (N == 3) {
    auto& [f1, f2, f3] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3)>(f1, f2, f3);
  } else if constexpr (N == 4) {
    auto& [f1, f2, f3, f4] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4)>(f1, f2, f3, f4);
  } else if constexpr (N == 5) {
    auto& [f1, f2, f3, f4, f5] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5)>(f1, f2, f3, f4, f5);
  } else if constexpr (N == 6) {
    auto& [f1, f2, f3, f4, f5, f6] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6)>(f1, f2, f3, f4, f5, f6);
  } else if constexpr (N == 7) {
    auto& [f1, f2, f3, f4, f5, f6, f7] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7)>(f1, f2, f3, f4, f5, f6, f7);
  } else if constexpr (N == 8) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8)>(f1, f2, f3, f4, f5, f6, f7, f8);
  } else if constexpr (N == 9) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9)>(f1, f2, f3, f4, f5, f6, f7, f8, f9);
  } else if constexpr (N == 10) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10);
  } else if constexpr (N == 11) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11);
  } else if constexpr (N == 12) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12);
  } else if constexpr (N == 13) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13);
  } else if constexpr (N == 14) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14);
  } else if constexpr (N == 15) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15);
  } else if constexpr (N == 16) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16);
  } else if constexpr (N == 17) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17);
  } else if constexpr (N == 18) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18);
  } else if constexpr (N == 19) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19);
  } else if constexpr (N == 20) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20);
  } else if constexpr (N == 21) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21);
  } else if constexpr (N == 22) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22);
  } else if constexpr (N == 23) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22), decltype(f23)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23);
  } else if constexpr (N == 24) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24);
  } else if constexpr (N == 25) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24), decltype(f25)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25);
  } else if constexpr (N == 26) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24), decltype(f25), decltype(f26)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26);
  } else if constexpr (N == 27) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24), decltype(f25), decltype(f26), decltype(f27)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27);
  } else if constexpr (N == 28) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24), decltype(f25), decltype(f26), decltype(f27), decltype(f28)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28);
  } else if constexpr (N == 29) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24), decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29);
  } else if constexpr (N == 30) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24), decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29), decltype(f30)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30);
  } else if constexpr (N == 31) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24), decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29), decltype(f30), decltype(f31)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31);
  } else if constexpr (N == 32) {
    auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32] = value;
    return f.template operator()<decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24), decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29), decltype(f30), decltype(f31), decltype(f32)>(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32);
  } else {
    static_assert(N == 0);
    return f.template operator()<>();
  }
}

struct list_fields {
  template <class... Fields>
  types<std::remove_cv_t<Fields>...> operator()(const std::remove_reference_t<Fields>&...) const {
    return {};
  }
};

/// The types of a plain aggregate's fields: references and arrays are kept, const is not.
template <class T>
using fields_of = decltype(with_fields(std::declval<T&>(), list_fields()));

}  // namespace manyhands::detail
