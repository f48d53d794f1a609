#include <manyhands/detail/mpi_letter.hpp>

#include <string_view>

#include <support/catch.hpp>

using namespace manyhands::detail;

TEST_CASE("a letter's head and its parts are taken as they were put") {
  manyhands::writer letter =
      mpi_short_letter({.kind = mpi_letter_kind::answer, .call = 7, .number = 3, .first = 10, .count = 2, .elapsed = -5});
  const std::string_view text = "hands";
  mpi_put_part(letter, 1, std::as_bytes(std::span(text)));
  mpi_put_part(letter, 0, {});

  manyhands::reader bytes(letter.bytes());
  const mpi_letter_head head = mpi_take_head(bytes);
  CHECK(head.kind == mpi_letter_kind::answer);
  CHECK(head.call == 7);
  CHECK(head.number == 3);
  CHECK(head.first == 10);
  CHECK(head.count == 2);
  CHECK(head.elapsed == -5);
  const auto [what, part] = mpi_take_part(bytes);
  CHECK(what == 1);
  CHECK(std::string_view(reinterpret_cast<const char*>(part.data()), part.size()) == text);
  CHECK(mpi_take_part(bytes).second.empty());
  CHECK_NOTHROW(bytes.finish());
}

TEST_CASE("a letter that is cut short is refused") {
  manyhands::writer letter = mpi_short_letter({});
  mpi_put_part(letter, 0, std::as_bytes(std::span("12345678")));
  for (std::size_t size = 0; size < letter.size(); ++size) {
    manyhands::reader bytes(letter.bytes().first(size));
    CHECK_THROWS_AS((static_cast<void>(mpi_take_head(bytes)), static_cast<void>(mpi_take_part(bytes))), manyhands::codec_error);
  }
}
