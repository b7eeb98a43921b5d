#include "daemons/balancer/choose_upstream.hpp"

#include <cmath>
#include <limits>
#include <string>

namespace flux::balancer {
namespace {

std::uint64_t mix(std::uint64_t x) {  // splitmix64's finaliser
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// The lowest cost wins; equals share by chance, so that threads do not march in step.
template <class Cost>
std::size_t cheapest(std::span<const Candidate> candidates, QuickRandom& random, const Cost& cost) {
  std::size_t best = kNobody;
  double lowest = std::numeric_limits<double>::infinity();
  const std::size_t start = candidates.size() > 1 ? random.next() % candidates.size() : 0;
  for (std::size_t k = 0; k < candidates.size(); ++k) {
    const std::size_t i = start + k < candidates.size() ? start + k : start + k - candidates.size();
    if (candidates[i].weight <= 0) continue;
    const double c = cost(candidates[i]);
    if (c < lowest) {
      lowest = c;
      best = i;
    }
  }
  return best;
}

double load_of(const Candidate& c) {
  return (c.active + 1) / c.weight;
}

// nginx's smooth weighted round robin: everyone gains its weight, the richest
// serves and pays the sum.
template <class Weight>
std::size_t smooth_round_robin(std::span<const Candidate> candidates, const Weight& weight_of) {
  double total = 0;
  std::size_t best = kNobody;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    if (c.weight <= 0) continue;
    const double weight = weight_of(c);
    total += weight;
    *c.turn += weight;
    if (best == kNobody || *c.turn > *candidates[best].turn) best = i;
  }
  if (best != kNobody) *candidates[best].turn -= total;
  return best;
}

// Exactly the least loaded while weights are equal. Otherwise a turn for each by
// w / (active + 1), as Envoy does it: an upstream of less weight (or one that is
// slowly started) gets less, but not nothing.
std::size_t least_connections(std::span<const Candidate> candidates, QuickRandom& random) {
  bool equal = true;
  for (const Candidate& c : candidates) equal = equal && c.weight == candidates.front().weight;
  if (equal) return cheapest(candidates, random, load_of);
  return smooth_round_robin(candidates, [](const Candidate& c) { return 1.0 / load_of(c); });
}

std::size_t two_choices(std::span<const Candidate> candidates, QuickRandom& random) {
  double total = 0;
  for (const Candidate& c : candidates) total += c.weight;
  if (total <= 0) return kNobody;
  const auto draw = [&](std::size_t without) {
    double left = random.unit() * (without == kNobody ? total : total - candidates[without].weight);
    std::size_t last = kNobody;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (i == without || candidates[i].weight <= 0) continue;
      last = i;
      if ((left -= candidates[i].weight) < 0) return i;
    }
    return last;
  };
  const std::size_t a = draw(kNobody);
  const std::size_t b = draw(a);
  if (b == kNobody) return a;
  return load_of(candidates[b]) < load_of(candidates[a]) ? b : a;
}

// Weighted rendezvous hashing: a key moves only when its own upstream goes.
std::size_t rendezvous(std::span<const Candidate> candidates, std::uint64_t key) {
  std::size_t best = kNobody;
  double highest = -1;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    if (c.weight <= 0) continue;
    const double unit = (static_cast<double>(mix(key ^ mix(c.identity)) >> 11) + 0.5) * 0x1.0p-53;
    const double score = -c.weight / std::log(unit);
    if (score > highest) {
      highest = score;
      best = i;
    }
  }
  return best;
}

}  // namespace

Result<Algorithm> parse_algorithm(std::string_view name) {
  for (const auto algorithm :
       {Algorithm::round_robin, Algorithm::least_conn, Algorithm::p2c, Algorithm::peak_ewma, Algorithm::hash})
    if (name == to_string(algorithm)) return algorithm;
  return Error{Errc::invalid_argument, "unknown balancing algorithm '" + std::string(name) + "'",
               "choose round_robin, least_conn, p2c, peak_ewma or hash"};
}

std::string_view to_string(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::round_robin: return "round_robin";
    case Algorithm::least_conn: return "least_conn";
    case Algorithm::p2c: return "p2c";
    case Algorithm::peak_ewma: return "peak_ewma";
    case Algorithm::hash: return "hash";
  }
  return "";
}

std::size_t choose_upstream(Algorithm algorithm, std::span<const Candidate> candidates, std::uint64_t key,
                            QuickRandom& random) {
  switch (algorithm) {
    case Algorithm::round_robin:
      return smooth_round_robin(candidates, [](const Candidate& c) { return c.weight; });
    case Algorithm::least_conn: return least_connections(candidates, random);
    case Algorithm::p2c: return two_choices(candidates, random);
    case Algorithm::peak_ewma:
      return cheapest(candidates, random,
                      [](const Candidate& c) { return (c.ewma_ns + 1) * (c.active + 1) / c.weight; });
    case Algorithm::hash: return rendezvous(candidates, key);
  }
  return kNobody;
}

std::uint64_t hash_bytes(std::string_view bytes) {
  std::uint64_t h = 0xcbf29ce484222325ULL;  // FNV-1a, finished by a mix
  for (const char c : bytes) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return mix(h);
}

}  // namespace flux::balancer
