// Own types as results. Threads share memory and need nothing; between processes a value travels as bytes, made by its codec.

#include <cmath>
#include <cstddef>
#include <iostream>
#include <map>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <manyhands.hpp>

// A plain aggregate, whatever it is made of, needs no code.
struct point {
  double x = 0, y = 0;
};
struct path {
  std::string name;
  std::vector<point> points;
  std::optional<double> length;
  std::map<std::string, int> tags;
};

// A class that hides its data says how it becomes bytes, and how it is made of them.
class fraction {
 public:
  fraction(long over, long under) : over_(over), under_(under) {
    if (under == 0) throw std::domain_error("nothing can be divided by 0");
  }
  long over() const { return over_; }
  long under() const { return under_; }

 private:
  long over_, under_;
  std::string note_ = "so it is no bunch of bytes";
};

template <>
struct manyhands::codec<fraction> {
  static void save(const fraction& value, writer& out) {
    out.put(value.over());
    out.put(value.under());
  }
  static fraction load(reader& in) {  // throws where the bytes end too early
    const long over = in.get<long>();
    return fraction(over, in.get<long>());
  }
};

// An exception that has a constructor for its text travels as itself once it is registered.
struct no_such_path : std::runtime_error {
  using std::runtime_error::runtime_error;
};

path walked(int i) {
  if (i > 2) throw no_such_path("there is no path " + std::to_string(i));
  const double side = i + 1;
  return {
      "path " + std::to_string(i), {{0, 0}, {side, side}}, i == 0 ? std::nullopt : std::optional(std::hypot(side, side)), {{"points", 2}}};
}

int main() {
  manyhands::register_exception<no_such_path>();
  const manyhands::Parallel parallel({.n_jobs = 2, .backend = "processes"});

  for (const path& p : parallel(std::views::iota(0, 3) | manyhands::delayed(walked))) {
    std::cout << p.name << ": " << p.tags.at("points") << " points, to " << p.points[1].x << ", length " << p.length.value_or(0) << '\n';
  }
  for (const fraction& f : parallel(std::views::iota(1, 4) | manyhands::delayed([](int i) { return fraction(1, i); }))) {
    std::cout << f.over() << '/' << f.under() << '\n';
  }
  try {
    parallel(std::views::iota(0, 9) | manyhands::delayed(walked));
  } catch (const no_such_path& error) {
    std::cout << "no_such_path: " << error.what() << '\n';
  }
}
