#include "daemons/balancer/upstream_spec.hpp"

#include <algorithm>
#include <utility>

#include "common/core/units.hpp"
#include "daemons/balancer/field_lists.hpp"
#include "daemons/balancer/head_scan.hpp"

namespace flux::balancer {
namespace {

constexpr std::uint64_t kMostWeight = 10000;

Error bad(std::string_view text, const std::string& why) {
  return {Errc::invalid_argument, "upstream '" + std::string(text) + "': " + why,
          "write http://HOST:PORT[,weight=N][,pool=NAME]"};
}

Result<std::string> read_url(std::string_view text, std::string_view url) {
  if (url.starts_with("https://")) return bad(text, "TLS to upstreams is not offered");
  if (url.starts_with("http://")) url.remove_prefix(7);
  if (url.ends_with('/')) url.remove_suffix(1);
  if (url.find_first_of("/?#@ \t") != std::string_view::npos)
    return bad(text, "only scheme, host and port may be given");
  const auto colon = url.rfind(':');
  const bool has_port = colon != std::string_view::npos && url.find(']', colon) == std::string_view::npos;
  const auto host = has_port ? url.substr(0, colon) : url;
  if (host.empty()) return bad(text, "the host is missing");
  if (!has_port) return std::string(url) + ":80";
  const auto port = url.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string_view::npos ||
      std::stoi(std::string(port)) == 0 || std::stoi(std::string(port)) > 65535)
    return bad(text, "'" + std::string(port) + "' is not a port");
  return std::string(url);
}

}  // namespace

std::string UpstreamSpec::to_string() const {
  return "http://" + id + ",weight=" + std::to_string(weight) + ",pool=" + pool;
}

Result<UpstreamSpec> parse_upstream(std::string_view text) {
  UpstreamSpec spec;
  bool first = true;
  std::string_view rest = text;
  while (const auto part = next_element(rest)) {
    if (std::exchange(first, false)) {
      auto id = read_url(text, *part);
      if (!id) return id.error();
      spec.id = std::move(*id);
    } else if (part->starts_with("weight=")) {
      const auto weight = parse_count(part->substr(7));
      if (!weight || *weight > kMostWeight) return bad(text, "weight must be 0 to 10000");
      spec.weight = static_cast<std::uint32_t>(*weight);
    } else if (part->starts_with("pool=")) {
      spec.pool = part->substr(5);
      if (!is_token(spec.pool)) return bad(text, "a pool's name is letters, digits, '-', '_' and '.'");
    } else {
      return bad(text, "'" + std::string(*part) + "' is neither weight= nor pool=");
    }
  }
  if (first) return bad(text, "the URL is missing");
  return spec;
}

Result<std::vector<UpstreamSpec>> parse_upstreams_file(std::string_view text, const std::string& name) {
  std::vector<UpstreamSpec> specs;
  for (int number = 1; !text.empty(); ++number) {
    const auto newline = text.find('\n');
    auto line = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    line = line.substr(0, line.find('#'));
    while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    line = trim(line);
    if (line.empty()) continue;
    auto spec = parse_upstream(line);
    if (!spec) {
      Error error = spec.error();
      error.message = name + ":" + std::to_string(number) + ": " + error.message;
      return error;
    }
    const auto same = [&](const UpstreamSpec& other) {
      return other.id == spec->id && other.pool == spec->pool;
    };
    if (std::none_of(specs.begin(), specs.end(), same)) specs.push_back(std::move(*spec));
  }
  return specs;
}

}  // namespace flux::balancer
