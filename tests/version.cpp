#include <manyhands/version.hpp>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>

#include <support/catch.hpp>

namespace {

/// A number as CMakeLists.txt finds it in the header.
int as_cmake_reads(const std::string& part) {
  const std::filesystem::path root = std::filesystem::path(__FILE__).parent_path().parent_path();
  std::ifstream file(root / "include" / "manyhands" / "version.hpp");
  REQUIRE(file.good());
  std::ostringstream text;
  text << file.rdbuf();
  const std::string header = text.str();
  std::smatch found;
  REQUIRE(std::regex_search(header, found, std::regex("version_" + part + " = ([0-9]+)")));
  return std::stoi(found[1]);
}

}  // namespace

TEST_CASE("the version is known when a program is compiled, and is not 0.0.0") {
  static_assert(manyhands::version_major >= 0 && manyhands::version_minor >= 0 && manyhands::version_patch >= 0);
  STATIC_REQUIRE(manyhands::version_major + manyhands::version_minor + manyhands::version_patch > 0);
}

TEST_CASE("CMake and the compiler read the same version") {
  CHECK(as_cmake_reads("major") == manyhands::version_major);
  CHECK(as_cmake_reads("minor") == manyhands::version_minor);
  CHECK(as_cmake_reads("patch") == manyhands::version_patch);
}
