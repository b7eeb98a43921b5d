// Bytes out and in: connecting, sending a request, reading its answer.

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "cli/loadtest/answer.hpp"
#include "cli/loadtest/engine.hpp"
#include "cli/loadtest/engine_exchange_state.hpp"

namespace flux::loadtest {
namespace {

// Connects in progress over all threads: more would only fill the target's backlog.
constexpr std::uint32_t kConnectsInProgress = 256;

}  // namespace

bool Engine::may_connect() const {
  return connecting_ < std::max<std::uint32_t>(1, kConnectsInProgress / plan_.threads);
}

void Engine::connect(std::uint32_t id, std::int64_t now) {
  User& user = users_[id];
  if (!may_connect()) {
    user.phase = Phase::queued;
    connect_queue_.push_back(id);
    return;
  }
  // Waiting for our own pace of connecting is not the target's fault.
  if (user.requests == 0 && !open_model_) user.intended = now;
  int error = 0;
  user.phase = Phase::connecting;
  ++connecting_;
  if (user.connection.open(*plan_.target, sources_, error) == Connection::Io::failed) {
    connect_failed(id, error, now);
    return;
  }
  ++summary_.connections;
  user.deadline = now + plan_.timeout.count();
  epoll_event event{};
  // Edge-triggered and registered once: no call per request to change what is waited for.
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = (static_cast<std::uint64_t>(user.generation) << 32) | id;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, user.connection.fd(), &event) != 0) connect_failed(id, errno, now);
}

void Engine::connect_queued(std::int64_t now) {
  while (!connect_queue_.empty() && may_connect()) {
    const std::uint32_t id = connect_queue_.front();
    connect_queue_.pop_front();
    connect(id, now);
  }
}

void Engine::connected(std::uint32_t id, std::int64_t now) {
  User& user = users_[id];
  if (plan_.tls != nullptr) {
    user.phase = Phase::handshaking;
    const Connection::Io state = user.connection.handshake(*plan_.tls, *plan_.target);
    if (state == Connection::Io::wait) return;
    if (state != Connection::Io::done) {
      connect_failed(id, EPROTO, now);
      return;
    }
  }
  --connecting_;
  user.failures = 0;
  send_request(id, now);
}

void Engine::connect_failed(std::uint32_t id, int error, std::int64_t now) {
  User& user = users_[id];
  --connecting_;
  ++user.failures;
  if (error == EADDRNOTAVAIL) ++summary_.ports_exhausted;
  if (error == EMFILE || error == ENFILE) ++summary_.descriptors_exhausted;
  summary_.last_connect_error = error;
  disconnect(user);
  Outcome outcome;
  outcome.error = ErrorKind::connect;
  request_ended(id, outcome, now);
}

void Engine::send_request(std::uint32_t id, std::int64_t now) {
  User& user = users_[id];
  const std::string_view bytes = requests_[user.flow][user.step].render(
      {user.random, sequence_, plan_.threads, global_id(id), user.variables.get()});
  send_bytes(id, bytes, now);
}

void Engine::send_bytes(std::uint32_t id, std::string_view bytes, std::int64_t now) {
  User& user = users_[id];
  user.sent = now;
  user.deadline = now + plan_.timeout.count();
  user.phase = Phase::awaiting;
  if (user.measured) recorder_.add_bytes(0, bytes.size());
  const Connection::Transfer sent = user.connection.send(bytes);
  if (sent.state == Connection::Io::closed || sent.state == Connection::Io::failed) {
    exchange_failed(id, ErrorKind::reset, now);
    return;
  }
  if (sent.bytes == bytes.size()) {
    if (user.frames) frame_sent(id);
    return;
  }
  if (!user.exchange) user.exchange = std::make_unique<Exchange>();
  user.exchange->unsent = bytes.substr(sent.bytes);
  user.phase = Phase::sending;
  // TLS and large bodies may take another piece at once, and then no edge would come.
  continue_sending(id, now);
}

void Engine::continue_sending(std::uint32_t id, std::int64_t now) {
  User& user = users_[id];
  std::string& unsent = user.exchange->unsent;
  while (!unsent.empty()) {
    const Connection::Transfer sent = user.connection.send(unsent);
    if (sent.state == Connection::Io::wait) return;
    if (sent.state != Connection::Io::done) {
      exchange_failed(id, ErrorKind::reset, now);
      return;
    }
    unsent.erase(0, sent.bytes);
  }
  user.phase = Phase::awaiting;
  if (user.frames) frame_sent(id);
}

