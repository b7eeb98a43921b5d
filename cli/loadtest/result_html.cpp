// The report page: the result as JSON inside a page that draws it, with its
// style, its script and the chart library, so that the file needs nothing else.

#include "cli/loadtest/result.hpp"
#include "cli_loadtest_embedded.hpp"

namespace flux::loadtest {
namespace {

std::string escaped(std::string_view text, std::string_view less, std::string_view greater,
                    std::string_view ampersand) {
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  for (const char c : text) {
    if (c == '<')
      out += less;
    else if (c == '>')
      out += greater;
    else if (c == '&')
      out += ampersand;
    else
      out += c;
  }
  return out;
}

std::string as_text(std::string_view text) {
  return escaped(text, "&lt;", "&gt;", "&amp;");
}

// JSON has these characters in strings only, where \u means the same: so that
// neither </script> nor <!-- in a name ends the element around it.
std::string inside_script(std::string_view json) {
  return escaped(json, "\\u003c", "\\u003e", "\\u0026");
}

}  // namespace

std::string to_html(const RunResult& result) {
  const std::string title =
      as_text((result.scenario.empty() ? "" : result.scenario + " · ") + result.target + " · flux load test");
  const std::string json = inside_script(to_json(result));
  const std::pair<std::string_view, std::string_view> parts[] = {
      {"title", title},
      {"result", json},
      {"style", embedded::style_css},
      {"script", embedded::script_js},
      {"uplot", embedded::uplot_iife_min_js},
      {"uplot_style", embedded::uplot_min_css},
      {"uplot_licence", embedded::uplot_license_txt}};
  // One pass over the page: a {{name}} inside a part, like {{uuid}} in a scenario, stays as it is.
  std::string out;
  std::string_view rest = embedded::page_html;
  for (std::size_t open = rest.find("{{"); open != rest.npos; open = rest.find("{{")) {
    const std::size_t close = rest.find("}}", open);
    const std::string_view name = rest.substr(open + 2, close - open - 2);
    out += rest.substr(0, open);
    for (const auto& [part, text] : parts)
      if (part == name) out += text;
    rest.remove_prefix(close + 2);
  }
  return out.append(rest);
}

}  // namespace flux::loadtest
