#pragma once
// Rows of a CSV or JSON Lines file that give their columns to users as variables.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace flux::loadtest {

struct Feeder {
  enum class Order { sequential, random };
  Order order = Order::sequential;
  std::vector<std::uint16_t> variables{};        // of the columns, filled in by the scenario
  std::vector<std::vector<std::string>> rows{};  // every row has one value per column
};

struct FeederTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

// RFC 4180: quoted fields, doubled quotes, line breaks inside quotes; the first row names the columns.
Result<FeederTable> parse_csv(std::string_view text, const std::string& source);
// One JSON object per line; the first line names the columns. Texts come without quotes.
Result<FeederTable> parse_json_lines(std::string_view text, const std::string& source);
// By the name's ending: .csv, .jsonl or .ndjson.
Result<FeederTable> load_feeder(const std::string& file);

}  // namespace flux::loadtest
