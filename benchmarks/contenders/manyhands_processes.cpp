// Compiled once for each MANYHANDS_CONTENDER: processes, loky, and threads for those results that are beside them.

#include <cstddef>
#include <exception>
#include <ranges>
#include <string_view>

#include <manyhands.hpp>

#include "../support/process_answer.hpp"

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

class many_hands {
  static constexpr std::string_view backend = TEXT(MANYHANDS_CONTENDER);

 public:
  static constexpr bool warm = backend == "loky";

  explicit many_hands(int workers) : parallel_({.n_jobs = workers, .backend = backend}) {}
  many_hands(const many_hands&) = delete;
  many_hands& operator=(const many_hands&) = delete;
  ~many_hands() {
    if (warm) manyhands::loky_backend::end_idle_workers();
  }

  template <class F>
  auto map(std::size_t n, F f) {
    return parallel_(std::views::iota(std::size_t{0}, n) | manyhands::delayed(f));
  }

  template <class F>
  std::size_t map_with_losses(std::size_t n, F f) {
    std::size_t lost = 0;
    for (const auto& one : parallel_.outcomes(std::views::iota(std::size_t{0}, n) | manyhands::delayed(f))) {
      try {
        benchmark::check(one.value() == one.index());
      } catch (const manyhands::worker_lost&) {
        ++lost;
      }
    }
    return lost;
  }

 private:
  manyhands::Parallel parallel_;
};

int main(int argc, char** argv) { return benchmark::process_answer<many_hands>(argc, argv); }
