#include "common/engines/distributed/redis/redis_client.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <optional>

namespace flux::redis {
namespace {

namespace asio = boost::asio;

std::string encode_script(std::string_view how, std::string_view script,
                          const std::vector<std::string>& words) {
  std::vector<std::string_view> all{how, script};
  all.insert(all.end(), words.begin(), words.end());
  return encode_command(all);
}

template <class Handler>
struct Gathering {
  explicit Gathering(Handler h) : handler(std::move(h)) {}
  Handler handler;
  std::vector<Result<Reply>> results;
  std::size_t missing = 0;
};

}  // namespace

Call plain(std::string key, const std::vector<std::string_view>& words) {
  return {std::move(key), encode_command(words)};
}

Call scripted(ScriptName name, std::vector<std::string> keys, const std::vector<std::string>& arguments) {
  const Script& called = script(name);
  Call call{keys[0], {}, &called, {std::to_string(keys.size())}};
  for (std::string& key : keys) call.words.push_back(std::move(key));
  call.words.insert(call.words.end(), arguments.begin(), arguments.end());
  call.command = encode_script("EVALSHA", called.digest, call.words);
  return call;
}

Async<Result<Reply>> RedisClient::run(Call call) {
  return perform(shared_from_this(), std::move(call));
}

Async<Result<Reply>> RedisClient::perform(std::shared_ptr<RedisClient> self, Call call) {
  auto reply = co_await self->topology_->send(call.key, std::move(call.command));
  if (reply && call.script != nullptr && reply->is_error("NOSCRIPT")) {
    // The server restarted or its scripts were flushed; EVAL also keeps it again.
    std::string command = encode_script("EVAL", call.script->source, call.words);
    reply = co_await self->topology_->send(call.key, std::move(command));
  }
  if (reply && reply->kind == Reply::Kind::error) co_return translate_error(*reply, self->topology_->where());
  co_return reply;
}

Async<std::vector<Result<Reply>>> RedisClient::run_all(std::vector<Call> calls) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void(std::vector<Result<Reply>>)>(
      [](auto handler, std::shared_ptr<RedisClient> self, std::vector<Call> all) {
        const auto gathering = std::make_shared<Gathering<decltype(handler)>>(std::move(handler));
        gathering->results.resize(all.size(), Result<Reply>{Reply{}});
        gathering->missing = all.size() + 1;
        const auto one_less = [gathering] {
          if (--gathering->missing == 0) gathering->handler(std::move(gathering->results));
        };
        for (std::size_t i = 0; i < all.size(); ++i) {
          asio::co_spawn(self->loop_, perform(self, std::move(all[i])),
                         [gathering, one_less, i](std::exception_ptr thrown, Result<Reply> result) {
                           gathering->results[i] =
                               thrown ? Result<Reply>{Error{Errc::internal, "a call to Redis threw"}}
                                      : std::move(result);
                           one_less();
                         });
        }
        // Completes from the loop even when there was nothing to do.
        asio::post(self->loop_, one_less);
      },
      asio::use_awaitable, shared_from_this(), std::move(calls));
}

Async<void> RedisClient::pause(Duration time) {
  asio::steady_timer timer{loop_, time};
  boost::system::error_code ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace flux::redis
