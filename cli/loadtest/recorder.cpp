#include "cli/loadtest/recorder.hpp"

namespace flux::loadtest {

IntervalReport Recorder::take() {
  IntervalReport report;
  report.bytes_in = std::exchange(bytes_in_, 0);
  report.bytes_out = std::exchange(bytes_out_, 0);
  for (Tally& tally : names_) {
    report.names.push_back({tally.service.take(), tally.response.take(), std::exchange(tally.outcomes, {}),
                            std::exchange(tally.checks_passed, 0), std::exchange(tally.checks_failed, 0)});
  }
  for (unsigned status = 1; status < statuses_.size(); ++status)
    if (statuses_[status] != 0) report.statuses.emplace_back(status, std::exchange(statuses_[status], 0));
  return report;
}

}  // namespace flux::loadtest
