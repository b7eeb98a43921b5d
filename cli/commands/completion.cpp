// flux completion bash|zsh|fish: a script for the shell, made from the commands
// and options that this very binary has.

#include <algorithm>
#include <cctype>

#include "cli/commands/all_commands.hpp"

namespace flux::cli {
namespace {

struct CompletedOption {
  std::vector<std::string> names;    // with their dashes
  std::vector<std::string> choices;  // not empty: the value is one of these
  bool takes_value = false;
  bool global = false;  // accepted after every command
  std::string description;
};

struct CompletedCommand {
  std::string path;                                              // "config/show"; "" is flux itself
  std::vector<std::pair<std::string, std::string>> subcommands;  // name, description
  std::vector<CompletedOption> options;
};

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const auto end = std::min(text.find(separator, start), text.size());
    parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

// The values that an option's type lists: "text|json", or "SET:{a,b}" as CLI11 writes a set.
std::vector<std::string> choices_of(const std::string& type) {
  const auto colon = type.find(':');
  const std::string name = type.substr(0, colon);
  const bool words = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::islower(c) != 0 || c == '|' || c == '-' || c == '_';
  });
  if (words && name.find('|') != std::string::npos) return split(name, '|');
  if (colon != std::string::npos && type[colon + 1] == '{' && type.back() == '}')
    return split(type.substr(colon + 2, type.size() - colon - 3), ',');
  return {};
}

void append_options(const CLI::App& app, bool global, std::vector<CompletedOption>& out) {
  for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->nonpositional(); })) {
    CompletedOption completed;
    for (const auto& name : option->get_snames()) completed.names.push_back("-" + name);
    for (const auto& name : option->get_lnames()) completed.names.push_back("--" + name);
    completed.takes_value = option->get_items_expected_max() > 0;
    completed.global = global;
    completed.choices = choices_of(option->get_type_name());
    completed.description = first_line(option->get_description());
    out.push_back(std::move(completed));
  }
}

void collect(const CLI::App& app, const CLI::App& root, const std::string& path,
             std::vector<CompletedCommand>& out) {
  CompletedCommand command{path, {}, {}};
  append_options(app, &app == &root, command.options);
  if (&app != &root) {  // the global options are accepted after the command, too
    std::vector<CompletedOption> global;
    append_options(root, true, global);
    for (auto& option : global)
      if (option.names.back() != "--help" && option.names.back() != "--version")
        command.options.push_back(std::move(option));
  }
  const auto children = app.get_subcommands([](const CLI::App* child) { return !child->get_name().empty(); });
  for (const CLI::App* child : children)
    command.subcommands.emplace_back(child->get_name(), first_line(child->get_description()));
  out.push_back(std::move(command));
  for (const CLI::App* child : children)
    collect(*child, root, path.empty() ? child->get_name() : path + "/" + child->get_name(), out);
}

// 'text' for any of the three shells; fish alone reads backslashes inside.
std::string quoted(const std::string& text, bool fish = false) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += fish ? "\\'" : "'\\''";
    else if (c == '\\' && fish)
      out += "\\\\";
    else
      out += c;
  }
  return out + "'";
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : separator) + word;
  return out;
}

std::string paths_of(const std::vector<CompletedCommand>& commands) {
  std::string out;
  for (const auto& command : commands) out += " " + command.path;
  return out + " ";
}

// `case` branches for the value after an option: its choices, else files.
std::string value_branches(const std::vector<CompletedCommand>& commands, const char* assign_choices,
                           const char* close, const char* files) {
  std::string out;
  const auto add = [&](const CompletedOption& option, const std::string& path) {
    std::vector<std::string> patterns;
    for (const auto& name : option.names) patterns.push_back(path + ":" + name);
    out += "    " + joined(patterns, "|") + ") ";
    out += option.choices.empty() ? files : assign_choices + joined(option.choices, " ") + close;
    out += " ;;\n";
  };
  for (const auto& command : commands)
    for (const auto& option : command.options)
      if (option.takes_value && !option.global) add(option, command.path);
  for (const auto& option : commands.front().options)  // a command's own option goes first
    if (option.takes_value) add(option, "*");
  return out;
}

