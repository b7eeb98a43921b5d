#pragma once
// The state store contract's view of Redis: keys of its own in a server that
// others use too.

#include <cstdlib>
#include <string>
#include <thread>

#include "common/engines/distributed/redis/redis_engine.hpp"
#include "tests/contract/state_store_contract.hpp"

namespace flux::testing {

class RedisEngine final : public StateStoreEngine {
 public:
  RedisEngine(const char* variable, bool is_cluster) : variable_(variable), is_cluster_(is_cluster) {
    options_.prefix = "test-" + new_uuid().to_string() + ":";
  }
  std::string missing() override {
    const char* value = std::getenv(variable_);
    if (value == nullptr || *value == '\0') {
      return std::string{variable_} + " is not set; start the server with scripts/servers start";
    }
    if (!is_cluster_) {
      options_.url = value;
      return {};
    }
    std::string_view nodes = value;
    while (!nodes.empty()) {
      const auto comma = std::min(nodes.find(','), nodes.size());
      options_.cluster.emplace_back(nodes.substr(0, comma));
      nodes.remove_prefix(std::min(comma + 1, nodes.size()));
    }
    return {};
  }
  Result<std::unique_ptr<StateStore>> open(boost::asio::any_io_executor loop) override {
    return redis::open_state_store(options_, std::move(loop));
  }
  // The server's clock cannot be moved.
  void pass(Duration time) override { std::this_thread::sleep_for(time); }

  redis::RedisOptions& options() { return options_; }

 private:
  const char* variable_;
  bool is_cluster_;
  redis::RedisOptions options_;
};

}  // namespace flux::testing
