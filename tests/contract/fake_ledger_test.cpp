// The ledger contract over the fake that unit tests use, and the fake's faults.

#include "tests/fakes/fake_ledger.hpp"

#include "tests/contract/ledger_contract.hpp"

namespace flux::testing {
namespace {

class FakeHouse final : public LedgerHouse {
 public:
  Result<std::unique_ptr<Ledger>> open() override { return std::unique_ptr<Ledger>{fake_.another()}; }

 private:
  FakeLedger fake_;
};

INSTANTIATE_TEST_SUITE_P(, LedgerContract,
                         ::testing::Values(LedgerKind{"Fake",
                                                      [](std::string&) -> std::unique_ptr<LedgerHouse> {
                                                        return std::make_unique<FakeHouse>();
                                                      }}),
                         kind_name);

TEST(FakeLedger, LosesAnAnswerBeforeOrAfterTheEffect) {
  FakeLedger ledger;
  ledger.fail_next({Errc::unavailable, "down"});
  ledger.fail_next({Errc::timed_out, "lost"}, FakeLedger::Effect::done);
  EXPECT_EQ(ledger.put_product({.product_id = "a", .stock = 1}).error().code, Errc::unavailable);
  EXPECT_EQ(ledger.put_product({.product_id = "b", .stock = 1}).error().code, Errc::timed_out);
  const auto products = ledger.list_products().value();
  ASSERT_EQ(products.size(), 1u);
  EXPECT_EQ(products[0].product_id, "b");
  EXPECT_EQ(ledger.calls(), 3u);
}

}  // namespace
}  // namespace flux::testing
