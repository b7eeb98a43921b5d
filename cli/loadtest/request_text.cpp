#include "cli/loadtest/request_text.hpp"

#include <strings.h>

#include <algorithm>

namespace flux::loadtest {
namespace {

void add(TextTemplate& out, std::string_view text) {
  if (!out.empty() && out.back().kind == TemplatePart::Kind::literal)
    out.back().text += text;
  else
    out.push_back({TemplatePart::Kind::literal, std::string(text)});
}

void add(TextTemplate& out, const TextTemplate& parts) {
  for (const TemplatePart& part : parts)
    if (part.kind == TemplatePart::Kind::literal)
      add(out, part.text);
    else
      out.push_back(part);
}

bool all_fixed(const TextTemplate& parts) {
  return std::all_of(parts.begin(), parts.end(),
                     [](const TemplatePart& p) { return p.fixed_width().has_value(); });
}

}  // namespace

RequestText::RequestText(const Step& step, const std::string& authority, bool keep_alive) : body_(step.body) {
  add(head_, step.method + " ");
  add(head_, step.path);
  add(head_, " HTTP/1.1\r\n");
  const bool own_host = std::any_of(step.headers.begin(), step.headers.end(), [](const auto& header) {
    return ::strcasecmp(header.first.c_str(), "host") == 0;
  });
  if (!own_host) add(head_, "Host: " + authority + "\r\n");
  for (const auto& [name, value] : step.headers) {
    add(head_, name + ": ");
    add(head_, value);
    add(head_, "\r\n");
  }
  if (!keep_alive) add(head_, "Connection: close\r\n");
  sends_length_ = !body_.empty() || step.method == "POST" || step.method == "PUT" || step.method == "PATCH";
  fixed_ = all_fixed(head_) && all_fixed(body_);
  if (!fixed_) {
    if (!sends_length_) add(head_, "\r\n");
    return;
  }
  std::size_t length = 0;
  for (const TemplatePart& part : body_) length += *part.fixed_width();
  if (sends_length_) add(head_, "Content-Length: " + std::to_string(length) + "\r\n");
  add(head_, "\r\n");
  add(head_, body_);
  for (const TemplatePart& part : head_) {
    if (part.kind == TemplatePart::Kind::literal) {
      text_ += part.text;
    } else {
      holes_.push_back({text_.size(), part});
      text_.append(*part.fixed_width(), '0');
    }
  }
}

std::string_view RequestText::render(const TemplateValues& values) {
  if (fixed_) {
    for (const Hole& hole : holes_) hole.part.write_at(text_.data() + hole.offset, values);
    return text_;
  }
  text_.clear();
  append(text_, head_, values);
  if (sends_length_) {
    body_text_.clear();
    append(body_text_, body_, values);
    text_ += "Content-Length: " + std::to_string(body_text_.size()) + "\r\n\r\n";
    text_ += body_text_;
  }
  return text_;
}

}  // namespace flux::loadtest
