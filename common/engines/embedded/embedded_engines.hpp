#pragma once
// The engines that need no server: SQLite files in one data directory, shared
// by all processes of this machine.

#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/ports/event_log.hpp"
#include "common/ports/ledger.hpp"
#include "common/ports/state_store.hpp"

namespace flux::embedded {

struct EmbeddedLogOptions {
  Duration delivery_timeout = std::chrono::seconds{5};
  std::size_t max_record_bytes = 1'000'000;             // key, value and headers of one record
  std::size_t max_queued_records = 100'000;             // per topic and process, not yet written
  std::size_t max_queued_bytes = 64ULL << 20;           // the same in bytes
  Duration retention_age = std::chrono::hours{24 * 7};  // 0: for ever
  std::uint64_t retention_bytes = 0;                    // per topic; 0: no limit
  Duration retention_check = std::chrono::minutes{1};
};

struct EmbeddedOptions {
  std::string directory;  // created when missing; holds log/, state.db and ledger.db
  const Clock* clock = &system_clock();
  EmbeddedLogOptions log{};
  Duration state_timeout = std::chrono::seconds{5};  // of one call of the state store
};

Result<std::unique_ptr<EventLog>> open_event_log(const EmbeddedOptions& options);
Result<std::unique_ptr<StateStore>> open_state_store(const EmbeddedOptions& options,
                                                     boost::asio::any_io_executor loop);
Result<std::unique_ptr<Ledger>> open_ledger(const EmbeddedOptions& options);

}  // namespace flux::embedded
