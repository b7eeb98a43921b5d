// The ledger contract over the engines that need no server.

#include <filesystem>

#include "common/engines/embedded/embedded_engines.hpp"
#include "tests/contract/ledger_contract.hpp"
#include "tests/fakes/fake_ledger.hpp"

namespace flux::testing {
namespace {

class EmbeddedHouse final : public LedgerHouse {
 public:
  EmbeddedHouse() {
    std::string path = (std::filesystem::temp_directory_path() / "flux-ledger-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp " + path);
    directory_ = path;
  }
  ~EmbeddedHouse() override { std::filesystem::remove_all(directory_); }
  Result<std::unique_ptr<Ledger>> open() override {
    return embedded::open_ledger({.directory = directory_ + "/data"});
  }

 private:
  std::string directory_;
};

class FakeHouse final : public LedgerHouse {
 public:
  Result<std::unique_ptr<Ledger>> open() override { return std::unique_ptr<Ledger>{fake_.another()}; }

 private:
  FakeLedger fake_;
};

INSTANTIATE_TEST_SUITE_P(, LedgerContract,
                         ::testing::Values(LedgerKind{"Embedded",
                                                      [](std::string&) -> std::unique_ptr<LedgerHouse> {
                                                        return std::make_unique<EmbeddedHouse>();
                                                      }},
                                           LedgerKind{"Fake",
                                                      [](std::string&) -> std::unique_ptr<LedgerHouse> {
                                                        return std::make_unique<FakeHouse>();
                                                      }}),
                         kind_name);

}  // namespace
}  // namespace flux::testing
