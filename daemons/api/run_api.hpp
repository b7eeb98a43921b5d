#pragma once
// The API daemon: runs until SIGTERM or SIGINT, then drains.

#include <string>

#include "common/config/config.hpp"
#include "common/core/exit_code.hpp"
#include "common/core/result.hpp"

namespace flux::api {

struct ApiOptions {
  std::string listen = "127.0.0.1:8000";
  int threads = 1;
  bool insecure = false;     // a public address without tokens
  std::string address_file;  // "" : none; else receives the address it listens on
  std::string name = "api";  // in the log
};

Result<ExitCode> run_api(const Config& config, const ApiOptions& options);

}  // namespace flux::api
