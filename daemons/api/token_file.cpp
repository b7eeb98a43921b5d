#include "daemons/api/token_file.hpp"

#include "common/config/config.hpp"
#include "common/core/log.hpp"

namespace flux::api {

Result<std::shared_ptr<const AccessTokens>> TokenFile::read() const {
  const auto configs = load_tokens(path_);
  if (!configs) return configs.error();
  std::vector<AccessToken> tokens;
  for (const auto& config : *configs) {
    auto token = make_access_token(config.name, config.sha256, config.scopes);
    if (!token) return Error{token.error().code, path_ + ": " + token.error().message, token.error().hint};
    tokens.push_back(std::move(*token));
  }
  return std::make_shared<const AccessTokens>(std::move(tokens));
}

Result<> TokenFile::load() {
  if (!configured()) return {};
  std::error_code missing;
  const auto changed = std::filesystem::last_write_time(path_, missing);
  auto tokens = read();
  if (!tokens) return tokens.error();
  const std::lock_guard lock(mutex_);
  tokens_ = std::move(*tokens);
  changed_ = changed;
  looked_ = clock_.steady();
  return {};
}

std::shared_ptr<const AccessTokens> TokenFile::current() {
  const std::lock_guard lock(mutex_);
  const auto now = clock_.steady();
  if (now - looked_ < std::chrono::seconds{1}) return tokens_;
  looked_ = now;
  std::error_code missing;
  const auto changed = std::filesystem::last_write_time(path_, missing);
  if (missing || changed == changed_) return tokens_;
  changed_ = changed;
  if (auto tokens = read()) {
    tokens_ = std::move(*tokens);
    log::info("access tokens read again", {{"file", path_}});
  } else {
    log::warning("the token file does not read; the tokens from before stay in force",
                 {{"file", path_}, {"why", tokens.error().message}});
  }
  return tokens_;
}

}  // namespace flux::api
