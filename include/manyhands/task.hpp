#pragma once

#include <array>
#include <compare>
#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>

namespace manyhands {

namespace detail {

template <class Task>
struct packed_form;

}  // namespace detail

/// A call that waits to be made: a function and decayed copies of its arguments. What `delayed(fn)(args...)` gives.
///
/// Calling it calls `fn` with `std::invoke`. A task that may be called again passes its arguments as lvalues, so that they last; an rvalue
/// task hands them over. Where `fn` takes an argument only by move (a `std::unique_ptr` by value), it is handed over even so: such a task
/// is good for one call.
template <class Fn, class... Args>
class task {
  static constexpr bool keeps = std::is_invocable_v<Fn&, Args&...>;
  static constexpr bool gives = std::is_invocable_v<Fn, Args...>;
  static_assert(keeps || gives, "manyhands: delayed(fn)(args...): fn cannot be called with these arguments");

  template <class Kept, class Given>
  static consteval auto choose() {
    if constexpr (!keeps) {
      return Given();
    } else if constexpr (gives && std::is_lvalue_reference_v<typename Kept::type>) {
      // A part of the task's own copies, which end with it: the value has to be taken.
      if constexpr (std::is_rvalue_reference_v<typename Given::type>) {
        return std::type_identity<std::remove_cvref_t<typename Given::type>>();
      } else {
        return Kept();
      }
    } else {
      return Kept();
    }
  }

 public:
  /// What calling it returns: what `fn` returns, but never a reference to one of the task's own arguments.
  using result_type = typename decltype(choose<std::invoke_result<Fn&, Args&...>, std::invoke_result<Fn, Args...>>())::type;
  /// An lvalue may be called again.
  static constexpr bool lasts = keeps;

  template <class F, class... As>
  explicit task(std::in_place_t, F&& fn, As&&... args) : fn_(std::forward<F>(fn)), args_(std::forward<As>(args)...) {}

  result_type operator()() & {
    if constexpr (keeps) {
      return std::apply([this](auto&... args) -> result_type { return std::invoke(fn_, args...); }, args_);
    } else {
      return std::move(*this)();
    }
  }
  result_type operator()() && {
    if constexpr (std::is_invocable_r_v<result_type, Fn, Args...>) {
      return std::apply([this](Args&&... args) -> result_type { return std::invoke(std::move(fn_), std::forward<Args>(args)...); },
                        std::move(args_));
    } else {
      return (*this)();
    }
  }
  result_type operator()() const& requires std::is_invocable_r_v<result_type, const Fn&, const Args&...> {
    return std::apply([this](auto&... args) -> result_type { return std::invoke(fn_, args...); }, args_);
  }

 private:
  friend detail::packed_form<task>;

  Fn fn_;
  std::tuple<Args...> args_;
};

template <class Fn>
class delayed_function;

namespace detail {

/// A range that somebody else keeps.
template <class Range>
class borrowed {
 public:
  explicit borrowed(Range& range) noexcept : range_(std::addressof(range)) {}
  auto begin() const { return std::ranges::begin(*range_); }
  auto end() const { return std::ranges::end(*range_); }
  auto size() const requires std::ranges::sized_range<Range> { return std::ranges::size(*range_); }

