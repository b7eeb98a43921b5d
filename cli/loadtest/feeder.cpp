#include "cli/loadtest/feeder.hpp"

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

namespace flux::loadtest {
namespace {

Error bad_row(const std::string& source, std::size_t line, const std::string& what) {
  return {Errc::invalid_argument, source + ":" + std::to_string(line) + ": " + what,
          "give every row the columns of the first"};
}

std::string plain_text(const boost::json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : boost::json::serialize(value);
}

}  // namespace

Result<FeederTable> parse_csv(std::string_view text, const std::string& source) {
  FeederTable table;
  std::vector<std::string> row;
  std::string field;
  bool quoted = false;
  bool any = false;
  std::size_t line = 1;
  std::size_t row_line = 1;
  const auto end_field = [&] {
    row.push_back(std::move(field));
    field.clear();
  };
  const auto end_row = [&]() -> Result<> {
    if (!any) return {};
    end_field();
    any = false;
    if (table.columns.empty())
      table.columns = std::move(row);
    else if (row.size() != table.columns.size())
      return bad_row(source, row_line,
                     std::to_string(row.size()) + " fields where the first row has " +
                         std::to_string(table.columns.size()));
    else
      table.rows.push_back(std::move(row));
    row.clear();
    return {};
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (!any) row_line = line;
    if (c == '\n') ++line;
    if (quoted) {
      if (c != '"')
        field += c;
      else if (i + 1 < text.size() && text[i + 1] == '"')
        field += text[++i];
      else
        quoted = false;
    } else if (c == '"' && field.empty()) {
      quoted = any = true;
    } else if (c == ',') {
      any = true;
      end_field();
    } else if (c == '\n') {
      if (auto ended = end_row(); !ended) return ended.error();
    } else if (c != '\r') {
      any = true;
      field += c;
    }
  }
  if (quoted) return bad_row(source, row_line, "a quoted field does not end");
  if (auto ended = end_row(); !ended) return ended.error();
  if (table.rows.empty())
    return Error{Errc::invalid_argument, source + ": no rows",
                 "the first row names the columns, values follow"};
  return table;
}

Result<FeederTable> parse_json_lines(std::string_view text, const std::string& source) {
  FeederTable table;
  std::size_t number = 0;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    boost::system::error_code ec;
    const auto value = boost::json::parse(line, ec);
    if (ec || !value.is_object()) return bad_row(source, number, "not a JSON object");
    const auto& object = value.get_object();
    if (table.columns.empty())
      for (const auto& member : object) table.columns.emplace_back(member.key());
    std::vector<std::string> row;
    for (const std::string& column : table.columns) {
      const auto* found = object.if_contains(column);
      if (found == nullptr) return bad_row(source, number, "no '" + column + "'");
      row.push_back(plain_text(*found));
    }
    table.rows.push_back(std::move(row));
  }
  if (table.rows.empty())
    return Error{Errc::invalid_argument, source + ": no rows", "write one JSON object per line"};
  return table;
}

Result<FeederTable> load_feeder(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return Error{Errc::invalid_argument, "cannot read feeder " + file,
                 "paths are relative to the scenario file"};
  std::ostringstream text;
  text << in.rdbuf();
  if (file.ends_with(".csv")) return parse_csv(text.str(), file);
  if (file.ends_with(".jsonl") || file.ends_with(".ndjson")) return parse_json_lines(text.str(), file);
  return Error{Errc::invalid_argument, "feeder " + file + " is neither .csv nor .jsonl",
               "name it after its format"};
}

}  // namespace flux::loadtest
