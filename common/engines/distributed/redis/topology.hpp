#pragma once
// Where a command goes: to the one server, to the master that Sentinel names,
// or to the node of a cluster that owns the key's slot.

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "common/engines/distributed/redis/redis_engine.hpp"
#include "common/engines/distributed/redis/reply.hpp"

namespace flux::redis {

class Topology {
 public:
  virtual ~Topology() = default;
  // Completes within the timeout. Repeats the command elsewhere or again after
  // a redirection or a lost connection; error replies come as replies.
  virtual Async<Result<Reply>> send(std::string key, std::string command) = 0;
  virtual bool is_cluster() const = 0;
  virtual std::string where() const = 0;
  virtual void close() = 0;
};

Result<std::shared_ptr<Topology>> open_single(const RedisOptions& options, boost::asio::any_io_executor loop);
Result<std::shared_ptr<Topology>> open_cluster(const RedisOptions& options,
                                               boost::asio::any_io_executor loop);

}  // namespace flux::redis
