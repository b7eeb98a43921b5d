// The loop of a generator thread: what is due, then what has arrived.

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <system_error>

#include "cli/loadtest/engine.hpp"
#include "cli/loadtest/engine_exchange_state.hpp"

namespace flux::loadtest {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSlot = 250 * kMs;        // between reports
constexpr std::int64_t kSweep = 50 * kMs;        // between looks for timeouts
constexpr std::int64_t kProbe = 10 * kMs;        // between loop lag probes
constexpr std::int64_t kRampStep = kMs;          // between looks at the user plan while it changes
constexpr std::int64_t kSettledStep = 50 * kMs;  // and afterwards, for keys
constexpr std::size_t kBuffer = 64 << 10;
constexpr int kEvents = 64;  // few enough that a full batch delays nothing by a millisecond
constexpr std::uint32_t kHangup = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
constexpr std::uint32_t kReadable = EPOLLIN | kHangup;

// Nanoseconds this thread has waited for a processor, from the scheduler's own count.
std::int64_t run_queue_wait_ns() {
  std::FILE* file = std::fopen("/proc/thread-self/schedstat", "re");
  if (file == nullptr) return 0;
  long long running = 0;
  long long waiting = 0;
  const int read = std::fscanf(file, "%lld %lld", &running, &waiting);
  std::fclose(file);
  return read == 2 ? waiting : 0;
}

std::int64_t thread_cpu_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

}  // namespace

std::int64_t monotonic_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

Engine::Engine(const EnginePlan& plan, RunControl& control, std::uint32_t index)
    : plan_(plan),
      control_(control),
      index_(index),
      open_model_(plan.arrivals.rate > 0),
      recorder_(plan.scenario->names.size()),
      sources_(*plan.target),
      wheel_(plan.start_ns),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      feeder_rows_(plan.scenario->feeders.size(), index),
      sequence_(index),
      buffer_(kBuffer) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  double sum = 0;
  for (const Flow& flow : plan.scenario->flows) {
    weights_.push_back(sum += flow.weight);
    std::vector<RequestText> texts;
    for (const Step& step : flow.steps) texts.emplace_back(step, plan.target->authority, plan.keep_alive);
    requests_.push_back(std::move(texts));
  }
  users_.reserve((plan.user_limit + plan.threads - 1) / plan.threads);
  if (open_model_) {
    next_arrival_ = index;
    next_arrival_due_ = plan.start_ns + plan.arrivals.due_ns(next_arrival_);
  }
}

Engine::~Engine() {
  ::close(epoll_);
}

void Engine::run() {
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // wake when asked to, not up to 50 µs later
  const std::int64_t cpu_before = thread_cpu_ns();
  const std::int64_t wait_before = run_queue_wait_ns();
  const std::int64_t began = monotonic_ns();
  next_probe_ = began + kProbe;
  next_sweep_ = began + kSweep;
  while (true) {
    const std::int64_t now = monotonic_ns();
    chores(now);
    run_due(now);
    if (finished()) break;
    wait_and_handle(now);
  }
  summary_.finished_ns = monotonic_ns();
  publish((summary_.finished_ns - plan_.start_ns) / kSlot, true);
  for (User& user : users_) user.connection.close();
  summary_.wall_ns = summary_.finished_ns - began;
  summary_.cpu_ns = thread_cpu_ns() - cpu_before;
  summary_.run_queue_wait_ns = run_queue_wait_ns() - wait_before;
}

void Engine::chores(std::int64_t now) {
  if (const std::int64_t slot = (now - plan_.start_ns) / kSlot; slot > published_slots_) {
    publish(published_slots_, false);
    published_slots_ = slot;
  }
  if (now >= next_probe_) {
    summary_.loop_lag.record(now - next_probe_);
    next_probe_ = now + kProbe;
  }
  if (!ending_ &&
      (now >= plan_.start_ns + plan_.run_time.count() || control_.stop.load(std::memory_order_relaxed)))
    begin_ending(now);
  if (ending_ && control_.stop.load(std::memory_order_relaxed))
    ending_deadline_ = std::min(ending_deadline_, now + 1000 * kMs);
  if (ending_ && now >= ending_deadline_) abandon_in_flight(now);
  if (now >= next_sweep_) {
    next_sweep_ = now + kSweep;
    sweep_timeouts(now);
  }
}

void Engine::run_due(std::int64_t now) {
  wheel_.advance(now, [&](std::uint32_t id) { on_timer(id, monotonic_ns()); });
  if (!ending_) {
    if (open_model_)
      dispatch_arrivals(now);
    else if (now >= next_adjust_)
      adjust_users(now);
  }
  if (!connect_queue_.empty() && may_connect()) connect_queued(now);
  due_soon_ = std::min(wheel_.next_due(),
                       ending_ ? TimingWheel::kNever : (open_model_ ? next_arrival_due_ : next_adjust_));
}

// Follows the plan: the first `wanted` users of this thread take part.
void Engine::adjust_users(std::int64_t now) {
  const Duration elapsed{now - plan_.start_ns};
  const auto planned = static_cast<std::int64_t>(plan_.users.users_at(elapsed)) +
                       control_.more_users.load(std::memory_order_relaxed);
  const auto total = std::clamp<std::int64_t>(planned, 0, plan_.user_limit);
  const auto wanted = static_cast<std::uint32_t>((total + plan_.threads - 1 - index_) / plan_.threads);
  while (active_ < wanted) {
    if (active_ == users_.size()) add_user();
    start_user(active_++, now);
  }
  while (active_ > wanted) stop_user(--active_);
  summary_.most_users = std::max(summary_.most_users, active_);
  next_adjust_ = now + (elapsed < plan_.users.settles_after() ? kRampStep : kSettledStep);
  // Everybody has sent what was asked: nothing is left to wait for.
  if (plan_.requests_per_user != 0 && elapsed >= plan_.users.settles_after() && in_flight_ == 0 &&
      std::all_of(users_.begin(), users_.end(), [](const User& user) { return user.phase == Phase::off; }))
    begin_ending(now);
}

