#pragma once
// The Lua scripts: each in its own file under scripts/, embedded at build time,
// called by their digest.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace flux::redis {

enum class ScriptName : std::uint8_t {
  reserve,
  spill,
  settle,
  stale,
  put_single,
  change_bucket,
  restore_bucket,
  register_product,
  claim_key,
  answer_key,
  release_key,
  take_token,
  acquire_lease,
  release_lease,
};

struct Script {
  std::string_view source;
  std::string digest;  // SHA-1, 40 hex digits
};

const std::array<Script, 14>& all_scripts();
const Script& script(ScriptName name);

}  // namespace flux::redis
