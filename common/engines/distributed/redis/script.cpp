#include "common/engines/distributed/redis/script.hpp"

#include <boost/uuid/detail/sha1.hpp>
#include <cstdio>

#include "common_engines_distributed_redis_embedded.hpp"

namespace flux::redis {
namespace {

Script make_script(std::string_view source) {
  boost::uuids::detail::sha1 sha1;
  sha1.process_bytes(source.data(), source.size());
  boost::uuids::detail::sha1::digest_type digest;
  sha1.get_digest(digest);
  std::string hex;
  for (const unsigned int word : digest) {
    std::array<char, 9> text{};
    std::snprintf(text.data(), text.size(), "%08x", word);
    hex += text.data();
  }
  return {source, std::move(hex)};
}

}  // namespace

const std::array<Script, 14>& all_scripts() {
  using namespace scripts;
  static const std::array<Script, 14> all{
      make_script(reserve_lua),        make_script(spill_lua),
      make_script(settle_lua),         make_script(stale_lua),
      make_script(put_single_lua),     make_script(change_bucket_lua),
      make_script(restore_bucket_lua), make_script(register_product_lua),
      make_script(claim_key_lua),      make_script(answer_key_lua),
      make_script(release_key_lua),    make_script(take_token_lua),
      make_script(acquire_lease_lua),  make_script(release_lease_lua),
  };
  return all;
}

const Script& script(ScriptName name) {
  return all_scripts()[static_cast<std::size_t>(name)];
}

}  // namespace flux::redis
