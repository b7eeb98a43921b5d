#pragma once
// One generator thread: its users, their connections, one epoll, one timing
// wheel, its own histograms. Threads share nothing but RunControl.

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cli/loadtest/connection.hpp"
#include "cli/loadtest/pacing.hpp"
#include "cli/loadtest/recorder.hpp"
#include "cli/loadtest/request_text.hpp"
#include "cli/loadtest/scenario.hpp"
#include "cli/loadtest/timing_wheel.hpp"

namespace flux::loadtest {

class FrameReader;
class ResponseReader;

// How threads and their owner meet: the owner asks, threads report.
struct RunControl {
  std::atomic<bool> stop{false};            // end soon, keep what was measured
  std::atomic<std::int32_t> more_users{0};  // added to the plan, may be negative

  std::mutex mutex{};
  std::vector<IntervalReport> reports{};  // guarded by mutex
};

// The same for every thread of a run; outlives them.
struct EnginePlan {
  const Scenario* scenario = nullptr;
  const Target* target = nullptr;
  const TlsClient* tls = nullptr;  // not null for https
  UserPlan users{};
  ArrivalPlan arrivals{};               // rate above 0: open model, users.users is the limit
  std::uint32_t user_limit = 0;         // of the whole run, whatever keys are pressed
  std::optional<ThinkTime> think{};     // given on the command line: wins over the scenario
  std::uint64_t requests_per_user = 0;  // 0: no limit
  Duration run_time{};
  Duration warmup{};
  Duration timeout{};
  Duration grace{};  // how long the end waits for answers
  bool keep_alive = true;
  bool stop_on_error = false;
  std::uint64_t seed = 0;
  std::uint32_t threads = 1;
  std::int64_t start_ns = 0;  // CLOCK_MONOTONIC
};

// What a thread knows about itself when it has finished.
struct EngineSummary {
  LatencyHistogram send_lag{};  // intended to actual, where the generator was free to send
  LatencyHistogram loop_lag{};  // lateness of a timer that fires every 10 ms
  std::int64_t cpu_ns = 0;
  std::int64_t run_queue_wait_ns = 0;
  std::int64_t wall_ns = 0;
  std::uint64_t connections = 0;
  std::uint64_t arrivals_due = 0;
  std::uint64_t arrivals_sent = 0;
  std::uint64_t abandoned = 0;  // answers not waited for after an interruption
  std::uint32_t most_users = 0;
  std::uint64_t ports_exhausted = 0;
  std::uint64_t descriptors_exhausted = 0;
  int last_connect_error = 0;  // errno
  std::int64_t finished_ns = 0;
  std::string first_unexpected{};  // "create_order answered 500", for people
};

std::int64_t monotonic_ns();

class Engine {
 public:
  Engine(const EnginePlan& plan, RunControl& control, std::uint32_t index);
  ~Engine();
  Engine(const Engine&) = delete;

  // Drives the load; returns when the plan is done or a stop was asked for.
  void run();
  const EngineSummary& summary() const { return summary_; }

 private:
  enum class Phase : std::uint8_t { off, queued, connecting, handshaking, sending, awaiting, idle };

  // Rarely needed state of a user, kept off the ones that only wait.
  struct Exchange;

  struct User {
    User();
    User(User&&) noexcept;
    ~User();

    Connection connection{};
    std::unique_ptr<FrameReader> frames{};  // of an upgraded connection
    std::unique_ptr<Exchange> exchange{};
    std::unique_ptr<std::string[]> variables{};
    Random random{};
    std::int64_t intended = 0;
    std::int64_t sent = 0;
    std::int64_t deadline = 0;
    std::uint32_t requests = 0;
    std::uint32_t generation = 0;  // of the connection, so that late events are recognised
    std::uint32_t failures = 0;    // connecting failed this many times in a row
    std::uint16_t flow = 0;
    std::uint16_t step = 0;
    Phase phase = Phase::off;
    bool measured = false;
    bool retiring = false;
  };

