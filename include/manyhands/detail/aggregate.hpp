#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace manyhands::detail {

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
inline constexpr bool takes_inside = takes_braced<T>(std::make_index_sequence<Before>(), std::make_index_sequence<Inside>(),
                                                     std::make_index_sequence<After>());

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
  if constexpr (K == 1 && takes_inside<T, P, 0, N - P - 1>) {
    // Not `{x}`: in a vector that may be a list of one element, and clang would compile that list's copy.
    return 1;
  } else if constexpr (K > N - P) {
    return 1;  // a class that `{}` cannot make
  } else if constexpr (K > 1 && takes_inside<T, P, K, N - P - K> && !takes_inside<T, P, K, N - P - K + 1>) {
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
  opaque,  ///< fields that cannot be listed: not an aggregate, bases, unions, a flexible array, or too many
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
      } else if constexpr (takes_inside<T, slots, 0, 0>) {
        return {};  // an array without elements at the end, as C has it
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

}  // namespace manyhands::detail