 private:
  Range* range_;
};

/// A view of whatever stands left of `| delayed(fn)`: an lvalue container is referred to, views and rvalues are kept.
template <class Range>
using base_of = std::conditional_t<std::is_lvalue_reference_v<Range> &&
                                       !(std::ranges::view<std::remove_cvref_t<Range>> && std::copyable<std::remove_cvref_t<Range>>),
                                   borrowed<std::remove_reference_t<Range>>, std::remove_cvref_t<Range>>;

/// What a task keeps of its element: a reference where the element stays where it is, else the element itself. What a single-pass range
/// refers to, openly or through a proxy, lives only until the next element is read.
template <class Range>
using element_of = std::conditional_t<
    !std::ranges::forward_range<Range>, std::ranges::range_value_t<Range>,
    std::conditional_t<std::is_lvalue_reference_v<std::ranges::range_reference_t<Range>>, std::ranges::range_reference_t<Range>,
                       std::remove_cvref_t<std::ranges::range_reference_t<Range>>>>;

/// The element at an iterator, as a task keeps it: moved out of a single-pass range only where it cannot be copied.
template <class Range>
decltype(auto) element_at(const std::ranges::iterator_t<Range>& at) {
  if constexpr (std::ranges::forward_range<Range> || std::is_constructible_v<element_of<Range>, std::ranges::range_reference_t<Range>>) {
    return *at;
  } else {
    return std::ranges::iter_move(at);
  }
}

/// `fn` can be called with what a task keeps of its element.
template <class Fn, class Element>
inline constexpr bool calls_with = std::is_invocable_v<Fn&, Element&> || std::is_invocable_v<Fn&, Element&&>;

template <class Range>
inline constexpr bool is_kept = !std::ranges::view<std::remove_const_t<Range>>;
template <class Range>
inline constexpr bool is_kept<borrowed<Range>> = false;
template <class Range>
inline constexpr bool is_kept<const borrowed<Range>> = false;

/// The same for tasks of `fn`: an element of a container that the view keeps is handed over where `fn` takes it in no other way.
template <class Range, class Fn, class Element = element_of<Range>>
using element_for = std::conditional_t<is_kept<Range> && std::is_lvalue_reference_v<Element> && !calls_with<Fn, Element> &&
                                           calls_with<Fn, std::remove_reference_t<Element>&&>,
                                       std::remove_reference_t<Element>&&, Element>;

/// Ranges whose elements `fn` can be called with.
template <class Range, class Fn>
concept feeds = std::ranges::input_range<Range> && calls_with<Fn, element_for<Range, Fn>>;

/// Stands in for tasks of which the compiler has already said what is wrong, so that it says no more.
using no_tasks = std::array<void (*)(), 1>;

/// The task of one element: the function is the view's own where it can be called as const, else a copy, so that no two workers change one
/// object.
template <class Fn, class Element>
class element_task {
  static constexpr bool shares = std::is_invocable_v<const Fn&, Element&> || std::is_invocable_v<const Fn&, Element&&>;
  using function = std::conditional_t<shares, const Fn&, Fn&>;
  static constexpr bool gives = std::is_invocable_v<function, Element&&>;
  static_assert(gives || std::is_invocable_v<function, Element&>,
                "manyhands: range | delayed(fn): fn cannot be called with an element of the range");
  static_assert(shares || std::copy_constructible<Fn>,
                "manyhands: range | delayed(fn): fn must be callable as const, or be copyable: every task needs its own");

 public:
  using result_type =
      typename std::conditional_t<gives, std::invoke_result<function, Element&&>, std::invoke_result<function, Element&>>::type;

  template <class Reference>
  element_task(const Fn& fn, Reference&& element) : fn_(keep(fn)), element_(std::forward<Reference>(element)) {}

  result_type operator()() {
    if constexpr (gives) {
      return std::invoke(callee(), std::forward<Element>(element_));
    } else {
      return std::invoke(callee(), element_);
    }
  }
  result_type operator()() const requires(shares&& std::is_lvalue_reference_v<Element>) { return std::invoke(*fn_, element_); }

  /// Whether the function also takes an element that stays, and returns the same. Then the same as a call, but it may be called again.
  static consteval bool lasts() {
    if constexpr (std::is_invocable_v<function, Element&>) {
      return std::is_same_v<std::invoke_result_t<function, Element&>, result_type>;
    } else {
      return false;
    }
  }
  result_type call_lasting() { return std::invoke(callee(), element_); }

 private:
  friend packed_form<element_task>;

  static auto keep(const Fn& fn) {
    if constexpr (shares) {
      return std::addressof(fn);
    } else {
      return Fn(fn);
    }
  }
  function callee() noexcept {
    if constexpr (shares) {
      return *fn_;
    } else {
      return fn_;
    }
  }

