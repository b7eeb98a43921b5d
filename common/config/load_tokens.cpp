#include <fstream>
#include <sstream>

#include "common/config/config.hpp"
#include "common/config/yaml_section.hpp"

namespace flux {

Result<std::vector<TokenConfig>> load_tokens(const std::string& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  if (!in)
    return Error{Errc::invalid_argument, "cannot read the token file " + file,
                 "create it, or change api.tokens_file"};
  YamlSource source{file};
  std::vector<TokenConfig> tokens;
  try {
    const YAML::Node document = YAML::Load(text.str());
    if (!document.IsNull() && !document.IsSequence())
      source.fail(document, "must be a list of tokens", "each with name, sha256 and scopes");
    for (std::size_t i = 0; document.IsSequence() && i < document.size(); ++i) {
      YamlSection section(source, document[i], "[" + std::to_string(i) + "].");
      TokenConfig token;
      section.read("name", token.name);
      section.read("sha256", token.sha256);
      section.read("scopes", token.scopes);
      section.refuse_unknown_keys();
      if (token.name.empty()) source.fail(document[i], "a token needs a name");
      tokens.push_back(std::move(token));
    }
  } catch (const YAML::Exception& e) {
    return Error{Errc::invalid_argument, file + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg,
                 "write a YAML list of {name, sha256, scopes}"};
  }
  if (source.error) return *source.error;
  return tokens;
}

}  // namespace flux
