#pragma once
// What a person watching a run sees: pure text from a LiveView, for a terminal
// that redraws it and for logs that get one line now and then.

#include <string>
#include <vector>

#include "cli/loadtest/run_loadtest.hpp"

namespace flux::loadtest {

// Lines of at most `width` columns, without line ends.
std::vector<std::string> render_panel(const LiveView& view, const std::string& title, std::size_t width,
                                      bool color);
std::string progress_line(const LiveView& view);
// One character per value, as high as the value is among them.
std::string sparkline(const std::vector<double>& values, std::size_t width);

}  // namespace flux::loadtest
