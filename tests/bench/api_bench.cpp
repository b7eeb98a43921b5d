// One API instance with one event loop over the embedded engines, driven by wrk:
// orders per second, cached reads against a bare Beast server that answers the same
// bytes, and memory per idle connection.   bench_api [SECONDS]

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "common/engines/embedded/embedded_engines.hpp"
#include "daemons/api/api_server.hpp"
#include "tests/fakes/eventually.hpp"
#include "tests/fakes/scratch_directory.hpp"
#include "tests/unit/daemons/runtime/raw_client.hpp"

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using namespace std::chrono_literals;

// The peer: what Beast's own examples do, with nothing behind it.
class BareSession : public std::enable_shared_from_this<BareSession> {
 public:
  BareSession(asio::ip::tcp::socket socket, const http::response<http::string_body>& response)
      : stream_(std::move(socket)), response_(response) {}
  void read() {
    request_ = {};
    http::async_read(stream_, buffer_, request_,
                     [self = shared_from_this()](beast::error_code ec, std::size_t) {
                       if (!ec) self->write();
                     });
  }

 private:
  void write() {
    http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code ec, std::size_t) {
      if (!ec) self->read();
    });
  }
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  http::response<http::string_body> response_;
};

class BareServer {
 public:
  explicit BareServer(http::response<http::string_body> response) : response_(std::move(response)) {
    accept();
    thread_ = std::jthread([this] { context_.run(); });
  }
  ~BareServer() { context_.stop(); }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  void accept() {
    acceptor_.async_accept([this](beast::error_code ec, asio::ip::tcp::socket socket) {
      if (!ec) {
        socket.set_option(asio::ip::tcp::no_delay(true), ec);
        std::make_shared<BareSession>(std::move(socket), response_)->read();
      }
      accept();
    });
  }
  asio::io_context context_{1};
  asio::ip::tcp::acceptor acceptor_{context_, {asio::ip::address_v4::loopback(), 0}};
  http::response<http::string_body> response_;
  std::jthread thread_;
};

struct WrkResult {
  double rate = 0;
  long bad = 0;
  std::string latency;
};

WrkResult run_wrk(const std::string& arguments) {
  WrkResult result;
  std::FILE* out = ::popen(("wrk --latency " + arguments + " 2>&1").c_str(), "r");
  char line[512];
  while (out != nullptr && std::fgets(line, sizeof line, out) != nullptr) {
    const std::string text = line;
    if (text.find("Requests/sec:") != std::string::npos) result.rate = std::atof(text.c_str() + 13);
    if (const auto at = text.find("Non-2xx or 3xx responses:"); at != std::string::npos)
      result.bad += std::atol(text.c_str() + at + 25);
    if (text.find("Socket errors") != std::string::npos) result.bad += 1;
    for (const char* p : {"50%", "99%"})
      if (text.find(p) != std::string::npos)
        result.latency += " p" + text.substr(text.find(p), text.size() - text.find(p) - 1);
  }
  if (out != nullptr) ::pclose(out);
  return result;
}

std::string ask(std::uint16_t port, const std::string& method, const std::string& path,
                const std::string& body) {
  flux::testing::RawClient client(port);
  return client.ask(method + " " + path +
                    " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " +
                    std::to_string(body.size()) + "\r\n\r\n" + body);
}

