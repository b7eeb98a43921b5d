#include "daemons/supervisor/supervisor.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "common/core/log.hpp"
#include "common/http/http_client.hpp"
#include "daemons/supervisor/child_process.hpp"

namespace flux::supervisor {
namespace {

SteadyTime steady_now() {
  return system_clock().steady();
}

std::string last_line(const std::string& file) {
  std::ifstream in(file);
  std::string last;
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) last = line;
  return last;
}

std::string describe_exit(int wait_status) {
  if (WIFSIGNALED(wait_status)) return "killed by signal " + std::to_string(WTERMSIG(wait_status));
  return "exit code " + std::to_string(WEXITSTATUS(wait_status));
}

}  // namespace

std::string_view to_string(ReplicaState state) {
  switch (state) {
    case ReplicaState::starting: return "starting";
    case ReplicaState::ready: return "ready";
    case ReplicaState::draining: return "draining";
    case ReplicaState::backoff: return "backoff";
    case ReplicaState::stopped: return "stopped";
  }
  return "stopped";
}

Supervisor::Supervisor(boost::asio::io_context& loop, RunDirectory& directory, std::vector<ServicePlan> plans,
                       SupervisorTimes times)
    : loop_(loop), directory_(directory), times_(times), timer_(loop) {
  for (ServicePlan& plan : plans) services_.push_back({std::move(plan)});
}

void Supervisor::start() {
  write_upstreams();  // the balancer must not see the list of a former stack
  for (Service& service : services_) {
    service.desired = service.plan.replicas;
    while (static_cast<int>(service.replicas.size()) < service.desired) add_replica(service);
  }
  tick();
}

Supervisor::Service* Supervisor::find(const std::string& name) {
  const auto found = std::ranges::find(services_, name, [](const Service& s) { return s.plan.name; });
  return found == services_.end() ? nullptr : &*found;
}

Replica* Supervisor::find_replica(const std::string& id) {
  for (Service& service : services_)
    for (Replica& replica : service.replicas)
      if (replica.id == id) return &replica;
  return nullptr;
}

void Supervisor::add_replica(Service& service) {
  int number = 1;
  const auto taken = [&](const Replica& r) { return r.number == number; };
  while (std::ranges::any_of(service.replicas, taken)) ++number;
  Replica& replica = service.replicas.emplace_back();
  replica.number = number;
  replica.id = service.plan.name + "-" + std::to_string(number);
  start_process(service, replica);
}

void Supervisor::start_process(Service& service, Replica& replica) {
  const auto now = steady_now();
  const std::string address_file = directory_.address_file(replica.id);
  std::error_code ignored;
  std::filesystem::remove(address_file, ignored);
  replica.address.clear();
  replica.admin_address.clear();
  replica.started = now;
  replica.next_probe = now + times_.probe_starting;
  replica.failed_probes = 0;
  replica.in_rotation = false;
  replica.cpu_seconds = 0;
  replica.sampled = now;
  const auto pid =
      spawn_child(replica_arguments(service.plan, replica.id, address_file), directory_.log_file(replica.id));
  if (!pid) {
    log::error("cannot start a replica", {{"replica", replica.id}, {"reason", pid.error().one_line()}});
    replica.state = ReplicaState::backoff;
    replica.next_start = now + replica.backoff.after_crash({});
    return;
  }
  replica.pid = *pid;
  replica.start_ticks = process_start_ticks(*pid).value_or(0);
  replica.state = ReplicaState::starting;
  record_replicas();
}

void Supervisor::tick() {
  const auto now = steady_now();
  for (Service& service : services_)
    for (Replica& replica : service.replicas) watch(service, replica, now);
  for (Service& service : services_)
    std::erase_if(service.replicas,
                  [](const Replica& r) { return r.state == ReplicaState::stopped && !r.probing; });
  write_upstreams();
  if (!was_ready_ && all_ready()) was_ready_ = true;
  if (stopping_) {
    drain_next_service();
    if (stopped()) {
      record_replicas();
      if (on_stopped) on_stopped();
      return;
    }
  }
  timer_.expires_after(times_.tick);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec) tick();
  });
}

void Supervisor::watch(Service& service, Replica& replica, SteadyTime now) {
  switch (replica.state) {
    case ReplicaState::stopped: return;
    case ReplicaState::backoff:
      if (now >= replica.next_start && !stopping_) start_process(service, replica);
      return;
    case ReplicaState::draining: return drain(replica, now);
    case ReplicaState::starting:
    case ReplicaState::ready:
      if (replica.address.empty()) read_address(replica);
      if (!replica.address.empty() && !replica.probing && now >= replica.next_probe) probe(service, replica);
      sample_usage(replica, now);
      return;
  }
}

