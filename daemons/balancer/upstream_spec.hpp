#pragma once
// One upstream as people write it: URL[,weight=N][,pool=NAME].

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace flux::balancer {

struct UpstreamSpec {
  std::string id;  // host:port, as written
  std::uint32_t weight = 1;
  std::string pool = "default";

  std::string to_string() const;
  bool operator==(const UpstreamSpec&) const = default;
};

Result<UpstreamSpec> parse_upstream(std::string_view text);

// A file of them: one on a line, '#' starts a comment. Errors name the line.
Result<std::vector<UpstreamSpec>> parse_upstreams_file(std::string_view text, const std::string& name);

}  // namespace flux::balancer
