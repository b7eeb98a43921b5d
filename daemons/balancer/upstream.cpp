#include "daemons/balancer/upstream.hpp"

namespace flux::balancer {
namespace {

SteadyTime steady(std::int64_t ns) {
  return SteadyTime{Duration{ns}};
}

}  // namespace

Upstream::Upstream(UpstreamSpec spec, SocketAddress to, unsigned threads, EjectionPolicy policy)
    : id(std::move(spec.id)),
      pool(std::move(spec.pool)),
      address(to),
      identity(hash_bytes(id)),
      weight(spec.weight),
      counters(threads),
      ejection_(policy) {}

void Upstream::update_calm() {
  calm_.store(ejection_.state() == OutlierEjection::State::closed && ejection_.failures() == 0,
              std::memory_order_release);
}

Upstream::Admission Upstream::admission_slowly(std::int64_t now_ns, bool may_try) {
  const std::lock_guard lock(mutex_);
  if (ejection_.state() == OutlierEjection::State::closed) return Admission::yes;
  return may_try && ejection_.take_trial(steady(now_ns)) ? Admission::trial : Admission::no;
}

bool Upstream::ejected(std::int64_t now_ns) const {
  if (calm_.load(std::memory_order_acquire)) return false;
  const std::lock_guard lock(mutex_);
  return ejection_.state() != OutlierEjection::State::closed && steady(now_ns) < ejection_.until();
}

void Upstream::on_success_slowly(std::int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  if (ejection_.on_success(steady(now_ns))) slow_start_since = now_ns;
  update_calm();
}

bool Upstream::on_failure(std::int64_t now_ns, FailureKind kind, double random) {
  const std::lock_guard lock(mutex_);
  const bool ejected = ejection_.on_failure(steady(now_ns), kind, random);
  if (ejected) ++ejections_total_;
  update_calm();
  return ejected;
}

void Upstream::on_probes_passed(std::int64_t now_ns, bool failed_before) {
  const std::lock_guard lock(mutex_);
  if (ejection_.on_probes_passed(failed_before)) slow_start_since = now_ns;
  update_calm();
}

void Upstream::on_healthy_sweep() {
  const std::lock_guard lock(mutex_);
  ejection_.on_healthy_sweep();
}

Upstream::Ejections Upstream::ejections() const {
  const std::lock_guard lock(mutex_);
  return {ejection_.state(), ejection_.failures(), ejection_.times(), ejections_total_};
}

}  // namespace flux::balancer
