#pragma once
// A bounded number of connections to one server, shared by the threads of a
// process. Broken ones are replaced.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "common/engines/distributed/postgres/connection.hpp"

namespace flux::postgres {

// Thread-safe. Must outlive its loans.
class ConnectionPool {
 public:
  ConnectionPool(Endpoint endpoint, std::size_t size) : endpoint_(std::move(endpoint)), size_(size) {}

  // Gives its connection back, or closes it when it is not reusable.
  class Loan {
   public:
    Loan(ConnectionPool* pool, std::unique_ptr<Connection> connection)
        : pool_(pool), connection_(std::move(connection)) {}
    Loan(Loan&&) noexcept = default;
    Loan& operator=(Loan&&) = delete;
    ~Loan();
    Connection* operator->() const { return connection_.get(); }
    Connection& operator*() const { return *connection_; }

   private:
    ConnectionPool* pool_;
    std::unique_ptr<Connection> connection_;
  };

  // Waits for a free one until the deadline; connects when none is open.
  // Failed: nothing was sent, so the call certainly had no effect.
  Result<Loan> borrow(SteadyTime deadline);

 private:
  void give_back(std::unique_ptr<Connection> connection);  // null: it was closed

  const Endpoint endpoint_;
  const std::size_t size_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::size_t open_ = 0;
};

}  // namespace flux::postgres
