#include "common/engines/distributed/postgres/connection_pool.hpp"

namespace flux::postgres {

ConnectionPool::Loan::~Loan() {
  if (connection_ == nullptr) return;
  if (!connection_->reusable()) connection_.reset();
  pool_->give_back(std::move(connection_));
}

Result<ConnectionPool::Loan> ConnectionPool::borrow(SteadyTime deadline) {
  {
    std::unique_lock lock{mutex_};
    for (;;) {
      if (!returned_.wait_until(lock, deadline, [&] { return !idle_.empty() || open_ < size_; }))
        return Error{Errc::unavailable,
                     "all " + std::to_string(size_) + " connections to PostgreSQL at " + endpoint_.name() +
                         " are busy",
                     "raise postgres.pool", true};
      if (idle_.empty()) break;
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      if (connection->reusable()) return Loan{this, std::move(connection)};
      --open_;
    }
    ++open_;
  }
  auto connection = Connection::open(endpoint_, deadline);
  if (!connection) {
    give_back(nullptr);
    return connection.error();
  }
  return Loan{this, std::move(*connection)};
}

void ConnectionPool::give_back(std::unique_ptr<Connection> connection) {
  const std::lock_guard lock{mutex_};
  if (connection == nullptr) {
    --open_;
  } else {
    idle_.push_back(std::move(connection));
  }
  returned_.notify_one();
}

}  // namespace flux::postgres
