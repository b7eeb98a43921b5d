#include "daemons/balancer/proxy_protocol.hpp"

#include <gtest/gtest.h>

#include <string>

#include "daemons/balancer/trusted_proxies.hpp"

namespace flux::balancer {
namespace {

using State = ProxyHeader::State;
using namespace std::string_literals;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;
const std::string kV4 = kSignature + "\x21\x11\0\x0c"s + "\xc0\0\2\1"s + "\xc0\0\2\2"s + "\x04\xd2\0\x50"s;

// Examples of haproxy.org's proxy-protocol.txt.
TEST(ProxyProtocol, ReadsBothVersions) {
  const std::string text = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
  const auto v1 = parse_proxy_header(text + "GET / HTTP/1.1\r\n");
  ASSERT_EQ(v1.state, State::complete);
  EXPECT_EQ(v1.length, text.size());
  EXPECT_EQ(v1.source->host_port(), "192.168.0.1:56324");
  EXPECT_EQ(parse_proxy_header("PROXY TCP6 2001:db8::1 ::1 1 2\r\n").source->host_port(), "[2001:db8::1]:1");
  EXPECT_FALSE(parse_proxy_header("PROXY UNKNOWN\r\n").source);
  EXPECT_EQ(parse_proxy_header("PROXY UNKNOWN ffff:: ffff:: 1 2\r\n").state, State::complete);
  const auto v2 = parse_proxy_header(kV4 + "GET");
  ASSERT_EQ(v2.state, State::complete);
  EXPECT_EQ(v2.length, kV4.size());
  EXPECT_EQ(v2.source->host_port(), "192.0.2.1:1234");
  EXPECT_EQ(parse_proxy_header(kSignature + "\x20\0\0\0"s).state, State::complete) << "LOCAL";
}

TEST(ProxyProtocol, WaitsForTheRest) {
  for (const std::string& whole : {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"s, kV4})
    for (std::size_t n = 0; n < whole.size(); ++n)
      EXPECT_EQ(parse_proxy_header(whole.substr(0, n)).state, State::incomplete) << n;
}

TEST(ProxyProtocol, RefusesEverythingElse) {
  for (const std::string& bad :
       {"GET / HTTP/1.1\r\n"s, "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"s, "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n"s,
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n"s, "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n"s,
        "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n"s, "PROXY "s + std::string(200, 'x'),
        kSignature + "\x31\x11\0\0"s, kSignature + "\x21\x11\0\4"s + "abcd",
        kSignature + "\x21\x11\xff\xff"s})
    EXPECT_EQ(parse_proxy_header(bad).state, State::broken) << bad;
}

TEST(TrustedProxies, MatchesNetworks) {
  TrustedProxies trusted;
  for (const auto* network : {"10.0.0.0/8", "192.0.2.7", "172.16.0.0/12", "2001:db8::/33"})
    ASSERT_TRUE(trusted.add(network));
  for (const auto& [address, expected] :
       std::vector<std::pair<const char*, bool>>{{"10.255.0.1:1", true},
                                                 {"11.0.0.1:1", false},
                                                 {"192.0.2.7:1", true},
                                                 {"192.0.2.8:1", false},
                                                 {"172.31.0.1:1", true},
                                                 {"172.32.0.1:1", false},
                                                 {"[2001:db8:7fff::1]:1", true},
                                                 {"[2001:db8:8000::1]:1", false}})
    EXPECT_EQ(trusted.contains(*resolve_address(address)), expected) << address;
  for (const auto* bad : {"", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "host"})
    EXPECT_FALSE(trusted.add(bad)) << bad;
}

}  // namespace
}  // namespace flux::balancer
