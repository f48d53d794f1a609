#include <manyhands/detail/markup.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

#include <support/catch.hpp>

namespace {

using namespace manyhands::detail;
using namespace std::chrono_literals;

std::string json(std::string_view text) {
  std::string out;
  append_json(out, text);
  return out;
}
std::string html(std::string_view text) {
  std::string out;
  append_html(out, text);
  return out;
}

TEST_CASE("a JSON string has its quotes, backslashes and control characters escaped") {
  CHECK(json("") == "\"\"");
  CHECK(json("a\"b\\c") == R"("a\"b\\c")");
  CHECK(json("\n\t\x01\x7f") == R"("\u000a\u0009\u0001\u007f")");
  CHECK(json(std::string_view("a\0b", 3)) == R"("a\u0000b")");
  CHECK(json("é€𝄞") == "\"é€𝄞\"");
}

TEST_CASE("what could be read as a tag, an entity or the end of an attribute is escaped in HTML") {
  CHECK(html("<script>'a' & \"b\"</script>") == "&lt;script&gt;&#39;a&#39; &amp; &quot;b&quot;&lt;/script&gt;");
  CHECK(html("two\nlines") == "two\nlines");
  CHECK(html("\x1b[31m") == "\xEF\xBF\xBD[31m");
}

TEST_CASE("bytes that are no UTF-8 become the replacement character, one each") {
  const std::string mark = "\xEF\xBF\xBD";
  CHECK(html("a\xFFz") == "a" + mark + "z");
  CHECK(html("\xC3") == mark);                                   // cut off
  CHECK(html("\xC0\xAF") == mark + mark);                        // too long a form of /
  CHECK(html("\xED\xA0\x80") == mark + mark + mark);             // half of a surrogate pair
  CHECK(html("\xF4\x90\x80\x80") == mark + mark + mark + mark);  // beyond the last character
  CHECK(html("\xE0\x9F\xBF") == mark + mark + mark);
  CHECK(html("\xF0\x8F\xBF\xBF") == mark + mark + mark + mark);
}

TEST_CASE("long texts are cut between characters") {
  CHECK(clipped("short", 5) == "short");
  CHECK(clipped("longer", 4) == "long…");
  CHECK(clipped("aé", 2) == "a…");
  CHECK(clipped("\x80\x80\x80", 2) == "…");
}

TEST_CASE("an error is told with its type and its text") {
  CHECK(error_text(nullptr).empty());
  CHECK(error_text(std::make_exception_ptr(std::out_of_range("three"))) == "std::out_of_range: three");
  CHECK(error_text(std::make_exception_ptr(5)).starts_with("int"));
  struct odd {};
  CHECK(error_text(std::make_exception_ptr(odd{})).find("odd") != std::string::npos);
}

TEST_CASE("numbers have commas between thousands") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(1234567) == "1,234,567");
}

TEST_CASE("times have a unit and three digits") {
  CHECK(time_text(0ns) == "0 s");
  CHECK(time_text(12ns) == "12 ns");
  CHECK(time_text(999ns) == "999 ns");
  CHECK(time_text(1000ns) == "1.00 µs");
  CHECK(time_text(12'345us) == "12.3 ms");
  CHECK(time_text(999'499us) == "999 ms");
  CHECK(time_text(999'500us) == "1.00 s");
  CHECK(time_text(9'996ms) == "10.0 s");
  CHECK(time_text(59'940ms) == "59.9 s");
  CHECK(time_text(60s) == "1 min 00 s");
  CHECK(time_text(123s) == "2 min 03 s");
  CHECK(time_text(2h + 5min) == "2 h 05 min");
}

}  // namespace