std::string bash_script(const std::vector<CompletedCommand>& commands) {
  std::string out =
      "# bash completion for flux, made by: flux completion bash\n"
      "_flux() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} at= words= i\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case " +
      quoted(paths_of(commands)) +
      " in\n"
      "      *\" ${at:+$at/}${COMP_WORDS[i]} \"*) at=${at:+$at/}${COMP_WORDS[i]} ;;\n"
      "    esac\n"
      "  done\n"
      "  case $at:$previous in\n" +
      value_branches(commands, "COMPREPLY=($(compgen -W '", "' -- \"$current\")); return", "return") +
      "  esac\n"
      "  case $at in\n";
  for (const auto& command : commands) {
    std::vector<std::string> subcommands, options;
    for (const auto& [name, description] : command.subcommands) subcommands.push_back(name);
    for (const auto& option : command.options)
      options.insert(options.end(), option.names.begin(), option.names.end());
    out += "    " + quoted(command.path) +
           ")\n      case $current in\n        -*) words=" + quoted(joined(options, " ")) +
           " ;;\n        *) words=" + quoted(joined(subcommands, " ")) + " ;;\n      esac ;;\n";
  }
  return out +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "}\n"
         "complete -o default -F _flux flux\n";
}

// _describe takes "name:description"; a colon inside is escaped.
std::string zsh_item(const std::string& name, const std::string& description) {
  std::string item;
  for (const char c : name) item += c == ':' ? std::string("\\:") : std::string(1, c);
  return quoted(item + ":" + description);
}

std::string zsh_script(const std::vector<CompletedCommand>& commands) {
  std::string out =
      "#compdef flux\n"
      "# zsh completion for flux, made by: flux completion zsh\n"
      "_flux() {\n"
      "  local at= word\n"
      "  local -a commands options\n"
      "  for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
      "    case " +
      quoted(paths_of(commands)) +
      " in\n"
      "      *\" ${at:+$at/}$word \"*) at=${at:+$at/}$word ;;\n"
      "    esac\n"
      "  done\n"
      "  case $at:${words[CURRENT-1]} in\n" +
      value_branches(commands, "compadd ", "; return", "_files; return") +
      "  esac\n"
      "  case $at in\n";
  for (const auto& command : commands) {
    out += "    " + quoted(command.path) + ")\n      commands=(";
    for (const auto& [name, description] : command.subcommands)
      out += "\n        " + zsh_item(name, description);
    out += ")\n      options=(";
    for (const auto& option : command.options)
      for (const auto& name : option.names) out += "\n        " + zsh_item(name, option.description);
    out += ") ;;\n";
  }
  return out +
         "  esac\n"
         "  if [[ ${words[CURRENT]} == -* ]]; then _describe -o option options\n"
         "  elif (( ${#commands} )); then _describe command commands\n"
         "  else _files; fi\n"
         "}\n"
         "compdef _flux flux\n";
}

std::string fish_script(const std::vector<CompletedCommand>& commands) {
  std::string out =
      "# fish completion for flux, made by: flux completion fish\n"
      "function __flux_at\n"
      "  set -l at ''\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    set -l next (string trim --left --chars=/ -- \"$at/$word\")\n"
      "    if contains -- $next" +
      paths_of(commands) +
      "\n"
      "      set at $next\n"
      "    end\n"
      "  end\n"
      "  test \"$at\" = \"$argv[1]\"\n"
      "end\n";
  for (const auto& command : commands) {
    const std::string here = "complete -c flux -n " + quoted("__flux_at \"" + command.path + "\"", true);
    for (const auto& [name, description] : command.subcommands)
      out += here + " -f -a " + quoted(name, true) + " -d " + quoted(description, true) + "\n";
    for (const auto& option : command.options) {
      out += here;
      for (const auto& name : option.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (!option.choices.empty())
        out += " -x -a " + quoted(joined(option.choices, " "), true);
      else if (option.takes_value)
        out += " -r";
      out += " -d " + quoted(option.description, true) + "\n";
    }
  }
  return out;
}

}  // namespace

void add_completion_command(CommandLine& line) {
  auto* completion = line.root().add_subcommand("completion", "Print a completion script for a shell");
  completion->require_subcommand(1);
  completion->fallthrough();
  const auto add = [&](const std::string& shell, std::string (*script)(const std::vector<CompletedCommand>&),
                       const char* example) {
    const CLI::App& root = line.root();
    line.runs(
        completion->add_subcommand(shell, "For " + shell),
        [&root, script](Context& context) -> Result<ExitCode> {
          std::vector<CompletedCommand> commands;
          collect(root, root, "", commands);
          context.print(script(commands));
          return ExitCode::done;
        },
        example);
  };
  add("bash", bash_script, "  source <(flux completion bash)\n");
  add("zsh", zsh_script, "  flux completion zsh > \"${fpath[1]}/_flux\"\n");
  add("fish", fish_script, "  flux completion fish > ~/.config/fish/completions/flux.fish\n");
}

}  // namespace flux::cli