  std::conditional_t<shares, const Fn*, Fn> fn_;
  Element element_;
};

}  // namespace detail

/// A view with one task for each element of a range: what `range | delayed(fn)` gives. Its tasks refer to it: it must outlive them.
template <class Base, class Fn>
class delayed_view : public std::ranges::view_base {
  // Templates of a flag, not of the range: what is found by argument-dependent look-up in a range's own template arguments, such as the
  // comparison of std::unreachable_sentinel_t, would ask what a cursor is before that is known.
  template <bool constant>
  class cursor {
    using Range = std::conditional_t<constant, const Base, Base>;
    using inner = std::ranges::iterator_t<Range>;
    using element = detail::element_for<Range, Fn>;

   public:
    using value_type = detail::element_task<Fn, element>;
    using difference_type = std::ranges::range_difference_t<Range>;
    // Dereferencing gives a new task each time, which the old iterator categories only allow an input iterator.
    using iterator_category = std::input_iterator_tag;
    using iterator_concept = std::conditional_t<
        std::ranges::random_access_range<Range>, std::random_access_iterator_tag,
        std::conditional_t<std::ranges::bidirectional_range<Range>, std::bidirectional_iterator_tag,
                           std::conditional_t<std::ranges::forward_range<Range>, std::forward_iterator_tag, std::input_iterator_tag>>>;

    cursor() requires std::default_initializable<inner>
    = default;
    cursor(inner at, const Fn& fn) : at_(std::move(at)), fn_(std::addressof(fn)) {}

    value_type operator*() const { return made(detail::element_at<Range>(at_)); }
    cursor& operator++() {
      ++at_;
      return *this;
    }
    void operator++(int) requires(!std::ranges::forward_range<Range>) { ++at_; }
    cursor operator++(int) requires std::ranges::forward_range<Range> {
      cursor before = *this;
      ++at_;
      return before;
    }
    cursor& operator--() requires std::ranges::bidirectional_range<Range> {
      --at_;
      return *this;
    }
    cursor operator--(int) requires std::ranges::bidirectional_range<Range> {
      cursor before = *this;
      --at_;
      return before;
    }
    cursor& operator+=(difference_type n) requires std::ranges::random_access_range<Range> {
      at_ += n;
      return *this;
    }
    cursor& operator-=(difference_type n) requires std::ranges::random_access_range<Range> {
      at_ -= n;
      return *this;
    }
    value_type operator[](difference_type n) const requires std::ranges::random_access_range<Range> { return made(at_[n]); }

    friend bool operator==(const cursor& a, const cursor& b) requires std::equality_comparable<inner> { return a.at_ == b.at_; }
    friend bool operator<(const cursor& a, const cursor& b) requires std::ranges::random_access_range<Range> { return a.at_ < b.at_; }
    friend bool operator>(const cursor& a, const cursor& b) requires std::ranges::random_access_range<Range> { return b < a; }
    friend bool operator<=(const cursor& a, const cursor& b) requires std::ranges::random_access_range<Range> { return !(b < a); }
    friend bool operator>=(const cursor& a, const cursor& b) requires std::ranges::random_access_range<Range> { return !(a < b); }
    friend cursor operator+(cursor a, difference_type n) requires std::ranges::random_access_range<Range> { return a += n; }
    friend cursor operator+(difference_type n, cursor a) requires std::ranges::random_access_range<Range> { return a += n; }
    friend cursor operator-(cursor a, difference_type n) requires std::ranges::random_access_range<Range> { return a -= n; }
    friend difference_type operator-(const cursor& a, const cursor& b) requires std::sized_sentinel_for<inner, inner> {
      return a.at_ - b.at_;
    }

    [[nodiscard]] const inner& base() const noexcept { return at_; }

   private:
    template <class Reference>
    value_type made(Reference&& found) const {
      if constexpr (std::is_rvalue_reference_v<element>) {
        return value_type(*fn_, std::move(found));
      } else {
        return value_type(*fn_, std::forward<Reference>(found));
      }
    }

    inner at_{};
    const Fn* fn_ = nullptr;
  };

  template <bool constant>
  struct sentinel {
    friend bool operator==(const cursor<constant>& at, const sentinel& end) { return at.base() == end.base; }

    std::ranges::sentinel_t<std::conditional_t<constant, const Base, Base>> base;
  };

