#include <ranges>

#include <manyhands.hpp>

#include "../support/answer.hpp"

class many_hands {
 public:
  static constexpr benchmark::limits can{};

  explicit many_hands(int workers) : parallel_({.n_jobs = workers}) {}

  template <class F>
  void for_each(std::size_t n, F f) {
    parallel_(std::views::iota(std::size_t{0}, n) | manyhands::delayed(f));
  }

  template <class F>
  auto map(std::size_t n, F f) {
    return parallel_(std::views::iota(std::size_t{0}, n) | manyhands::delayed(f));
  }

 private:
  manyhands::Parallel parallel_;
};

int main(int argc, char** argv) { return benchmark::answer<many_hands>(argc, argv); }
