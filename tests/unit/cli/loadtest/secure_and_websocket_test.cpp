// Against servers made of Beast and Asio, as oracles for TLS and WebSocket.

#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <functional>
#include <thread>

#include "cli/loadtest/run_loadtest.hpp"

namespace flux::loadtest {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;

// Accepts until it is destroyed; each connection has a thread of its own.
class BlockingServer {
 public:
  explicit BlockingServer(std::function<void(tcp::socket)> serve)
      : acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        accepting_([this, serve = std::move(serve)] {
          while (true) {
            boost::system::error_code ec;
            tcp::socket socket(context_);
            acceptor_.accept(socket, ec);
            if (ec) return;
            threads_.emplace_back([serve, s = std::move(socket)]() mutable { serve(std::move(s)); });
          }
        }) {}
  ~BlockingServer() {
    ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
    accepting_.join();
    threads_.clear();
  }
  std::string port() { return std::to_string(acceptor_.local_endpoint().port()); }

 private:
  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  std::vector<std::jthread> threads_;
  std::jthread accepting_;
};

// A certificate that nobody signed, made for this process.
void self_sign(asio::ssl::context& context) {
  EVP_PKEY* key = ::EVP_RSA_gen(2048);
  X509* certificate = ::X509_new();
  ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), 1);
  ::X509_gmtime_adj(::X509_getm_notBefore(certificate), 0);
  ::X509_gmtime_adj(::X509_getm_notAfter(certificate), 3600);
  ::X509_set_pubkey(certificate, key);
  ::X509_sign(certificate, key, ::EVP_sha256());
  ::SSL_CTX_use_certificate(context.native_handle(), certificate);
  ::SSL_CTX_use_PrivateKey(context.native_handle(), key);
  ::X509_free(certificate);
  ::EVP_PKEY_free(key);
}

RunPlan plan_for(const std::string& url) {
  RunPlan plan;
  plan.target = *resolve_target(url);
  plan.think = ThinkTime{};
  plan.users.users = 4;
  plan.threads = 1;
  plan.run_time = std::chrono::seconds(20);
  plan.timeout = std::chrono::seconds(5);
  plan.calibrate = false;
  return plan;
}

TEST(Tls, DrivesHttpsWithSmallAndLargeAnswers) {
  asio::ssl::context tls(asio::ssl::context::tls_server);
  self_sign(tls);
  BlockingServer server([&tls](tcp::socket socket) {
    asio::ssl::stream<tcp::socket> stream(std::move(socket), tls);
    boost::system::error_code ec;
    stream.handshake(asio::ssl::stream_base::server, ec);
    beast::flat_buffer buffer;
    for (int n = 0; !ec; ++n) {
      beast::http::request<beast::http::string_body> request;
      beast::http::read(stream, buffer, request, ec);
      if (ec) break;
      beast::http::response<beast::http::string_body> response(beast::http::status::ok, 11);
      response.body() = n % 2 == 0 ? "ok" : std::string(200'000, 'x');
      response.prepare_payload();
      beast::http::write(stream, response, ec);
    }
  });
  RunPlan plan = plan_for("https://127.0.0.1:" + server.port());
  plan.scenario = *single_request({"/", "POST", {}, std::string(100'000, 'b')});
  plan.requests_per_user = 6;
  RunControl control;
  const auto output = run_loadtest(plan, control, {});
  ASSERT_TRUE(output) << output.error().one_line();
  EXPECT_EQ(output->result.requests, 24U);
  EXPECT_EQ(output->result.errors, 0U) << output->result.first_error;
  EXPECT_GT(output->result.bytes_in, 12U * 200'000);
  EXPECT_EQ(output->result.generator.connections, 4U);
}

TEST(WebSocketSteps, UpgradeSendReceiveAndClose) {
  BlockingServer server([](tcp::socket socket) {
    boost::system::error_code ec;
    beast::websocket::stream<tcp::socket> stream(std::move(socket));
    stream.accept(ec);
    stream.text(true);
    if (!ec) stream.write(asio::buffer(std::string("welcome")), ec);
    while (!ec) {
      beast::flat_buffer buffer;
      stream.read(buffer, ec);
      if (ec) break;
      stream.ping({}, ec);
      stream.write(asio::buffer("{\"echo\":\"" + beast::buffers_to_string(buffer.data()) + "\"}"), ec);
    }
  });
  RunPlan plan = plan_for("http://127.0.0.1:" + server.port());
  auto scenario = parse_scenario(R"(
think: 0
flows:
  - steps:
      - websocket: /live
      - send: "hello {{user}}"
      - receive: hello
        extract: {heard: {json: /echo}}
      - close: true
)",
                                 "ws.yaml", ".");
  ASSERT_TRUE(scenario) << scenario.error().one_line();
  plan.scenario = *scenario;
  plan.requests_per_user = 12;
  RunControl control;
  const auto output = run_loadtest(plan, control, {});
  ASSERT_TRUE(output) << output.error().one_line();
  EXPECT_EQ(output->result.requests, 48U);
  EXPECT_EQ(output->result.errors, 0U) << output->result.first_error;
  EXPECT_EQ(output->result.generator.connections, 12U);
}

TEST(WebSocketSteps, ARefusedUpgradeIsAnError) {
  BlockingServer server([](tcp::socket socket) {
    boost::system::error_code ec;
    beast::flat_buffer buffer;
    while (!ec) {
      beast::http::request<beast::http::empty_body> request;
      beast::http::read(socket, buffer, request, ec);
      if (ec) break;
      beast::http::response<beast::http::empty_body> response(beast::http::status::forbidden, 11);
      response.prepare_payload();
      beast::http::write(socket, response, ec);
    }
  });
  RunPlan plan = plan_for("http://127.0.0.1:" + server.port());
  plan.scenario = *parse_scenario("flows: [{steps: [{websocket: /live}, {send: x}]}]", "ws.yaml", ".");
  plan.requests_per_user = 2;
  RunControl control;
  const auto output = run_loadtest(plan, control, {});
  ASSERT_TRUE(output);
  EXPECT_EQ(output->result.errors_by_kind.at("status_4xx"), 8U);
}

}  // namespace
}  // namespace flux::loadtest