 public:
  delayed_view(Base base, Fn fn) : base_(std::move(base)), fn_(std::move(fn)) {}
  delayed_view(const delayed_view&) = default;
  delayed_view(delayed_view&&) = default;
  /// Works for any function: a lambda that captures cannot be assigned, and a view must be.
  delayed_view& operator=(delayed_view other) {
    base_ = std::move(other.base_);
    fn_.reset();
    if (other.fn_) fn_.emplace(*std::move(other.fn_));
    return *this;
  }

  auto begin() { return cursor<false>(std::ranges::begin(base_), *fn_); }
  auto begin() const requires detail::feeds<const Base, Fn> { return cursor<true>(std::ranges::begin(base_), *fn_); }
  auto end() { return end_of(*this); }
  auto end() const requires detail::feeds<const Base, Fn> { return end_of(*this); }
  auto size() const requires std::ranges::sized_range<const Base> { return std::ranges::size(base_); }

 private:
  template <class Self>
  static auto end_of(Self& self) {
    constexpr bool constant = std::is_const_v<Self>;
    if constexpr (std::ranges::common_range<std::conditional_t<constant, const Base, Base>>) {
      return cursor<constant>(std::ranges::end(self.base_), *self.fn_);
    } else {
      return sentinel<constant>{std::ranges::end(self.base_)};
    }
  }

  Base base_;
  std::optional<Fn> fn_;  // empty only after an assignment that threw
};

/// A function that makes tasks: what `delayed(fn)` gives.
template <class Fn>
class delayed_function {
 public:
  template <class F>
  explicit delayed_function(std::in_place_t, F&& fn) : fn_(std::forward<F>(fn)) {}

  /// The task of calling the function with decayed copies of these arguments. `std::ref` passes a reference.
  template <class... Args>
  [[nodiscard]] auto operator()(Args&&... args) const& {
    return made(fn_, std::forward<Args>(args)...);
  }
  template <class... Args>
  [[nodiscard]] auto operator()(Args&&... args) && {
    return made(std::move(fn_), std::forward<Args>(args)...);
  }

  /// A view with the task of calling the function for each element. Elements of an lvalue range are referred to, never copied.
  template <class Range>
  [[nodiscard]] friend auto operator|(Range&& range, delayed_function fn) {
    constexpr bool readable = std::ranges::input_range<Range>;
    static_assert(readable, "manyhands: what stands left of `| delayed(fn)` is not a range: for one task write delayed(fn)(argument)");
    if constexpr (readable) {
      using base = detail::base_of<Range>;
      constexpr bool callable = detail::feeds<base, Fn>;
      static_assert(callable, "manyhands: range | delayed(fn): fn cannot be called with an element of the range");
      if constexpr (callable) {
        return delayed_view<base, Fn>(base(std::forward<Range>(range)), std::move(fn.fn_));
      } else {
        return detail::no_tasks();
      }
    } else {
      return detail::no_tasks();
    }
  }

 private:
  template <class F, class... Args>
  static auto made(F&& fn, Args&&... args) {
    constexpr bool callable =
        std::is_invocable_v<Fn&, std::unwrap_ref_decay_t<Args>&...> || std::is_invocable_v<Fn, std::unwrap_ref_decay_t<Args>...>;
    static_assert(callable, "manyhands: delayed(fn)(args...): fn cannot be called with these arguments");
    if constexpr (callable) {
      return task<Fn, std::unwrap_ref_decay_t<Args>...>(std::in_place, std::forward<F>(fn), std::forward<Args>(args)...);
    } else {
      return detail::no_tasks::value_type(nullptr);
    }
  }

  Fn fn_;
};

namespace detail {

template <class T>
inline constexpr bool is_delayed_function = false;
template <class Fn>
inline constexpr bool is_delayed_function<delayed_function<Fn>> = true;

}  // namespace detail

/// Takes a function whose calls shall be made by workers: `delayed(fn)(args...)` is one such call, `range | delayed(fn)` is one for each
/// element.
template <class Fn>
[[nodiscard]] auto delayed(Fn&& fn) {
  return delayed_function<std::decay_t<Fn>>(std::in_place, std::forward<Fn>(fn));
}

}  // namespace manyhands