void Supervisor::read_address(Replica& replica) {
  std::ifstream in(directory_.address_file(replica.id));
  std::getline(in, replica.address);
  std::getline(in, replica.admin_address);
}

void Supervisor::probe(Service& service, Replica& replica) {
  replica.probing = true;
  http::ClientRequest request;
  request.url = "http://" + (service.plan.is_balancer ? replica.admin_address : replica.address) + "/ready";
  request.timeout = times_.probe_timeout;
  boost::asio::co_spawn(
      loop_, http::request(std::move(request)),
      [this, id = replica.id, pid = replica.pid, behind = service.plan.behind_balancer](
          std::exception_ptr failure, Result<http::ClientReply> reply) {
        Replica* asked = find_replica(id);
        if (asked == nullptr) return;
        asked->probing = false;
        if (asked->pid != pid || asked->state == ReplicaState::draining) return;
        const bool answered = !failure && reply;
        const bool is_ready = answered && reply->status == 200;
        asked->failed_probes = answered ? 0 : asked->failed_probes + 1;
        if (is_ready && asked->state == ReplicaState::starting)
          log::info("replica ready", {{"replica", id}, {"address", asked->address}});
        if (asked->state == ReplicaState::ready && answered && !is_ready)
          log::warning("replica not ready", {{"replica", id}, {"answer", reply->body.substr(0, 300)}});
        asked->state = is_ready ? ReplicaState::ready : ReplicaState::starting;
        asked->in_rotation = asked->in_rotation || (is_ready && behind);
        write_upstreams();
        asked->next_probe = steady_now() + (is_ready ? times_.probe_ready : times_.probe_starting);
        if (asked->failed_probes >= times_.failed_probes_until_kill) {
          log::error("replica hangs, it is killed and started again", {{"replica", id}});
          ::kill(asked->pid, SIGKILL);
        }
      });
}

void Supervisor::sample_usage(Replica& replica, SteadyTime now) {
  const double seconds = std::chrono::duration<double>(now - replica.sampled).count();
  if (!replica.runs() || seconds < 1) return;
  if (const auto usage = process_usage(replica.pid)) {
    replica.cpu_percent = std::max(0.0, usage->cpu_seconds - replica.cpu_seconds) / seconds * 100;
    replica.cpu_seconds = usage->cpu_seconds;
    replica.rss_bytes = usage->rss_bytes;
  }
  replica.sampled = now;
}

void Supervisor::child_exited(pid_t pid, int wait_status) {
  for (Service& service : services_) {
    for (Replica& replica : service.replicas) {
      if (replica.pid != pid) continue;
      const auto now = steady_now();
      replica.pid = 0;
      replica.in_rotation = false;
      replica.rss_bytes = 0;
      replica.cpu_percent = 0;
      if (replica.state == ReplicaState::draining) {
        log::info("replica stopped", {{"replica", replica.id}, {"how", describe_exit(wait_status)}});
        replica.state = ReplicaState::stopped;
      } else {
        const Duration wait = replica.backoff.after_crash(now - replica.started);
        replica.state = ReplicaState::backoff;
        replica.next_start = now + wait;
        ++replica.restarts;
        log::warning("replica ended, it starts again",
                     {{"replica", replica.id},
                      {"how", describe_exit(wait_status)},
                      {"in", std::to_string(wait.count() / 1'000'000) + "ms"}});
        const bool hopeless =
            WIFEXITED(wait_status) && (WEXITSTATUS(wait_status) == 2 || WEXITSTATUS(wait_status) == 127);
        if (!was_ready_ && !start_failure_ && (hopeless || replica.restarts >= 5)) {
          const std::string log_file = directory_.log_file(replica.id);
          start_failure_ =
              Error{Errc::internal,
                    replica.id + " cannot start (" + describe_exit(wait_status) + "): " + last_line(log_file),
                    "see " + log_file};
        }
      }
      write_upstreams();  // at once: requests must not wait for the next tick
      record_replicas();
      return;
    }
  }
}

