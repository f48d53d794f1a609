#include <manyhands/detail/call_stop.hpp>

#include <stop_token>

#include <support/catch.hpp>

using manyhands::detail::call_stop;

TEST_CASE("nothing that can stop it: no token") {
  const std::stop_token never;
  CHECK(call_stop(nullptr, nullptr).token() == nullptr);
  CHECK(call_stop(&never, nullptr).token() == nullptr);
  CHECK(call_stop(&never, &never).token() == nullptr);
}

TEST_CASE("one that can: that one") {
  const std::stop_source source;
  const std::stop_token token = source.get_token();
  const std::stop_token never;
  CHECK(call_stop(&token, nullptr).token() == &token);
  CHECK(call_stop(nullptr, &token).token() == &token);
  CHECK(call_stop(&never, &token).token() == &token);
}

TEST_CASE("two that can: either stops it, before or after it was made") {
  for (const bool own : {true, false}) {
    for (const bool before : {true, false}) {
      CAPTURE(own, before);
      std::stop_source first, second;
      const std::stop_token one = first.get_token(), other = second.get_token();
      std::stop_source& stops = own ? first : second;
      if (before) stops.request_stop();
      const call_stop both(&one, &other);
      REQUIRE(both.token() != nullptr);
      CHECK(both.token()->stop_requested() == before);
      stops.request_stop();
      CHECK(both.token()->stop_requested());
    }
  }
}
