#pragma once
// The file of access tokens, read again when it changes.

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "common/core/clock.hpp"
#include "common/http/access_tokens.hpp"

namespace flux::api {

// Thread-safe. A file that no longer reads keeps the tokens it had before.
class TokenFile {
 public:
  // `path` "": no tokens are wanted.
  TokenFile(std::string path, const Clock& clock) : path_(std::move(path)), clock_(clock) {}

  bool configured() const { return !path_.empty(); }
  // Reads the file; before requests are served.
  Result<> load();
  // The tokens of now. Looks at the file at most once a second.
  std::shared_ptr<const AccessTokens> current();

 private:
  Result<std::shared_ptr<const AccessTokens>> read() const;

  const std::string path_;
  const Clock& clock_;
  std::mutex mutex_;
  std::shared_ptr<const AccessTokens> tokens_;
  std::filesystem::file_time_type changed_{};
  SteadyTime looked_{};
};

}  // namespace flux::api
