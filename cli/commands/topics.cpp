// flux topics list|describe|create|expand|produce: the topics of the event log.

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>

#include "cli/commands/all_commands.hpp"
#include "common/engines/open_engines.hpp"

namespace flux::cli {
namespace {

namespace json = boost::json;

struct TopicOptions {
  std::string topic;
  std::int32_t partitions = 12;
  std::int32_t replication = 1;
  bool dry_run = false;
};

struct ProduceOptions {
  std::string topic;
  std::optional<std::string> value;  // else each line of stdin
  std::string key;
  std::vector<std::string> headers;  // NAME=VALUE
};

Result<std::unique_ptr<LogInspector>> open(Context& context) {
  const auto config = context.config();
  if (!config) return config.error();
  return open_log_inspector(**config);
}

// The ends of all partitions that have a leader.
Result<std::map<TopicPartition, PartitionEnds>> ends_of(LogInspector& log,
                                                        const std::vector<TopicDescription>& topics) {
  std::vector<TopicPartition> sources;
  for (const TopicDescription& topic : topics)
    for (const PartitionDescription& partition : topic.partitions)
      if (partition.leader >= 0) sources.push_back({topic.name, partition.id});
  const auto read = log.ends(sources);
  if (!read) return read.error();
  std::map<TopicPartition, PartitionEnds> ends;
  for (const PartitionEnds& found : *read) ends[found.source] = found;
  return ends;
}

std::string joined(const std::vector<std::int32_t>& ids) {
  std::string text;
  for (const std::int32_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

Result<ExitCode> list(Context& context) {
  const auto log = open(context);
  if (!log) return log.error();
  const auto topics = (*log)->topics();
  if (!topics) return topics.error();
  const auto ends = ends_of(**log, *topics);
  if (!ends) return ends.error();
  json::array rows;
  std::string text = "PARTITIONS  REPLICAS      RECORDS  TOPIC\n";
  for (const TopicDescription& topic : *topics) {
    std::int64_t records = 0;  // what is left; of a compacted topic, at most this many
    std::size_t replicas = 0;
    for (const PartitionDescription& partition : topic.partitions) {
      replicas = std::max(replicas, partition.replicas.size());
      const auto at = ends->find({topic.name, partition.id});
      if (at != ends->end()) records += at->second.end - at->second.start;
    }
    rows.push_back({{"topic", topic.name},
                    {"partitions", topic.partitions.size()},
                    {"replication", replicas},
                    {"records", records}});
    char line[64];
    std::snprintf(line, sizeof line, "%10zu  %8zu  %11lld  ", topic.partitions.size(), replicas,
                  static_cast<long long>(records));
    text += line + topic.name + "\n";
  }
  context.print(context.json() ? json::serialize(json::object{{"topics", rows}}) : text);
  return ExitCode::done;
}

Result<ExitCode> describe(Context& context, const TopicOptions& options) {
  const auto log = open(context);
  if (!log) return log.error();
  const auto topics = (*log)->topics(options.topic);
  if (!topics) return topics.error();
  const auto ends = ends_of(**log, *topics);
  if (!ends) return ends.error();
  const auto settings = (*log)->topic_settings(options.topic);
  if (!settings) return settings.error();
  json::array rows;
  std::string text = options.topic + "\n   PART  LEADER         START           END  REPLICAS (IN SYNC)\n";
  for (const PartitionDescription& partition : topics->front().partitions) {
    const auto at = ends->find({options.topic, partition.id});
    const PartitionEnds range = at == ends->end() ? PartitionEnds{} : at->second;
    rows.push_back({{"partition", partition.id},
                    {"leader", partition.leader},
                    {"replicas", json::value_from(partition.replicas)},
                    {"in_sync", json::value_from(partition.in_sync)},
                    {"start", range.start},
                    {"end", range.end}});
    char line[96];
    std::snprintf(line, sizeof line, "  %5d  %6d  %12lld  %12lld  ", partition.id, partition.leader,
                  static_cast<long long>(range.start), static_cast<long long>(range.end));
    text += line + joined(partition.replicas) + " (" + joined(partition.in_sync) + ")\n";
  }
  json::object values;
  for (const auto& [name, value] : *settings) {
    values[name] = value;
    text += "  " + name + " = " + value + "\n";
  }
  const json::object document{{"topic", options.topic}, {"partitions", rows}, {"settings", values}};
  context.print(context.json() ? json::serialize(document) : text);
  return ExitCode::done;
}

Result<ExitCode> create(Context& context, const TopicOptions& options) {
  const auto log = open(context);
  if (!log) return log.error();
  const auto created = (*log)->create_topic(
      {.name = options.topic, .partitions = options.partitions, .replication = options.replication});
  if (!created) return created.error();
  const json::object document{{"topic", options.topic}, {"partitions", options.partitions}};
  context.print(context.json() ? json::serialize(document)
                               : "created " + options.topic + " with " + std::to_string(options.partitions) +
                                     " partitions");
  return ExitCode::done;
}

// A key stays where its hash gives the same remainder by both counts: of the
// remainders of their least common multiple, as many as the smaller count.
double moved_keys(std::int64_t from, std::int64_t to) {
  return 1 - static_cast<double>(std::min(from, to)) / static_cast<double>(std::lcm(from, to));
}

Result<ExitCode> expand(Context& context, const TopicOptions& options) {
  const auto log = open(context);
  if (!log) return log.error();
  const auto topics = (*log)->topics(options.topic);
  if (!topics) return topics.error();
  const auto from = static_cast<std::int32_t>(topics->front().partitions.size());
  const double moved = from > 0 && options.partitions > from ? moved_keys(from, options.partitions) : 0;
  if (!options.dry_run || options.partitions <= from) {
    const auto expanded = (*log)->expand_topic(options.topic, options.partitions);
    if (!expanded) return expanded.error();
  }
  const json::object document{{"topic", options.topic},
                              {"from", from},
                              {"to", options.partitions},
                              {"applied", !options.dry_run},
                              {"moved_keys", moved}};
  char line[80];
  std::snprintf(line, sizeof line, " from %d to %d partitions; %.0f %% of the keys move", from,
                options.partitions, moved * 100);
  std::string text = options.topic + line + (options.dry_run ? " (not done: --dry-run)\n" : "\n");
  text +=
      "A key that moves has its older records in another partition than its newer\n"
      "ones, and they may be read in either order until the older ones are drained.\n"
      "To keep the order: stop producing, wait until `flux lag --topic` shows no lag,\n"
      "expand, go on.\n";
  if (options.partitions % std::max(from, 1) != 0)
    text += "A multiple of " + std::to_string(from) + " would move fewer keys.\n";
  context.print(context.json() ? json::serialize(document) : text);
  return ExitCode::done;
}

Result<Headers> parsed_headers(const std::vector<std::string>& given) {
  Headers headers;
  for (const std::string& header : given) {
    const auto equals = header.find('=');
    if (equals == 0 || equals == std::string::npos)
      return Error{Errc::invalid_argument, "--header " + header + " has no name or no value",
                   "write it as NAME=VALUE"};
    headers.emplace_back(header.substr(0, equals), header.substr(equals + 1));
  }
  return headers;
}

boost::asio::awaitable<void> append(EventProducer& producer, Record record,
                                    std::optional<Result<RecordPosition>>& position) {
  position = co_await producer.append(std::move(record));
}

Result<ExitCode> produce(Context& context, const ProduceOptions& options) {
  const auto headers = parsed_headers(options.headers);
  if (!headers) return headers.error();
  const auto inspector = open(context);
  if (!inspector) return inspector.error();
  // A mistyped name must not become a new topic on brokers that create them unasked.
  if (const auto there = (*inspector)->topics(options.topic); !there) return there.error();
  const auto config = context.config();
  if (!config) return config.error();
  const auto log = open_event_log(**config);
  if (!log) return log.error();
  boost::asio::io_context loop{1};
  const auto producer = (*log)->producer(loop.get_executor());
  if (!producer) return producer.error();

  const auto send = [&](const std::string& value) -> Result<> {
    Record record{.topic = options.topic, .key = options.key, .value = value, .headers = *headers};
    std::optional<Result<RecordPosition>> position;
    boost::asio::co_spawn(loop, append(**producer, std::move(record), position), boost::asio::detached);
    while (!position) {  // the producer's delivery timeout ends it
      loop.restart();
      loop.run_one_for(std::chrono::milliseconds{20});
    }
    if (!*position) return position->error();
    const RecordPosition at = **position;
    const json::object document{{"topic", options.topic}, {"partition", at.partition}, {"offset", at.offset}};
    context.print(context.json() ? json::serialize(document)
                                 : options.topic + "[" + std::to_string(at.partition) + "] offset " +
                                       std::to_string(at.offset));
    return {};
  };
  if (options.value) {
    if (auto sent = send(*options.value); !sent) return sent.error();
    return ExitCode::done;
  }
  for (std::string text; std::getline(std::cin, text);)
    if (auto sent = send(text); !sent) return sent.error();
  return ExitCode::done;
}

}  // namespace

void add_topics_command(CommandLine& line) {
  auto* topics = line.root().add_subcommand("topics", "List, describe, create, expand and write topics");
  topics->require_subcommand(1);
  topics->fallthrough();
  const auto options = std::make_shared<TopicOptions>();
  const auto with_topic = [&](const char* name, const char* what) {
    auto* command = topics->add_subcommand(name, what);
    command->add_option("TOPIC", options->topic, "its name")->required();
    return command;
  };
  line.runs(topics->add_subcommand("list", "All topics: partitions, replicas, records"), list,
            "  flux topics list\n  flux topics list -o json | jq '.topics[].topic'\n");
  line.runs(
      with_topic("describe", "Partitions with leaders and ends, and the settings"),
      [options](Context& context) { return describe(context, *options); }, "  flux topics describe orders\n");
  auto* make = with_topic("create", "Make a topic; fails when it is there");
  make->add_option("--partitions", options->partitions, "how many")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  make->add_option("--replication", options->replication, "copies of each (Kafka)")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  line.runs(
      make, [options](Context& context) { return create(context, *options); },
      "  flux topics create payments --partitions 24 --replication 3\n");
  auto* grow = with_topic("expand", "Add partitions; says what that does to the order of keys");
  grow->add_option("--partitions", options->partitions, "the new total")
      ->check(CLI::PositiveNumber)
      ->required();
  grow->add_flag("--dry-run", options->dry_run, "say what it would do, and do nothing");
  line.runs(
      grow, [options](Context& context) { return expand(context, *options); },
      "  flux topics expand orders --partitions 24 --dry-run\n");
  const auto sending = std::make_shared<ProduceOptions>();
  auto* send = topics->add_subcommand("produce", "Append a record, or each line of stdin as one");
  send->add_option("TOPIC", sending->topic, "its name")->required();
  send->add_option("VALUE", sending->value, "the record; default: the lines of stdin");
  send->add_option("--key", sending->key, "records of one key stay in order")->type_name("K");
  send->add_option("--header", sending->headers, "repeatable")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  line.runs(
      send, [sending](Context& context) { return produce(context, *sending); },
      "  flux topics produce jobs.mail '{\"to\":\"ada\"}' --key ada --header trace=1\n");
}

}  // namespace flux::cli
