#include "daemons/balancer/worker.hpp"

#include <malloc.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/core/log.hpp"
#include "daemons/balancer/client_connection.hpp"
#include "daemons/balancer/exchange.hpp"

namespace flux::balancer {
namespace {

constexpr int kAcceptsPerTurn = 128;
constexpr std::int64_t kHousekeepingMs = 500;
constexpr std::uint64_t kPeakWorthTrimming = 1000;

}  // namespace

bool ClientCap::take(const std::string& address) {
  const std::lock_guard lock(mutex_);
  std::uint32_t& taken = taken_[address];
  if (taken >= most_) return false;
  ++taken;
  return true;
}

void ClientCap::give_back(const std::string& address) {
  const std::lock_guard lock(mutex_);
  const auto found = taken_.find(address);
  if (found != taken_.end() && --found->second == 0) taken_.erase(found);
}

// What is done twice a second: logs written out, accepting taken up again, and
// memory given back after a peak.
class Worker::Housekeeping final : Timer {
 public:
  explicit Housekeeping(Worker& worker) : worker_(worker) { arm(); }

 private:
  void arm() { set_deadline(worker_.loop_.timers(), worker_.loop_.now_ms() + kHousekeepingMs); }
  void on_deadline() override {
    arm();
    if (worker_.access_log_) worker_.access_log_->flush();
    worker_.counters_.waiting.store(worker_.dispatch_->waiting(), std::memory_order_relaxed);
    if (worker_.paused_ && worker_.listener_) {
      worker_.paused_ = false;
      worker_.loop_.watch_listener(worker_.listener_.get(), &worker_);
    }
    if (worker_.peak_clients_ > kPeakWorthTrimming && worker_.open_clients_ < worker_.peak_clients_ / 2) {
      worker_.peak_clients_ = worker_.open_clients_;
      ::malloc_trim(0);
    }
  }
  Worker& worker_;
};

Worker::Worker(const Settings& settings, unsigned thread, OwnedFd listener, ClientCap& cap)
    : settings_(settings),
      cap_(cap),
      listener_(std::move(listener)),
      client_buffer_(new char[kBufferSize]),
      upstream_buffer_(new char[kBufferSize]),
      dispatch_(std::make_unique<Dispatch>(*this, thread)),
      housekeeping_(std::make_unique<Housekeeping>(*this)) {
  loop_.watch_listener(listener_.get(), this);
  if (settings.access_log != AccessLogFormat::off) {
    auto log = AccessLog::open(settings.access_log, settings.access_log_file);
    if (log)
      access_log_.emplace(std::move(*log));
    else
      log::error("no access log", {{"error", log.error().one_line()}});
  }
}

Worker::~Worker() = default;

std::string_view Worker::hash_field() const {
  return settings_.algorithm == Algorithm::hash && settings_.hash_by == HashBy::header
             ? std::string_view(settings_.hash_name)
             : std::string_view{};
}

void Worker::run() {
  loop_.run();
  while (clients_ != nullptr) clients_->abort();
  dispatch_->close_idle();
}

void Worker::on_ready(std::uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn && accept_one(); ++i) {
  }
}

bool Worker::accept_one() {
  SocketAddress peer;
  peer.length = sizeof peer.storage;
  OwnedFd fd(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.length,
                       SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      pause_accepting();
      return false;
    }
    return true;  // that connection is gone already; the next one may be fine
  }
  auto client = std::make_unique<ClientConnection>(*this, std::move(fd), peer);
  // Behind a PROXY header the address is not known yet.
  if (!settings_.proxy_protocol && !take_place(*client)) return true;
  counters_.accepted.add();
  ClientConnection* const c = client.release();  // in the list until forget()
  c->next_ = clients_;
  if (clients_ != nullptr) clients_->previous_ = c;
  clients_ = c;
  ++open_clients_;
  peak_clients_ = std::max(peak_clients_, open_clients_);
  if (!c->start()) c->abort();
  return true;
}

bool Worker::take_place(ClientConnection& client) {
  if (!cap_.enabled()) return true;
  client.counted_ = cap_.take(client.address());
  if (!client.counted_) counters_.over_cap.add();
  return client.counted_;
}

void Worker::pause_accepting() {
  // Level-triggered, this would spin; the queue holds the rest meanwhile.
  log::error("cannot accept",
             {{"error", std::strerror(errno)}, {"hint", "raise the descriptor limit (ulimit -n)"}});
  loop_.unwatch(listener_.get());
  paused_ = true;
}

void Worker::forget(ClientConnection& client) {
  if (client.previous_ != nullptr)
    client.previous_->next_ = client.next_;
  else
    clients_ = client.next_;
  if (client.next_ != nullptr) client.next_->previous_ = client.previous_;
  --open_clients_;
  counters_.closed.add();
  if (client.counted_) cap_.give_back(client.address());
  loop_.bury(std::unique_ptr<Mortal>(&client));
  leave_when_done();
}

void Worker::count_own_answer(int status) {
  if (status == 502) counters_.answered_502.add();
  if (status == 503) counters_.answered_503.add();
  if (status == 504) counters_.answered_504.add();
}

void Worker::apply(std::shared_ptr<const Topology> topology) {
  loop_.post([this, topology = std::move(topology)] { dispatch_->apply(topology); });
}

void Worker::upstream_down(std::shared_ptr<Upstream> upstream) {
  loop_.post([this, upstream = std::move(upstream)] { dispatch_->abandon_upstream(upstream.get()); });
}

void Worker::reopen_logs() {
  loop_.post([this] {
    if (access_log_) access_log_->reopen();
  });
}

void Worker::start_drain() {
  loop_.post([this] {
    if (draining_) return;
    // Who is in the queue was promised an answer: a closing listener would drop them.
    while (accept_one()) {
    }
    loop_.unwatch(listener_.get());
    listener_.close();
    draining_ = true;
    for (ClientConnection* client = clients_; client != nullptr;) {
      ClientConnection* const next = client->next_;
      client->drain();
      client = next;
    }
    leave_when_done();
  });
}

void Worker::leave_when_done() {
  if (draining_ && clients_ == nullptr) loop_.stop();
}

void Worker::stop_now() {
  loop_.post([this] { loop_.stop(); });
}

}  // namespace flux::balancer
