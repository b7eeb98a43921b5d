// The event log contract over the embedded engine.

#include "common/engines/embedded/embedded_engines.hpp"
#include "tests/contract/event_log_contract.hpp"
#include "tests/fakes/scratch_directory.hpp"

namespace flux::testing {
namespace {

class EmbeddedHarness final : public EventLogHarness {
 public:
  std::unique_ptr<EventLog> make_log() override {
    auto log = embedded::open_event_log({.directory = directory_.path()});
    EXPECT_TRUE(log) << log.error().one_line();
    return log ? std::move(*log) : nullptr;
  }
  Duration session_timeout() const override { return std::chrono::milliseconds{500}; }

 private:
  ScratchDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(Embedded, EventLogContract,
                         ::testing::Values(+[]() -> std::unique_ptr<EventLogHarness> {
                           return std::make_unique<EmbeddedHarness>();
                         }));

}  // namespace
}  // namespace flux::testing
