#pragma once
// Commands and scripts by name, and several at once, over any topology.

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "common/engines/distributed/redis/script.hpp"
#include "common/engines/distributed/redis/topology.hpp"

namespace flux::redis {

struct Call {
  std::string key;  // decides where it goes
  std::string command;
  const Script* script = nullptr;    // of an EVALSHA, to fall back to EVAL
  std::vector<std::string> words{};  // what follows the digest
};

Call plain(std::string key, const std::vector<std::string_view>& words);
// All keys must be of one slot.
Call scripted(ScriptName name, std::vector<std::string> keys, const std::vector<std::string>& arguments);

class RedisClient : public std::enable_shared_from_this<RedisClient> {
 public:
  RedisClient(std::shared_ptr<Topology> topology, boost::asio::any_io_executor loop)
      : topology_(std::move(topology)), loop_(std::move(loop)) {}

  // An error reply comes as an Error.
  Async<Result<Reply>> run(Call call);
  // At once, so they travel together; answers in the same order.
  Async<std::vector<Result<Reply>>> run_all(std::vector<Call> calls);
  Async<void> pause(Duration time);

  bool is_cluster() const { return topology_->is_cluster(); }
  void close() { topology_->close(); }

 private:
  static Async<Result<Reply>> perform(std::shared_ptr<RedisClient> self, Call call);

  std::shared_ptr<Topology> topology_;
  boost::asio::any_io_executor loop_;
};

}  // namespace flux::redis
