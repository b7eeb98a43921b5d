// WebSocket steps of a user: upgrade, send, wait for a message, close.

#include <algorithm>

#include "cli/loadtest/answer.hpp"
#include "cli/loadtest/engine.hpp"
#include "cli/loadtest/engine_exchange_state.hpp"
#include "cli/loadtest/websocket_frames.hpp"

namespace flux::loadtest {
namespace {

constexpr std::size_t kMostUnread = 1000;  // messages nobody asked for; older ones are dropped

bool is_message(const FrameReader::Message& message) {
  return message.opcode == Opcode::text || message.opcode == Opcode::binary;
}

}  // namespace

void Engine::begin_websocket_step(std::uint32_t id, std::int64_t now) {
  User& user = users_[id];
  user.sent = now;
  user.deadline = now + plan_.timeout.count();
  user.phase = Phase::awaiting;
  const Step& step = step_of(user);
  if (!user.frames || !user.connection.is_open()) {
    exchange_failed(id, ErrorKind::reset, now);
    return;
  }
  if (step.kind == StepKind::ws_receive) {
    take_message(id, now);
    return;
  }
  std::string payload;
  append(payload, step.body, {user.random, sequence_, plan_.threads, global_id(id), user.variables.get()});
  std::string frame;
  const auto mask = static_cast<std::uint32_t>(user.random.next());
  append_frame(frame, step.kind == StepKind::ws_close ? Opcode::close : Opcode::text, payload, mask);
  send_bytes(id, frame, now);
}

// The step has put its bytes on the wire, and waits for nothing.
void Engine::frame_sent(std::uint32_t id) {
  User& user = users_[id];
  const std::int64_t now = monotonic_ns();
  Outcome outcome;
  outcome.service_ns = now - user.sent;
  outcome.response_ns = now - user.intended;
  if (step_of(user).kind == StepKind::ws_close) disconnect(user);
  request_ended(id, outcome, now);
}

void Engine::upgraded(std::uint32_t id, std::string_view first_frames) {
  User& user = users_[id];
  user.frames = std::make_unique<FrameReader>();
  user.frames->feed(first_frames);
}

void Engine::receive_frames(std::uint32_t id, std::string_view bytes, std::int64_t now) {
  User& user = users_[id];
  const bool waiting = user.phase == Phase::awaiting || user.phase == Phase::sending;
  if (waiting && user.measured) recorder_.add_bytes(bytes.size(), 0);
  bool alive = user.frames->feed(bytes);
  const bool broken = !alive;
  auto& messages = user.frames->messages();
  for (const FrameReader::Message& message : messages) {
    if (message.opcode == Opcode::close) alive = false;
    if (message.opcode != Opcode::ping) continue;
    std::string pong;
    append_frame(pong, Opcode::pong, message.payload, static_cast<std::uint32_t>(user.random.next()));
    user.connection.send(pong);  // a pong that does not fit may be left out: another ping will come
  }
  std::erase_if(messages, [](const FrameReader::Message& message) { return !is_message(message); });
  while (messages.size() > kMostUnread) messages.pop_front();
  const std::uint32_t generation = user.generation;
  if (user.phase == Phase::awaiting && step_of(user).kind == StepKind::ws_receive) take_message(id, now);
  if (alive || user.generation != generation) return;
  if (user.phase == Phase::awaiting || user.phase == Phase::sending)
    exchange_failed(id, broken ? ErrorKind::protocol : ErrorKind::reset, now);
  else
    disconnect(user);
}

// Ends the step with the first message that passes its checks; others are not for it.
void Engine::take_message(std::uint32_t id, std::int64_t now) {
  User& user = users_[id];
  const Step& step = step_of(user);
  auto& messages = user.frames->messages();
  while (!messages.empty()) {
    const std::string payload = std::move(messages.front().payload);
    messages.pop_front();
    const bool wanted = std::all_of(step.checks.begin(), step.checks.end(), [&](const Check& check) {
      return check.kind != Check::Kind::body_contains || payload.find(check.value) != std::string::npos;
    });
    if (!wanted) continue;
    Outcome outcome;
    outcome.service_ns = now - user.sent;
    outcome.response_ns = now - user.intended;
    judge_message(step, payload, user.variables.get(), outcome);
    request_ended(id, outcome, now);
    return;
  }
}

}  // namespace flux::loadtest
