// The CSV of a scalability fit.

#include <charconv>
#include <cmath>

#include "cli/capacity/scalability_fit.hpp"

namespace flux::capacity {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\"");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\"") - first + 1);
}

std::vector<std::string_view> fields_of(std::string_view line) {
  const char separator = line.find(',') != std::string_view::npos   ? ','
                         : line.find(';') != std::string_view::npos ? ';'
                                                                    : '\t';
  std::vector<std::string_view> fields;
  while (true) {
    const auto end = line.find(separator);
    fields.push_back(trimmed(line.substr(0, end)));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return (x >= 'A' && x <= 'Z' ? x - 'A' + 'a' : x) == y;
         });
}

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  Result<> line(std::string_view text) {
    ++line_;
    const auto content = trimmed(text);
    if (content.empty() || content.front() == '#') return {};
    const auto fields = fields_of(text);
    if (!started_) {
      started_ = true;
      if (!number(fields.front())) return header(fields);
    }
    return point(fields);
  }
  std::vector<LoadPoint> take() { return std::move(points_); }

 private:
  Error wrong(const std::string& what, const std::string& hint = "") const {
    return {Errc::invalid_argument, file_ + ":" + std::to_string(line_) + ": " + what, hint};
  }

  Result<> header(const std::vector<std::string_view>& fields) {
    std::optional<std::size_t> n, throughput;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (same_name(fields[i], "n")) n = i;
      if (same_name(fields[i], "throughput")) throughput = i;
    }
    if (!n || !throughput)
      return wrong("the header has no column '" + std::string(n ? "throughput" : "n") + "'",
                   "the columns are n,throughput");
    n_ = *n;
    throughput_ = *throughput;
    return {};
  }

  Result<> point(const std::vector<std::string_view>& fields) {
    const auto value = [&](std::size_t column, const char* name) -> Result<double> {
      if (column >= fields.size())
        return wrong(std::string("there is no ") + name, "the columns are n,throughput");
      const auto parsed = number(fields[column]);
      if (!parsed || *parsed <= 0)
        return wrong(std::string(name) + " is not a number above 0: '" + std::string(fields[column]) + "'");
      return *parsed;
    };
    const auto n = value(n_, "n");
    if (!n) return n.error();
    const auto throughput = value(throughput_, "throughput");
    if (!throughput) return throughput.error();
    if (*n < 1) return wrong("n is below 1");
    points_.push_back({*n, *throughput});
    return {};
  }

  const std::string& file_;
  int line_ = 0;
  bool started_ = false;
  std::size_t n_ = 0;
  std::size_t throughput_ = 1;
  std::vector<LoadPoint> points_;
};

}  // namespace

Result<std::vector<LoadPoint>> parse_load_points(std::string_view csv, const std::string& file) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (csv.starts_with(kByteOrderMark)) csv.remove_prefix(kByteOrderMark.size());
  Reader reader(file);
  while (!csv.empty()) {
    const auto end = csv.find('\n');
    if (const auto read = reader.line(csv.substr(0, end)); !read) return read.error();
    csv.remove_prefix(end == std::string_view::npos ? csv.size() : end + 1);
  }
  return reader.take();
}

}  // namespace flux::capacity