void Engine::receive(std::uint32_t id, bool hangup) {
  const std::uint32_t generation = users_[id].generation;
  while (true) {
    const Connection::Transfer got = users_[id].connection.receive(buffer_.data(), buffer_.size());
    switch (got.state) {
      case Connection::Io::wait: return;
      case Connection::Io::closed: end_of_stream(id, monotonic_ns()); return;
      case Connection::Io::failed:
        if (users_[id].phase == Phase::awaiting || users_[id].phase == Phase::sending)
          exchange_failed(id, ErrorKind::reset, monotonic_ns());
        else
          disconnect(users_[id]);
        return;
      case Connection::Io::done: break;
    }
    if (!receive_some(id, {buffer_.data(), got.bytes}, hangup, monotonic_ns())) return;
    if (users_[id].generation != generation) return;
    // A short read has emptied the socket; what comes later is a new edge.
    if (got.bytes < buffer_.size() && plan_.tls == nullptr && !hangup) return;
  }
}

bool Engine::receive_some(std::uint32_t id, std::string_view bytes, bool hangup, std::int64_t now) {
  User& user = users_[id];
  if (user.frames) {
    receive_frames(id, bytes, now);
    return users_[id].connection.is_open();
  }
  if (user.phase != Phase::awaiting && user.phase != Phase::sending) {
    disconnect(user);  // nobody asked for these bytes
    return false;
  }
  if (user.measured) recorder_.add_bytes(bytes.size(), 0);
  ResponseReader::Progress progress{};
  if (user.exchange && user.exchange->response) {
    progress = user.exchange->response->feed(bytes);
    if (progress == ResponseReader::Progress::done) answered(id, *user.exchange->response, hangup, now);
  } else {
    ResponseReader response(step_of(user));
    progress = response.feed(bytes);
    if (progress == ResponseReader::Progress::done) {
      answered(id, response, hangup, now);
    } else if (progress == ResponseReader::Progress::need_more) {
      if (!user.exchange) user.exchange = std::make_unique<Exchange>();
      user.exchange->response.emplace(std::move(response));
    }
  }
  if (progress == ResponseReader::Progress::malformed) exchange_failed(id, ErrorKind::protocol, now);
  return progress == ResponseReader::Progress::need_more;
}

// The server closed: the end of a body without length, the loss of an answer, or
// the end of an idle connection, which is no error.
void Engine::end_of_stream(std::uint32_t id, std::int64_t now) {
  User& user = users_[id];
  if (user.phase != Phase::awaiting && user.phase != Phase::sending) {
    disconnect(user);
    return;
  }
  if (!user.exchange || !user.exchange->response)
    exchange_failed(id, ErrorKind::reset, now);
  else if (user.exchange->response->end_of_stream() == ResponseReader::Progress::done)
    answered(id, *user.exchange->response, true, now);
  else
    exchange_failed(id, ErrorKind::protocol, now);
}

void Engine::answered(std::uint32_t id, const ResponseReader& response, bool hangup, std::int64_t now) {
  User& user = users_[id];
  Outcome outcome;
  outcome.service_ns = now - user.sent;
  outcome.response_ns = now - user.intended;
  const Step& step = step_of(user);
  judge_answer(step, response.status(), response.parts(), user.variables.get(), outcome);
  if (outcome.error != ErrorKind::none && summary_.first_unexpected.empty())
    summary_.first_unexpected =
        plan_.scenario->names[step.name].name + " answered " + std::to_string(outcome.status);
  if (step.kind == StepKind::ws_connect && outcome.error == ErrorKind::none) {
    upgraded(id, response.rest());
    request_ended(id, outcome, now);
    return;
  }
  const bool all_sent = !user.exchange || user.exchange->unsent.empty();
  if (!plan_.keep_alive || hangup || !all_sent || !response.keep_alive()) disconnect(user);
  request_ended(id, outcome, now);
}

void Engine::exchange_failed(std::uint32_t id, ErrorKind kind, std::int64_t now) {
  User& user = users_[id];
  Outcome outcome;
  outcome.error = kind;
  if (kind == ErrorKind::timeout) {  // left out, the slowest requests would not be seen
    outcome.service_ns = now - user.sent;
    outcome.response_ns = now - user.intended;
  }
  disconnect(user);
  request_ended(id, outcome, now);
}

void Engine::disconnect(User& user) {
  user.connection.close();
  user.frames.reset();
  ++user.generation;
}

}  // namespace flux::loadtest