Result<> Supervisor::scale(const std::string& name, int replicas) {
  Service* service = find(name);
  if (service == nullptr) {
    std::string known;
    for (const Service& s : services_) known += (known.empty() ? "" : ", ") + s.plan.name;
    return Error{Errc::not_found, "no service '" + name + "'", "services here: " + known};
  }
  if (stopping_) return Error{Errc::conflict, "the stack is shutting down", "start it again with 'flux up'"};
  if (replicas < 0 || replicas > 256 || (service->plan.is_balancer && replicas != 1))
    return Error{
        Errc::invalid_argument, "cannot run " + std::to_string(replicas) + " replicas of " + name,
        service->plan.is_balancer ? "the local stack has one balancer" : "give a number from 0 to 256"};
  service->desired = replicas;
  const auto staying = [&] {
    return static_cast<int>(std::ranges::count_if(service->replicas, [](const Replica& r) {
      return r.state != ReplicaState::draining && r.state != ReplicaState::stopped;
    }));
  };
  while (staying() < replicas) add_replica(*service);
  while (staying() > replicas) {  // those that cannot serve go first, then the youngest
    Replica* leaving = nullptr;
    for (Replica& r : service->replicas) {
      if (r.state == ReplicaState::draining || r.state == ReplicaState::stopped) continue;
      const auto rank = [](const Replica& x) {
        return std::pair{x.state == ReplicaState::ready ? 0 : 1, x.number};
      };
      if (leaving == nullptr || rank(r) > rank(*leaving)) leaving = &r;
    }
    remove_replica(*service, *leaving, times_.drain);
  }
  write_upstreams();
  return {};
}

void Supervisor::remove_replica(Service& service, Replica& replica, Duration patience) {
  const auto now = steady_now();
  const bool was_in_rotation = replica.in_rotation;
  replica.in_rotation = false;
  if (!replica.runs()) {
    replica.state = ReplicaState::stopped;
    return;
  }
  replica.state = ReplicaState::draining;
  replica.terminate_at =
      now +
      (was_in_rotation && service.plan.behind_balancer && !stopping_ ? times_.leave_rotation : Duration{});
  replica.terminated = false;
  replica.kill_at = now + patience;
}

void Supervisor::drain(Replica& replica, SteadyTime now) {
  if (!replica.runs()) {
    replica.state = ReplicaState::stopped;
  } else if (now >= replica.kill_at) {
    log::warning("replica did not drain in time, it is killed", {{"replica", replica.id}});
    ::kill(replica.pid, SIGKILL);
    replica.kill_at = now + std::chrono::seconds{1};
  } else if (!replica.terminated && now >= replica.terminate_at) {
    ::kill(replica.pid, SIGTERM);
    replica.terminated = true;
  }
}

void Supervisor::shut_down(Duration timeout) {
  const SteadyTime deadline = steady_now() + timeout;
  stop_deadline_ = stopping_ ? std::min(stop_deadline_, deadline) : deadline;
  if (!stopping_) log::info("shutting down", {});
  stopping_ = true;
  for (Service& service : services_) {
    service.desired = 0;
    for (Replica& replica : service.replicas) replica.kill_at = std::min(replica.kill_at, stop_deadline_);
  }
}

// The balancer first, so that nothing new comes in; then the APIs; then the workers.
void Supervisor::drain_next_service() {
  const auto now = steady_now();
  const Duration left = std::max<Duration>(stop_deadline_ - now, Duration{});
  for (auto service = services_.rbegin(); service != services_.rend(); ++service) {
    if (service->replicas.empty()) continue;
    for (Replica& replica : service->replicas)
      if (replica.state != ReplicaState::draining && replica.state != ReplicaState::stopped)
        remove_replica(*service, replica, left);
    if (service->plan.name.starts_with("worker-")) continue;  // the workers drain together
    return;
  }
}

bool Supervisor::stopped() const {
  return stopping_ && std::ranges::all_of(services_, [](const Service& s) { return s.replicas.empty(); });
}

bool Supervisor::all_ready() const {
  return std::ranges::all_of(services_, [](const Service& s) {
    return std::ranges::count(s.replicas, ReplicaState::ready, &Replica::state) == s.desired;
  });
}

std::string Supervisor::url() const {
  for (const Service& service : services_)
    if (service.plan.is_balancer && !service.replicas.empty() && !service.replicas.front().address.empty())
      return "http://" + service.replicas.front().address;
  return "";
}

void Supervisor::write_upstreams() {
  std::string text;
  for (const Service& service : services_)
    for (const Replica& replica : service.replicas)
      if (replica.in_rotation) text += "http://" + replica.address + "\n";
  if (text == upstreams_written_) return;
  if (auto written = RunDirectory::replace_file(directory_.upstreams_file(), text); !written)
    log::error("the balancer cannot be told", {{"reason", written.error().one_line()}});
  else
    upstreams_written_ = text;
}

void Supervisor::record_replicas() {
  std::vector<LiveReplica> live;
  for (const Service& service : services_)
    for (const Replica& replica : service.replicas)
      if (replica.runs()) live.push_back({replica.id, replica.pid, replica.start_ticks});
  if (auto recorded = directory_.record(live); !recorded)
    log::warning("replicas not recorded", {{"reason", recorded.error().one_line()}});
}

}  // namespace flux::supervisor
