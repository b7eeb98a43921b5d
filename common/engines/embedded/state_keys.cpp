// Idempotency keys, rate limits, the cache and leases.
#include <algorithm>

#include "common/engines/embedded/state_tables.hpp"
#include "common/ports/rate_bucket.hpp"

namespace flux::embedded {
namespace {

std::int64_t microseconds(Duration d) {
  return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
}

// The length keeps ("a", "bc") and ("ab", "c") apart.
std::string scoped(const std::string& scope, const std::string& key) {
  return std::to_string(scope.size()) + ":" + scope + key;
}

Uuid read_order(std::string_view bytes) {
  Uuid id;
  if (bytes.size() == id.bytes.size()) std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

}  // namespace

Result<KeyClaim> StateTables::claim_key(const ClaimRequest& request) {
  const std::string key = scoped(request.scope, request.key);
  const std::int64_t lease_until = unix_us(request.now) + microseconds(request.lease);
  KeyClaim claim{KeyClaim::State::fresh, request.order_id, {}};
  {
    auto found = database_->prepare(
        "SELECT fingerprint, order_id, lease_until, answer FROM timed_key WHERE key = ? AND expires_at > ?");
    if (!found) return found.error();
    auto row = found->with(Blob{key}, now_us()).step();
    if (!row) return row.error();
    if (*row) {
      const Uuid owner = read_order(found->view(1));
      if (found->view(0) != request.fingerprint) return KeyClaim{KeyClaim::State::mismatch, owner, {}};
      if (!found->is_null(3)) return KeyClaim{KeyClaim::State::answered, owner, found->text(3)};
      if (owner != request.order_id) {
        if (found->integer(2) > unix_us(request.now)) return KeyClaim{KeyClaim::State::pending, owner, {}};
        claim = {KeyClaim::State::taken_over, owner, {}};
      }
    }
  }
  auto kept = database_->run("INSERT OR REPLACE INTO timed_key VALUES (?, ?, ?, ?, ?, NULL)", Blob{key},
                             now_us() + microseconds(request.keep), Blob{request.fingerprint},
                             as_blob(claim.order_id), lease_until);
  if (!kept) return kept.error();
  return claim;
}

Result<> StateTables::answer_key(const std::string& scope, const std::string& key, const std::string& answer,
                                 Duration keep) {
  return database_->run(
      "UPDATE timed_key SET answer = ?, expires_at = ? WHERE key = ? AND answer IS NULL AND expires_at > ?",
      Blob{answer}, now_us() + microseconds(keep), Blob{scoped(scope, key)}, now_us());
}

Result<> StateTables::release_key(const std::string& scope, const std::string& key, const Uuid& order_id) {
  return database_->run("DELETE FROM timed_key WHERE key = ? AND order_id = ? AND answer IS NULL",
                        Blob{scoped(scope, key)}, as_blob(order_id));
}

Result<RateDecision> StateTables::take_token(const std::string& client, double rate, double burst,
                                             WallTime now) {
  std::int64_t full_at = 0;
  {
    auto found = database_->prepare("SELECT expires_at FROM timed_rate WHERE key = ?");
    if (!found) return found.error();
    auto row = found->with(Blob{client}).step();
    if (!row) return row.error();
    if (*row) full_at = found->integer(0);
  }
  const RateDecision decision = RateBucket{rate, burst}.take(full_at, unix_us(now));
  if (decision.allowed) {
    auto kept = database_->run("INSERT OR REPLACE INTO timed_rate VALUES (?, ?)", Blob{client}, full_at);
    if (!kept) return kept.error();
  }
  return decision;
}

Result<std::optional<std::string>> StateTables::cache_get(const std::string& key) {
  auto found = database_->prepare("SELECT value FROM timed_cache WHERE key = ? AND expires_at > ?");
  if (!found) return found.error();
  auto row = found->with(Blob{key}, now_us()).step();
  if (!row) return row.error();
  return *row ? std::optional{found->text(0)} : std::nullopt;
}

Result<> StateTables::cache_put(const std::string& key, const std::string& value, Duration ttl) {
  return database_->run("INSERT OR REPLACE INTO timed_cache VALUES (?, ?, ?)", Blob{key},
                        now_us() + microseconds(ttl), Blob{value});
}

Result<> StateTables::cache_drop(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    if (auto gone = database_->run("DELETE FROM timed_cache WHERE key = ?", Blob{key}); !gone) return gone;
  }
  return {};
}

Result<std::optional<Lease>> StateTables::acquire_lease(const std::string& name, const std::string& owner,
                                                        Duration ttl) {
  const std::int64_t now = now_us();
  // Counted from the clock, so that tokens still grow after the file was lost.
  std::int64_t token = now;
  {
    auto found = database_->prepare("SELECT owner, token, expires_at FROM lease WHERE name = ?");
    if (!found) return found.error();
    auto row = found->with(Blob{name}).step();
    if (!row) return row.error();
    if (*row) {
      const bool is_held = found->integer(2) > now;
      const bool is_mine = found->view(0) == owner;
      if (is_held && !is_mine) return std::optional<Lease>{};
      token = is_held ? found->integer(1) : found->integer(1) + 1;
    }
  }
  auto kept = database_->run("INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?)", Blob{name}, Blob{owner},
                             token, now + microseconds(ttl));
  if (!kept) return kept.error();
  return std::optional{Lease{name, owner, token}};
}

Result<> StateTables::release_lease(const Lease& lease) {
  return database_->run("UPDATE lease SET expires_at = 0 WHERE name = ? AND owner = ? AND token = ?",
                        Blob{lease.name}, Blob{lease.owner}, lease.token);
}

}  // namespace flux::embedded
