#pragma once
// A request as bytes, serialised before the run. When every value in it has a
// fixed width the values are written over in place and nothing is copied.

#include <string>
#include <string_view>
#include <vector>

#include "cli/loadtest/scenario.hpp"

namespace flux::loadtest {

// Belongs to one thread.
class RequestText {
 public:
  // `authority` goes into Host unless the step has its own.
  RequestText(const Step& step, const std::string& authority, bool keep_alive);

  // Valid until the next call.
  std::string_view render(const TemplateValues& values);

 private:
  struct Hole {
    std::size_t offset;
    TemplatePart part;
  };

  bool fixed_ = true;
  bool sends_length_ = false;
  TextTemplate head_;
  TextTemplate body_;
  std::string text_;
  std::string body_text_;
  std::vector<Hole> holes_;
};

}  // namespace flux::loadtest
