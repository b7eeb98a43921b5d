#pragma once
// Two runs against each other: what changed, and is it more than noise? The
// noise of a run is how much its own seconds differ from each other.

#include <string>
#include <vector>

namespace flux::loadtest {

struct RunResult;

struct MetricChange {
  std::string metric{};
  double before = 0;
  double after = 0;
  double change = 0;         // relative: 0.1 is 10 % more
  bool significant = false;  // more than noise
  bool better = false;       // meaningful when significant
};

struct Comparison {
  std::vector<MetricChange> changes{};
  std::vector<std::string> caveats{};  // why the two may not be comparable
  std::string verdict{};               // better, worse, mixed or same
};

Comparison compare_results(const RunResult& before, const RunResult& after);

std::string comparison_text(const Comparison& comparison, bool color);
std::string comparison_json(const Comparison& comparison);

}  // namespace flux::loadtest
