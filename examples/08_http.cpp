// Work that waits: 1,000 HTTP requests to a server that takes 5 ms for each. 50 workers wait for 50 answers at a time.

#include <algorithm>
#include <chrono>
#include <iostream>
#include <ranges>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <manyhands.hpp>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using clock_type = std::chrono::steady_clock;

// --- the server: one thread, as many connections at a time as there come
asio::awaitable<void> answer(tcp::socket socket) {
  beast::flat_buffer buffer;
  http::request<http::empty_body> request;
  co_await http::async_read(socket, buffer, request, asio::use_awaitable);
  asio::steady_timer thinking(socket.get_executor(), std::chrono::milliseconds(5));
  co_await thinking.async_wait(asio::use_awaitable);
  http::response<http::string_body> response(http::status::ok, request.version());
  response.body() = "this is " + std::string(request.target());
  response.keep_alive(false);
  response.prepare_payload();
  co_await http::async_write(socket, response, asio::use_awaitable);
}

asio::awaitable<void> serve(tcp::acceptor& acceptor) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    asio::co_spawn(acceptor.get_executor(), answer(std::move(socket)), asio::detached);
  }
}

// --- the client: plain blocking code
std::string fetched(const tcp::endpoint& server, int page) {
  asio::io_context context;
  beast::tcp_stream stream(context);
  stream.connect(server);
  http::request<http::empty_body> request(http::verb::get, "/page/" + std::to_string(page), 11);
  request.set(http::field::host, "localhost");
  http::write(stream, request);
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  http::read(stream, buffer, response);
  return response.body();
}

int main() {
  asio::io_context context;
  tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));  // 0: any port that is free
  asio::co_spawn(context, serve(acceptor), asio::detached);
  const std::jthread server([&](const std::stop_token& stop) {
    const std::stop_callback end(stop, [&] { context.stop(); });
    context.run();
  });
  const auto is_right = [to = acceptor.local_endpoint()](int page) { return fetched(to, page) == "this is /page/" + std::to_string(page); };
  const auto show = [](const char* how, long right, int all, clock_type::time_point begin) {
    const double seconds = std::chrono::duration<double>(clock_type::now() - begin).count();
    std::cout << how << ": " << right << " of " << all << " answers are right, " << static_cast<int>(all / seconds) << " a second\n";
  };

  auto begin = clock_type::now();
  long right = 0;
  for (int page = 0; page < 100; ++page) right += is_right(page) ? 1 : 0;
  show("plain loop", right, 100, begin);

  begin = clock_type::now();
  const auto answers = manyhands::Parallel({.n_jobs = 50})(std::views::iota(0, 1000) | manyhands::delayed(is_right));
  show("50 workers", std::count(answers.begin(), answers.end(), true), 1000, begin);
}
