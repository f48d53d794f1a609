#include <manyhands.hpp>
#include <ranges>

int main() {
  const auto squares = manyhands::Parallel()(std::views::iota(0, 10) | manyhands::delayed([](int i) { return i * i; }));
  return squares[0];
}
