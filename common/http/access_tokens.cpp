#include "common/http/access_tokens.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace flux {
namespace {

constexpr Scope kScopes[] = {Scope::read, Scope::order, Scope::admin};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_bearer(std::string_view scheme) {  // scheme names are case-insensitive (RFC 9110, 11.1)
  constexpr std::string_view kName = "bearer ";
  if (scheme.size() < kName.size()) return false;
  for (std::size_t i = 0; i < kName.size(); ++i)
    if ((scheme[i] | 0x20) != kName[i]) return false;
  return true;
}

}  // namespace

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::read: return "read";
    case Scope::order: return "order";
    case Scope::admin: return "admin";
  }
  return "read";
}

Result<Scope> parse_scope(std::string_view text) {
  for (const auto scope : kScopes)
    if (text == to_string(scope)) return scope;
  return Error{Errc::invalid_argument, "unknown scope '" + std::string(text) + "'",
               "use read, order or admin"};
}

Result<AccessToken> make_access_token(std::string name, std::string_view hash,
                                      const std::vector<std::string>& scopes) {
  AccessToken token;
  token.name = std::move(name);
  bool valid = hash.size() == 2 * token.sha256.size();
  for (std::size_t i = 0; valid && i < token.sha256.size(); ++i) {
    const int high = hex_digit(hash[2 * i]), low = hex_digit(hash[2 * i + 1]);
    valid = high >= 0 && low >= 0;
    token.sha256[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  if (!valid)
    return Error{Errc::invalid_argument, "token '" + token.name + "': sha256 must be 64 hex digits",
                 "make it with: printf %s TOKEN | sha256sum"};
  for (const auto& text : scopes) {
    const auto scope = parse_scope(text);
    if (!scope)
      return Error{scope.error().code, "token '" + token.name + "': " + scope.error().message,
                   scope.error().hint};
    token.scopes |= static_cast<std::uint8_t>(*scope);
  }
  return token;
}

const AccessToken* AccessTokens::find(std::string_view authorization) const {
  if (!is_bearer(authorization)) return nullptr;
  authorization.remove_prefix(7);
  while (authorization.starts_with(' ')) authorization.remove_prefix(1);
  std::array<std::uint8_t, 32> hash{};
  SHA256(reinterpret_cast<const unsigned char*>(authorization.data()), authorization.size(), hash.data());
  const AccessToken* found = nullptr;
  for (const auto& token : tokens_)
    if (CRYPTO_memcmp(token.sha256.data(), hash.data(), hash.size()) == 0) found = &token;
  return found;
}

}  // namespace flux
