// The client one writes with Asio and Beast alone: async_write, async_read into a
// response per connection. The yardstick for the generator's own loop.
//   bench_loadtest_beast_client PORT CONNECTIONS SECONDS   -> "REQUESTS RPS"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "cli/loadtest/run_loadtest.hpp"

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

std::uint64_t answered = 0;

class Client {
 public:
  Client(asio::io_context& context, tcp::endpoint server) : socket_(context) {
    request_.method(http::verb::get);
    request_.target("/");
    request_.set(http::field::host, "127.0.0.1");
    socket_.async_connect(server, [this](boost::system::error_code ec) {
      if (ec) return;
      socket_.set_option(tcp::no_delay(true));
      send();
    });
  }

 private:
  void send() {
    http::async_write(socket_, request_, [this](boost::system::error_code ec, std::size_t) {
      if (!ec) receive();
    });
  }
  void receive() {
    response_ = {};
    http::async_read(socket_, buffer_, response_, [this](boost::system::error_code ec, std::size_t) {
      if (ec) return;
      ++answered;
      send();
    });
  }

  tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
  http::request<http::empty_body> request_;
  http::response<http::string_body> response_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s PORT CONNECTIONS SECONDS\n", argv[0]);
    return 2;
  }
  flux::loadtest::raise_user_limit();
  asio::io_context context(1);
  const tcp::endpoint server(asio::ip::address_v4::loopback(),
                             static_cast<std::uint16_t>(std::atoi(argv[1])));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < std::atoi(argv[2]); ++i) clients.push_back(std::make_unique<Client>(context, server));
  const auto began = std::chrono::steady_clock::now();
  context.run_for(std::chrono::seconds(std::atoi(argv[3])));
  const std::chrono::duration<double> lasted = std::chrono::steady_clock::now() - began;
  std::printf("%llu %.1f\n", static_cast<unsigned long long>(answered),
              static_cast<double>(answered) / lasted.count());
  std::fflush(stdout);
  std::_Exit(0);
}