  // engine_loop.cpp: time
  void chores(std::int64_t now);
  void run_due(std::int64_t now);
  void adjust_users(std::int64_t now);
  void dispatch_arrivals(std::int64_t now);
  void sweep_timeouts(std::int64_t now);
  void publish(std::int64_t slot, bool last);
  void begin_ending(std::int64_t now);
  void abandon_in_flight(std::int64_t now);
  bool finished() const { return ending_ && in_flight_ == 0; }
  void wait_and_handle(std::int64_t now);
  void handle_event(std::uint64_t tag, std::uint32_t events);
  std::uint32_t global_id(std::uint32_t user) const { return user * plan_.threads + index_; }

  // engine_users.cpp: what a user does next
  std::uint32_t add_user();
  void start_user(std::uint32_t id, std::int64_t now);
  void stop_user(std::uint32_t id);
  void on_timer(std::uint32_t id, std::int64_t now);
  void begin_flow(User& user);
  void begin_request(std::uint32_t id, std::int64_t intended, std::int64_t now);
  void request_ended(std::uint32_t id, Outcome outcome, std::int64_t now);
  void after_request(std::uint32_t id, bool failed, std::int64_t now);
  void user_is_free(std::uint32_t id, std::int64_t now);
  ThinkTime think_after(const User& user) const;
  const Step& step_of(const User& user) const;

  // engine_exchange.cpp: bytes out and in
  void connect(std::uint32_t id, std::int64_t now);
  void connect_queued(std::int64_t now);
  bool may_connect() const;
  void connected(std::uint32_t id, std::int64_t now);
  void connect_failed(std::uint32_t id, int error, std::int64_t now);
  void send_request(std::uint32_t id, std::int64_t now);
  void send_bytes(std::uint32_t id, std::string_view bytes, std::int64_t now);
  void continue_sending(std::uint32_t id, std::int64_t now);
  void receive(std::uint32_t id, bool hangup);
  // False when the exchange has ended with these bytes.
  bool receive_some(std::uint32_t id, std::string_view bytes, bool hangup, std::int64_t now);
  void end_of_stream(std::uint32_t id, std::int64_t now);
  void answered(std::uint32_t id, const ResponseReader& response, bool hangup, std::int64_t now);
  void exchange_failed(std::uint32_t id, ErrorKind kind, std::int64_t now);
  void disconnect(User& user);

  // engine_websocket.cpp
  void begin_websocket_step(std::uint32_t id, std::int64_t now);
  void frame_sent(std::uint32_t id);
  void upgraded(std::uint32_t id, std::string_view first_frames);
  void receive_frames(std::uint32_t id, std::string_view bytes, std::int64_t now);
  void take_message(std::uint32_t id, std::int64_t now);

  const EnginePlan& plan_;
  RunControl& control_;
  const std::uint32_t index_;
  const bool open_model_;
  EngineSummary summary_;
  Recorder recorder_;
  SourceAddresses sources_;
  TimingWheel wheel_;
  int epoll_ = -1;

  std::vector<User> users_;
  std::vector<std::vector<RequestText>> requests_;  // by flow and step
  std::vector<double> weights_;                     // cumulated, by flow
  std::vector<std::size_t> feeder_rows_;            // next row, by feeder
  std::uint64_t sequence_;
  std::vector<char> buffer_;

  std::uint32_t active_ = 0;     // users that take part; in the closed model the first ones
  std::uint32_t in_flight_ = 0;  // users between begin_request and request_ended
  std::uint32_t connecting_ = 0;
  std::deque<std::uint32_t> connect_queue_;
  std::vector<std::uint32_t> free_users_;      // open model
  std::deque<std::int64_t> waiting_arrivals_;  // open model: due, but every user is busy
  std::uint64_t next_arrival_ = 0;
  std::int64_t next_arrival_due_ = TimingWheel::kNever;
  std::int64_t due_soon_ = 0;
  std::int64_t next_adjust_ = 0;
  std::int64_t next_sweep_ = 0;
  std::int64_t next_probe_ = 0;
  std::int64_t published_slots_ = 0;
  bool ending_ = false;
  std::int64_t ending_deadline_ = 0;
};

}  // namespace flux::loadtest
