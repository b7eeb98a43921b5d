#pragma once
// Every command of flux, one line each. A command lives in the file of its name.

#include "cli/commands/command_line.hpp"

namespace flux::cli {

void add_autoscale_command(CommandLine& line);
void add_balancer_command(CommandLine& line);
void add_cache_command(CommandLine& line);
void add_capacity_command(CommandLine& line);
void add_completion_command(CommandLine& line);
void add_config_command(CommandLine& line);
void add_down_command(CommandLine& line);
void add_lag_command(CommandLine& line);
void add_loadtest_command(CommandLine& line);
void add_logs_command(CommandLine& line);
void add_pool_command(CommandLine& line);
void add_scale_command(CommandLine& line);
void add_serve_command(CommandLine& line);
void add_status_command(CommandLine& line);
void add_topics_command(CommandLine& line);
void add_up_command(CommandLine& line);
void add_worker_command(CommandLine& line);

inline void add_all_commands(CommandLine& line) {
  add_autoscale_command(line);
  add_balancer_command(line);
  add_cache_command(line);
  add_capacity_command(line);
  add_completion_command(line);
  add_config_command(line);
  add_down_command(line);
  add_lag_command(line);
  add_loadtest_command(line);
  add_logs_command(line);
  add_pool_command(line);
  add_scale_command(line);
  add_serve_command(line);
  add_status_command(line);
  add_topics_command(line);
  add_up_command(line);
  add_worker_command(line);
}

}  // namespace flux::cli
