#include <manyhands/detail/codec_scalars.hpp>

#include <bitset>
#include <chrono>
#include <complex>
#include <cstddef>
#include <filesystem>
#include <future>
#include <ios>
#include <ratio>
#include <string>
#include <system_error>
#include <vector>

#include <support/catch.hpp>
#include <support/codec_round_trip.hpp>

namespace {

using manyhands::codec_error;
using manyhands::fixed_codec_size;
using manyhands_test::decoded;
using manyhands_test::encoded;
using manyhands_test::refuses_every_cut;
using manyhands_test::round_trip;

struct timed {
  std::chrono::steady_clock::time_point at;
  std::complex<double> value;
};

class own_category final : public std::error_category {
  const char* name() const noexcept override { return "own"; }
  std::string message(int) const override { return "own"; }
};

}  // namespace

static_assert(fixed_codec_size<std::chrono::nanoseconds> == 8 && fixed_codec_size<std::chrono::system_clock::time_point> == 8);
static_assert(fixed_codec_size<std::complex<float>> == 8 && fixed_codec_size<timed> == sizeof(timed));
static_assert(fixed_codec_size<std::bitset<8>> == 0 && fixed_codec_size<std::error_code> == 0);

TEST_CASE("times come back") {
  using namespace std::chrono_literals;
  CHECK(round_trip(1234567ns) == 1234567ns);
  CHECK(round_trip(-5h) == -5h);
  CHECK(round_trip(std::chrono::duration<double, std::ratio<7, 3>>(0.5)).count() == 0.5);
  const auto now = std::chrono::steady_clock::now();
  CHECK(round_trip(now) == now);
}

TEST_CASE("complex numbers come back") {
  CHECK(round_trip(std::complex<double>(1, -2)) == std::complex<double>(1, -2));
  CHECK(round_trip(std::vector<std::complex<float>>{{1, 2}, {3, 4}}) == std::vector<std::complex<float>>{{1, 2}, {3, 4}});
}

TEST_CASE("bitsets come back, of every length") {
  CHECK(round_trip(std::bitset<0>()) == std::bitset<0>());
  CHECK(round_trip(std::bitset<1>(1)) == std::bitset<1>(1));
  CHECK(round_trip(std::bitset<8>(0xa5)) == std::bitset<8>(0xa5));
  CHECK(round_trip(std::bitset<13>(0x1234)) == std::bitset<13>(0x1234));
  CHECK(round_trip(~std::bitset<200>()) == ~std::bitset<200>());
  CHECK(encoded(std::bitset<13>()).size() == 2);
}

TEST_CASE("bits beyond the end of a bitset are refused") {
  auto bytes = encoded(std::bitset<13>());
  bytes[1] = std::byte{0x20};
  CHECK_THROWS_AS(decoded<std::bitset<13>>(bytes), codec_error);
  bytes[1] = std::byte{0x10};
  CHECK(decoded<std::bitset<13>>(bytes).test(12));
}

TEST_CASE("paths come back") {
  CHECK(round_trip(std::filesystem::path("/a/b c/\xff")) == std::filesystem::path("/a/b c/\xff"));
  CHECK(round_trip(std::filesystem::path()).empty());
}

TEST_CASE("error codes of the standard categories come back") {
  CHECK(round_trip(std::error_code()) == std::error_code());
  CHECK(round_trip(std::make_error_code(std::errc::no_space_on_device)) == std::errc::no_space_on_device);
  CHECK(round_trip(std::error_code(5, std::system_category())) == std::error_code(5, std::system_category()));
  CHECK(round_trip(std::make_error_code(std::io_errc::stream)) == std::io_errc::stream);
  CHECK(round_trip(std::make_error_code(std::future_errc::no_state)) == std::future_errc::no_state);
}

TEST_CASE("an error code of another category is refused, on the way out and on the way in") {
  const own_category own;
  CHECK_THROWS_WITH(encoded(std::error_code(1, own)), "an error_code of the category 'own' cannot travel");
  auto bytes = encoded(std::error_code());
  bytes[0] = std::byte{4};
  CHECK_THROWS_AS(decoded<std::error_code>(bytes), codec_error);
}

TEST_CASE("every cut of a scalar is an error") {
  CHECK(refuses_every_cut(std::chrono::seconds(5)));
  CHECK(refuses_every_cut(std::complex<double>(1, 2)));
  CHECK(refuses_every_cut(std::bitset<20>(7)));
  CHECK(refuses_every_cut(std::filesystem::path("/a/b")));
  CHECK(refuses_every_cut(std::make_error_code(std::errc::io_error)));
}
