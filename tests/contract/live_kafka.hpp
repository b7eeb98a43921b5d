#pragma once
// The Kafka broker that tests run against, and one of their own that they may kill.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "common/core/ids.hpp"
#include "common/engines/distributed/kafka/kafka_engine.hpp"

namespace flux::testing {

// False, said loudly, where there is no broker; where servers are required, a failure.
inline bool kafka_is_here() {
  if (std::getenv("FLUX_KAFKA_BROKERS") != nullptr) return true;
  const std::string why = "FLUX_KAFKA_BROKERS is not set; scripts/servers start kafka";
  if (std::getenv("FLUX_REQUIRE_LIVE") != nullptr)
    ADD_FAILURE() << why;
  else
    std::fprintf(stderr, "KAFKA IS NOT TESTED: %s\n", why.c_str());
  return false;
}

inline kafka::KafkaOptions live_kafka() {
  return {.brokers = std::getenv("FLUX_KAFKA_BROKERS"),
          .properties = {},
          .timeout = std::chrono::seconds{20},
          .delivery_timeout = std::chrono::seconds{20}};
}

// Topics and groups of one test never meet those of another.
inline std::string unique_name(const std::string& what) {
  return what + "-" + new_uuid().to_string();
}

// A broker of one test, started by scripts/servers in a directory of its own.
class OwnBroker {
 public:
  OwnBroker() {
    auto root = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    while (root != root.root_path() && !exists(root / "scripts/servers")) root = root.parent_path();
    std::string directory = (std::filesystem::temp_directory_path() / "flux-kafka-XXXXXX").string();
    if (::mkdtemp(directory.data()) == nullptr) return;
    directory_ = directory;
    servers_ = "FLUX_SERVERS_DIR='" + directory + "' '" + (root / "scripts/servers").string() + "' ";
  }
  ~OwnBroker() {
    if (directory_.empty()) return;
    run("stop kafka");
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  OwnBroker(const OwnBroker&) = delete;
  OwnBroker& operator=(const OwnBroker&) = delete;

  bool start() { return run("start kafka"); }
  bool kill() { return run("kill kafka"); }  // -9
  std::string brokers() const { return "127.0.0.1:" + read(directory_ / "kafka/port"); }

 private:
  bool run(const std::string& command) const {
    return std::system((servers_ + command + " >/dev/null 2>&1").c_str()) == 0;
  }
  static std::string read(const std::filesystem::path& file) {
    std::string text;
    if (std::FILE* f = std::fopen(file.c_str(), "r")) {
      char bytes[64];
      if (std::fgets(bytes, sizeof bytes, f) != nullptr) text = bytes;
      std::fclose(f);
    }
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }
  std::filesystem::path directory_;
  std::string servers_;
};

}  // namespace flux::testing
