// flux cache slot: where keys go in a Redis Cluster.

#include <boost/json.hpp>

#include "cli/commands/all_commands.hpp"
#include "common/ports/key_slot.hpp"

namespace flux::cli {
namespace {

Result<ExitCode> slot(Context& context, const std::vector<std::string>& keys) {
  boost::json::array slots;
  std::string text;
  for (const std::string& key : keys) {
    const auto hashed = hash_tag(key);
    slots.push_back({{"key", key}, {"slot", key_slot(key)}, {"hashed", hashed}});
    text += std::to_string(key_slot(key)) + "\t" + key;
    if (hashed != key) text += "\t(by " + std::string(hashed) + ")";
    text += "\n";
  }
  context.print(context.json() ? boost::json::serialize(boost::json::object{{"slots", std::move(slots)}})
                               : text);
  return ExitCode::done;
}

}  // namespace

void add_cache_command(CommandLine& line) {
  auto* cache = line.root().add_subcommand("cache", "Look at Redis");
  cache->require_subcommand(1);
  cache->fallthrough();
  auto keys = std::make_shared<std::vector<std::string>>();
  auto* command = cache->add_subcommand("slot", "Hash slots of keys in a Redis Cluster; no server is asked");
  command->add_option("KEY", *keys, "keys; only what stands in the first {…} counts, when there is one")
      ->required();
  line.runs(
      command, [keys](Context& context) { return slot(context, *keys); },
      "  flux cache slot user:1000 '{user:1000}:cart'\n  flux cache slot foo -o json | jq "
      "'.slots[0].slot'\n");
}

}  // namespace flux::cli
