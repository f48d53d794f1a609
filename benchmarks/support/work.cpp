#include "work.hpp"

std::uint64_t benchmark_spin(std::uint64_t rounds) {
  std::uint64_t x = 88172645463325252;  // xorshift: each step waits for the last, and 0 is never reached
  for (std::uint64_t i = 0; i < rounds; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x == 0 ? 0 : rounds;
}
