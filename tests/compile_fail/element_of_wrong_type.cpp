// expect: manyhands: range | delayed(fn): fn cannot be called with an element of the range
#include <string>
#include <vector>

#include <manyhands.hpp>

int half(int number) { return number / 2; }

int main() {
#ifndef MANYHANDS_FIXED
  const std::vector<std::string> elements{"eight"};
#else
  const std::vector<int> elements{8};
#endif
  manyhands::Parallel()(elements | manyhands::delayed(half));
}
