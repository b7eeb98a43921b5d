// Idempotency keys, rate limits, the cache, leases; opening.
#include "common/engines/distributed/redis/redis_state_store.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "common/ports/rate_bucket.hpp"

namespace flux::redis {
namespace {

std::string microseconds(Duration d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(d).count());
}

// The length keeps ("a", "bc") and ("ab", "c") apart.
std::string scoped_key(const std::string& prefix, const std::string& scope, const std::string& key) {
  return prefix + "flux:key:" + std::to_string(scope.size()) + ":" + scope + key;
}

std::string exact(double value) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.17g", value);
  return text.data();
}

// Only whether it went well.
Async<Result<>> outcome_of(Async<Result<Reply>> call) {
  auto reply = co_await std::move(call);
  if (!reply) co_return reply.error();
  co_return Result<>{};
}

}  // namespace

std::string to_bytes(const Uuid& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

Result<Uuid> from_bytes(std::string_view bytes) {
  Uuid id;
  if (bytes.size() != id.bytes.size())
    return Error{Errc::corrupted, "an order id in Redis is not 16 bytes long"};
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

WallTime from_unix_us(std::int64_t us) {
  return WallTime{std::chrono::microseconds{us}};
}

std::string milliseconds(Duration d) {
  return std::to_string(std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::milliseconds>(d).count()));
}

RedisStateStore::RedisStateStore(std::shared_ptr<RedisClient> client, std::string prefix, Duration timeout)
    : client_(std::move(client)), prefix_(std::move(prefix)), timeout_(timeout) {}

RedisStateStore::~RedisStateStore() {
  client_->close();
}

Async<Result<KeyClaim>> RedisStateStore::claim_key(ClaimRequest request) {
  Call call = scripted(ScriptName::claim_key, {scoped_key(prefix_, request.scope, request.key)},
                       {request.fingerprint, to_bytes(request.order_id), std::to_string(unix_us(request.now)),
                        microseconds(request.lease), milliseconds(request.keep)});
  auto reply = co_await client_->run(std::move(call));
  if (!reply) co_return reply.error();
  if (reply->items.size() != 3) co_return unexpected_reply("claim_key.lua");
  auto order_id = from_bytes(reply->items[1].text);
  if (!order_id) co_return order_id.error();
  KeyClaim claim;
  claim.order_id = *order_id;
  claim.answer = std::move(reply->items[2].text);
  const std::string& state = reply->items[0].text;
  if (state == "taken_over") {
    claim.state = KeyClaim::State::taken_over;
  } else if (state == "pending") {
    claim.state = KeyClaim::State::pending;
  } else if (state == "answered") {
    claim.state = KeyClaim::State::answered;
  } else if (state == "mismatch") {
    claim.state = KeyClaim::State::mismatch;
  }
  co_return claim;
}

Async<Result<>> RedisStateStore::answer_key(std::string scope, std::string key, std::string answer,
                                            Duration keep) {
  return outcome_of(client_->run(
      scripted(ScriptName::answer_key, {scoped_key(prefix_, scope, key)}, {answer, milliseconds(keep)})));
}

Async<Result<>> RedisStateStore::release_key(std::string scope, std::string key, Uuid order_id) {
  return outcome_of(client_->run(
      scripted(ScriptName::release_key, {scoped_key(prefix_, scope, key)}, {to_bytes(order_id)})));
}

Async<Result<RateDecision>> RedisStateStore::take_token(std::string client, double rate, double burst,
                                                        WallTime now) {
  if (!(rate > 0)) co_return RateDecision{};  // no limit
  const RateBucket bucket{rate, burst};
  Call call = scripted(ScriptName::take_token, {prefix_ + "flux:rate:" + client},
                       {exact(bucket.token_us), exact(bucket.capacity_us), std::to_string(unix_us(now))});
  auto reply = co_await client_->run(std::move(call));
  if (!reply) co_return reply.error();
  const std::int64_t wait = reply->to_integer();
  co_return RateDecision{wait == 0, Duration{wait}};
}

Async<Result<std::optional<std::string>>> RedisStateStore::cache_get(std::string key) {
  const std::string name = prefix_ + "flux:cache:" + key;
  Call call = plain(name, {"GET", name});
  auto reply = co_await client_->run(std::move(call));
  if (!reply) co_return reply.error();
  if (reply->kind == Reply::Kind::nil) co_return std::optional<std::string>{};
  co_return std::optional{std::move(reply->text)};
}

Async<Result<>> RedisStateStore::cache_put(std::string key, std::string value, Duration ttl) {
  const std::string name = prefix_ + "flux:cache:" + key;
  return outcome_of(client_->run(plain(name, {"SET", name, value, "PX", milliseconds(ttl)})));
}

Async<Result<>> RedisStateStore::cache_drop(std::vector<std::string> keys) {
  std::vector<Call> calls;
  for (const std::string& key : keys) {
    const std::string name = prefix_ + "flux:cache:" + key;
    calls.push_back(plain(name, {"DEL", name}));
  }
  const auto replies = co_await client_->run_all(std::move(calls));
  for (const auto& reply : replies)
    if (!reply) co_return reply.error();
  co_return Result<>{};
}

Async<Result<std::optional<Lease>>> RedisStateStore::acquire_lease(std::string name, std::string owner,
                                                                   Duration ttl) {
  Call call =
      scripted(ScriptName::acquire_lease, {prefix_ + "flux:lease:" + name}, {owner, microseconds(ttl)});
  auto reply = co_await client_->run(std::move(call));
  if (!reply) co_return reply.error();
  if (reply->kind == Reply::Kind::nil) co_return std::optional<Lease>{};
  Lease lease{std::move(name), std::move(owner), reply->to_integer()};
  co_return std::optional{std::move(lease)};
}

Async<Result<>> RedisStateStore::release_lease(Lease lease) {
  return outcome_of(client_->run(scripted(ScriptName::release_lease, {prefix_ + "flux:lease:" + lease.name},
                                          {lease.owner, std::to_string(lease.token)})));
}

Async<Result<>> RedisStateStore::ping() {
  // A write, since a server that cannot write is of no use.
  const std::string name = prefix_ + "flux:ping";
  return outcome_of(client_->run(plain(name, {"SET", name, "1", "PX", "1000"})));
}

Result<std::unique_ptr<StateStore>> open_state_store(const RedisOptions& options,
                                                     boost::asio::any_io_executor loop) {
  if (options.prefix.find_first_of("{}") != std::string::npos) {
    return Error{Errc::invalid_argument, "the prefix of Redis keys must not contain braces"};
  }
  auto topology = options.cluster.empty() ? open_single(options, loop) : open_cluster(options, loop);
  if (!topology) return topology.error();
  auto client = std::make_shared<RedisClient>(std::move(*topology), std::move(loop));
  return std::unique_ptr<StateStore>{
      std::make_unique<RedisStateStore>(std::move(client), options.prefix, options.timeout)};
}

}  // namespace flux::redis
