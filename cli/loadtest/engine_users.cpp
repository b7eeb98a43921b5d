// What a user does next: which flow, which step, after which pause.

#include <algorithm>

#include "cli/loadtest/engine.hpp"
#include "cli/loadtest/engine_exchange_state.hpp"

namespace flux::loadtest {
namespace {

constexpr ThinkTime kDefaultThink{std::chrono::seconds{1}, std::chrono::seconds{3}};
constexpr std::int64_t kFirstBackoff = 100'000'000;
constexpr std::uint32_t kMostDoublings = 4;

}  // namespace

Engine::User::User() = default;
Engine::User::User(User&&) noexcept = default;
Engine::User::~User() = default;

std::uint32_t Engine::add_user() {
  const auto id = static_cast<std::uint32_t>(users_.size());
  User& user = users_.emplace_back();
  // Mixed once, so that neighbouring users do not draw neighbouring numbers.
  user.random.state = plan_.seed + 0x632be59bd9b4e019ULL * (global_id(id) + 1);
  user.random.state = user.random.next();
  const auto& initial = plan_.scenario->initial;
  if (!initial.empty()) {
    user.variables = std::make_unique<std::string[]>(initial.size());
    std::copy(initial.begin(), initial.end(), user.variables.get());
  }
  return id;
}

void Engine::start_user(std::uint32_t id, std::int64_t now) {
  User& user = users_[id];
  if (user.retiring) {  // asked to stop, not yet stopped, wanted again
    user.retiring = false;
    return;
  }
  if (user.phase != Phase::off) return;
  begin_flow(user);
  begin_request(id, now, now);
}

void Engine::stop_user(std::uint32_t id) {
  User& user = users_[id];
  if (user.phase == Phase::off) return;
  if (user.phase != Phase::idle && user.phase != Phase::queued) {
    user.retiring = true;
    return;
  }
  if (user.phase == Phase::queued) {
    std::erase(connect_queue_, id);
    --in_flight_;
  }
  wheel_.cancel(id);
  disconnect(user);
  user.phase = Phase::off;
}

void Engine::on_timer(std::uint32_t id, std::int64_t now) {
  User& user = users_[id];
  if (user.phase != Phase::idle) return;
  if (open_model_ && user.step >= plan_.scenario->flows[user.flow].steps.size()) {
    user_is_free(id, now);
    return;
  }
  summary_.send_lag.record(now - user.intended);
  begin_request(id, user.intended, now);
}

const Step& Engine::step_of(const User& user) const {
  return plan_.scenario->flows[user.flow].steps[user.step];
}

// By weight among the flows whose needs the user meets.
void Engine::begin_flow(User& user) {
  const Scenario& scenario = *plan_.scenario;
  const auto can_take = [&](const Flow& flow) {
    return std::all_of(flow.needs.begin(), flow.needs.end(),
                       [&](std::uint16_t variable) { return !user.variables[variable].empty(); });
  };
  user.step = 0;
  if (scenario.flows.size() > 1) {
    do {
      const double point = static_cast<double>(user.random.next() >> 11) * 0x1.0p-53 * weights_.back();
      const auto chosen = std::upper_bound(weights_.begin(), weights_.end() - 1, point);
      user.flow = static_cast<std::uint16_t>(chosen - weights_.begin());
    } while (!can_take(scenario.flows[user.flow]));
  }
  for (std::size_t i = 0; i < scenario.feeders.size(); ++i) {
    const Feeder& feeder = scenario.feeders[i];
    std::size_t row = feeder_rows_[i] % feeder.rows.size();
    if (feeder.order == Feeder::Order::random)
      row =
          static_cast<std::size_t>(user.random.between(0, static_cast<std::int64_t>(feeder.rows.size()) - 1));
    else
      feeder_rows_[i] += plan_.threads;
    for (std::size_t column = 0; column < feeder.variables.size(); ++column)
      user.variables[feeder.variables[column]] = feeder.rows[row][column];
  }
  const auto id = static_cast<std::uint32_t>(&user - users_.data());
  for (const auto& [variable, text] : scenario.flows[user.flow].set) {
    std::string value;
    append(value, text, {user.random, sequence_, plan_.threads, global_id(id), user.variables.get()});
    user.variables[variable] = std::move(value);
  }
}

void Engine::begin_request(std::uint32_t id, std::int64_t intended, std::int64_t now) {
  User& user = users_[id];
  ++in_flight_;
  user.intended = intended;
  user.sent = 0;
  user.measured = intended - plan_.start_ns >= plan_.warmup.count();
  const StepKind kind = step_of(user).kind;
  if (kind == StepKind::ws_send || kind == StepKind::ws_receive || kind == StepKind::ws_close) {
    begin_websocket_step(id, now);
    return;
  }
  if (user.frames) disconnect(user);  // the last flow left its WebSocket open
  if (user.connection.is_open())
    send_request(id, now);
  else
    connect(id, now);
}

void Engine::request_ended(std::uint32_t id, Outcome outcome, std::int64_t now) {
  User& user = users_[id];
  --in_flight_;
  ++user.requests;
  user.exchange.reset();
  if (user.measured) recorder_.record(step_of(user).name, outcome);
  if (outcome.error != ErrorKind::none && plan_.stop_on_error) control_.stop = true;
  after_request(id, outcome.error != ErrorKind::none, now);
}

ThinkTime Engine::think_after(const User& user) const {
  const Flow& flow = plan_.scenario->flows[user.flow];
  if (user.step + 1U < flow.steps.size()) return flow.steps[user.step].think.value_or(ThinkTime{});
  if (open_model_) return {};  // arrivals follow their own schedule
  if (plan_.think) return *plan_.think;
  if (flow.think) return *flow.think;
  return plan_.scenario->think.value_or(kDefaultThink);
}

void Engine::after_request(std::uint32_t id, bool failed, std::int64_t now) {
  User& user = users_[id];
  const bool stopping = ending_ || (plan_.stop_on_error && control_.stop);
  const bool sent_all = plan_.requests_per_user != 0 && user.requests >= plan_.requests_per_user;
  if (stopping || user.retiring || sent_all) {
    user.retiring = false;
    user.phase = Phase::off;
    disconnect(user);
    return;
  }
  const ThinkTime think = think_after(user);
  // A failed step ends its flow: what follows would work on values that never came.
  if (failed) user.step = static_cast<std::uint16_t>(plan_.scenario->flows[user.flow].steps.size() - 1);
  const bool flow_ended = ++user.step >= plan_.scenario->flows[user.flow].steps.size();
  std::int64_t pause = user.random.between(think.least.count(), think.most.count());
  if (user.failures != 0)  // nobody listens: do not spin on it
    pause = std::max(pause, kFirstBackoff << std::min(user.failures - 1, kMostDoublings));
  if (flow_ended && open_model_ && pause == 0) {
    user_is_free(id, now);
    return;
  }
  if (flow_ended && !open_model_) begin_flow(user);
  if (pause == 0) {
    begin_request(id, now, now);
    return;
  }
  user.phase = Phase::idle;
  user.intended = now + pause;
  wheel_.set(id, user.intended);
}

// Open model: takes the oldest arrival that is waiting for a user, else waits for one.
void Engine::user_is_free(std::uint32_t id, std::int64_t now) {
  User& user = users_[id];
  user.phase = Phase::idle;
  if (waiting_arrivals_.empty()) {
    free_users_.push_back(id);
    return;
  }
  const std::int64_t due = waiting_arrivals_.front();
  waiting_arrivals_.pop_front();
  ++summary_.arrivals_sent;
  begin_flow(user);
  begin_request(id, due, now);
}

}  // namespace flux::loadtest