void Engine::dispatch_arrivals(std::int64_t now) {
  while (next_arrival_due_ <= now) {
    const std::int64_t due = next_arrival_due_;
    next_arrival_ += plan_.threads;
    next_arrival_due_ = plan_.start_ns + plan_.arrivals.due_ns(next_arrival_);
    if (due >= plan_.start_ns + plan_.run_time.count()) {
      next_arrival_due_ = TimingWheel::kNever;
      return;
    }
    ++summary_.arrivals_due;
    const std::uint32_t limit = (plan_.user_limit + plan_.threads - 1 - index_) / plan_.threads;
    if (free_users_.empty() && users_.size() >= limit) {
      waiting_arrivals_.push_back(due);
      continue;
    }
    if (free_users_.empty()) {
      free_users_.push_back(add_user());
      active_ = static_cast<std::uint32_t>(users_.size());
      summary_.most_users = active_;
    }
    const std::uint32_t id = free_users_.back();
    free_users_.pop_back();
    ++summary_.arrivals_sent;
    const std::int64_t sending = monotonic_ns();
    summary_.send_lag.record(sending - due);
    begin_flow(users_[id]);
    begin_request(id, due, sending);
  }
}

void Engine::sweep_timeouts(std::int64_t now) {
  if (in_flight_ == 0) return;
  for (std::uint32_t id = 0; id < users_.size(); ++id) {
    const Phase phase = users_[id].phase;
    if (phase < Phase::connecting || phase > Phase::awaiting || users_[id].deadline > now) continue;
    if (phase == Phase::connecting || phase == Phase::handshaking)
      connect_failed(id, ETIMEDOUT, now);
    else
      exchange_failed(id, ErrorKind::timeout, now);
  }
}

void Engine::publish(std::int64_t slot, bool last) {
  IntervalReport report = recorder_.take();
  report.slot = slot;
  report.thread = index_;
  report.users = active_;
  report.last = last;
  const std::scoped_lock lock(control_.mutex);
  control_.reports.push_back(std::move(report));
}

void Engine::begin_ending(std::int64_t now) {
  ending_ = true;
  ending_deadline_ = now + plan_.grace.count();
  for (std::uint32_t id = 0; id < users_.size(); ++id)
    if (users_[id].phase == Phase::idle || users_[id].phase == Phase::queued) stop_user(id);
  connect_queue_.clear();
}

// No answer within the grace: a timeout, unless somebody pressed Ctrl-C.
void Engine::abandon_in_flight(std::int64_t now) {
  const bool interrupted = control_.stop.load(std::memory_order_relaxed);
  for (std::uint32_t id = 0; id < users_.size(); ++id) {
    User& user = users_[id];
    if (user.phase < Phase::connecting || user.phase > Phase::awaiting) continue;
    if (interrupted) {
      ++summary_.abandoned;
      disconnect(user);
      user.phase = Phase::off;
      --in_flight_;
    } else if (user.phase < Phase::sending) {
      connect_failed(id, ETIMEDOUT, now);
    } else {
      exchange_failed(id, ErrorKind::timeout, now);
    }
  }
}

void Engine::wait_and_handle(std::int64_t now) {
  std::int64_t wake =
      std::min({due_soon_, next_probe_, next_sweep_, plan_.start_ns + (published_slots_ + 1) * kSlot});
  if (!ending_) wake = std::min(wake, plan_.start_ns + plan_.run_time.count());
  const std::int64_t pause = std::max<std::int64_t>(0, wake - now);
  const timespec timeout{pause / 1'000'000'000, pause % 1'000'000'000};
  epoll_event events[kEvents];
  const int count = ::epoll_pwait2(epoll_, events, kEvents, &timeout, nullptr);
  for (int i = 0; i < count; ++i) {
    handle_event(events[i].data.u64, events[i].events);
    // A batch of answers must not hold up what is due meanwhile.
    if ((i & 7) == 7)
      if (const std::int64_t later = monotonic_ns(); later >= due_soon_) run_due(later);
  }
}

void Engine::handle_event(std::uint64_t tag, std::uint32_t events) {
  const auto id = static_cast<std::uint32_t>(tag);
  User& user = users_[id];
  if (user.generation != static_cast<std::uint32_t>(tag >> 32)) return;  // of a connection since closed
  switch (user.phase) {
    case Phase::connecting:
      if (const int error = user.connection.connect_error(); error != 0)
        connect_failed(id, error, monotonic_ns());
      else if ((events & EPOLLOUT) != 0)
        connected(id, monotonic_ns());
      break;
    case Phase::handshaking: connected(id, monotonic_ns()); break;
    case Phase::sending:
      if ((events & EPOLLOUT) != 0) continue_sending(id, monotonic_ns());
      if (user.phase == Phase::sending && (events & kReadable) != 0) receive(id, (events & kHangup) != 0);
      break;
    case Phase::awaiting:
    case Phase::idle:
    case Phase::queued:
    case Phase::off:
      if ((events & kReadable) != 0) receive(id, (events & kHangup) != 0);
      break;
  }
}

}  // namespace flux::loadtest