template <class T>
T must(flux::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "error: %s\n", result.error().one_line().c_str());
    std::exit(1);
  }
  return std::move(*result);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string seconds = argc > 1 ? argv[1] : "5";
  flux::testing::ScratchDirectory scratch;
  auto config = flux::default_config();
  flux::MetricsRegistry metrics;
  flux::api::ApiState state(config, metrics);
  const flux::embedded::EmbeddedOptions options{scratch.path()};
  const auto ledger = must(flux::embedded::open_ledger(options));
  const auto log = must(flux::embedded::open_event_log(options));
  if (!log->ensure_topics({{"orders", 12, 1}, {"workflow.trigger", 12, 1}})) return 1;
  state.ledger = ledger.get();
  state.event_log = log.get();
  flux::api::ApiServer server(state, 1);
  const auto executor = server.loops()[0].get_executor();
  server.set_engines(0, must(flux::embedded::open_state_store(options, executor)),
                     must(log->producer(executor)));
  const auto port = must(server.start({"127.0.0.1", 0}, 15'000)).port;
  const std::string url = "http://127.0.0.1:" + std::to_string(port);
  if (!flux::testing::eventually(10s,
                                 [&] { return ask(port, "GET", "/ready", "").starts_with("HTTP/1.1 200"); }))
    return 1;

  // Memory of an idle connection: the server's share of what 2,000 of them cost.
  {
    std::vector<std::unique_ptr<flux::testing::RawClient>> clients;
    clients.reserve(2000);
    const auto before = ::mallinfo2().uordblks;
    for (int i = 0; i < 2000; ++i) {
      clients.push_back(std::make_unique<flux::testing::RawClient>(port));
      clients.back()->ask("GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    std::printf("memory per idle connection: %zu bytes (aim < 6144)\n",
                static_cast<std::size_t>(::mallinfo2().uordblks - before) / 2000);
  }

  for (int i = 0; i < 100; ++i)
    ask(port, "PUT", "/v1/products/p" + std::to_string(i), R"({"stock":1000000000})");
  const auto made = ask(port, "POST", "/v1/workflows",
                        R"({"name":"w","steps":[{"name":"a","kind":"sleep","with":{"duration":"1s"}}]})");
  const std::string path = "/v1/workflows/" + made.substr(made.find("\"workflowId\":\"") + 14, 36);
  ask(port, "GET", path, "");
  const auto cached = ask(port, "GET", path, "");

  http::response<http::string_body> same{http::status::ok, 11};
  const auto head_end = cached.find("\r\n\r\n");
  for (auto at = cached.find("\r\n") + 2; at < head_end;) {
    const auto end = cached.find("\r\n", at), colon = cached.find(": ", at);
    same.set(cached.substr(at, colon - at), cached.substr(colon + 2, end - colon - 2));
    at = end + 2;
  }
  same.body() = cached.substr(head_end + 4);
  same.prepare_payload();
  BareServer bare(same);
  const std::string bare_url = "http://127.0.0.1:" + std::to_string(bare.port());
  for (const char* connections : {"10", "100"}) {
    const std::string load = std::string("-t1 -c") + connections + " -d" + seconds + "s ";
    const auto floor = run_wrk(load + bare_url + path);
    const auto ours = run_wrk(load + url + path);
    const auto health = run_wrk(load + url + "/health");
    std::printf(
        "cached GET, %s connections: %.0f/s, bare Beast %.0f/s, ratio %.2f (aim >= 0.6), /health %.2f, bad "
        "%ld,%s\n",
        connections, ours.rate, floor.rate, ours.rate / floor.rate, health.rate / floor.rate, ours.bad,
        ours.latency.c_str());
  }

  const std::string script = scratch / "orders.lua";
  std::ofstream(script) << R"(
local n = 0
local base = tostring(os.time()) .. "-" .. tostring(math.random(1, 1e9)) .. "-"
request = function()
  n = n + 1
  local headers = { ["Content-Type"] = "application/json", ["Idempotency-Key"] = base .. n }
  return wrk.format("POST", "/v1/orders", headers,
    '{"productId":"p' .. (n % 100) .. '","quantity":1,"userId":"u' .. (n % 1000) .. '"}')
end
)";
  for (const char* connections : {"64", "256", "1000"}) {
    const auto orders =
        run_wrk(std::string("-t1 -c") + connections + " -d" + seconds + "s -s " + script + " " + url);
    std::printf("orders, %s connections: %.0f/s (aim >= 6000, better 20000), bad %ld,%s\n", connections,
                orders.rate, orders.bad, orders.latency.c_str());
  }
  return 0;
}
