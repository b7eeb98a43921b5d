#pragma once
// Bearer tokens: who may do what. Only hashes are kept, compared in constant time.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace flux {

enum class Scope : std::uint8_t { read = 1, order = 2, admin = 4 };

Result<Scope> parse_scope(std::string_view text);
std::string_view to_string(Scope scope);

struct AccessToken {
  std::string name;
  std::array<std::uint8_t, 32> sha256{};
  std::uint8_t scopes = 0;  // of Scope bits

  bool may(Scope scope) const { return (scopes & static_cast<std::uint8_t>(scope)) != 0; }
};

// `hash` is 64 hex digits. A scope grants what it names and no other.
Result<AccessToken> make_access_token(std::string name, std::string_view hash,
                                      const std::vector<std::string>& scopes);

class AccessTokens {
 public:
  explicit AccessTokens(std::vector<AccessToken> tokens = {}) : tokens_(std::move(tokens)) {}
  bool empty() const { return tokens_.empty(); }
  // `authorization` is the header's value, "Bearer …". Takes the same time
  // whichever token matches. nullptr: none does.
  const AccessToken* find(std::string_view authorization) const;

 private:
  std::vector<AccessToken> tokens_;
};

}  // namespace flux
