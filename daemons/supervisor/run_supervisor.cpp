#include "daemons/supervisor/run_supervisor.hpp"

#include <sys/wait.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <filesystem>

#include "common/core/log.hpp"
#include "daemons/supervisor/control_server.hpp"
#include "daemons/supervisor/run_directory.hpp"
#include "daemons/supervisor/supervisor.hpp"

namespace flux::supervisor {
namespace asio = boost::asio;

std::string control_socket_path(const std::string& data) {
  return data + "/run/control.sock";
}
std::string log_directory(const std::string& data) {
  return data + "/logs";
}

Result<ExitCode> run_supervisor(const RunOptions& options) {
  auto directory = RunDirectory::open(options.data);
  if (!directory) return directory.error();
  directory->clear_leftovers(static_cast<int>(options.stop_timeout / std::chrono::milliseconds{1}));

  asio::io_context loop(1);
  Supervisor supervisor(loop, *directory, plan_services(options.stack, *directory));
  ControlServer control(loop, supervisor);
  asio::signal_set children(loop, SIGCHLD);
  asio::signal_set stop_signals(loop, SIGINT, SIGTERM);

  const std::function<void()> reap = [&] {
    children.async_wait([&](boost::system::error_code ec, int) {
      if (ec) return;
      int status = 0;
      for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0; pid = ::waitpid(-1, &status, WNOHANG))
        supervisor.child_exited(pid, status);
      reap();
    });
  };
  reap();
  int stops = 0;
  const std::function<void()> await_stop = [&] {
    stop_signals.async_wait([&](boost::system::error_code ec, int) {
      if (ec) return;
      // Asked a second time, nobody wants to wait for the drain.
      supervisor.shut_down(++stops == 1 ? options.stop_timeout : Duration{});
      await_stop();
    });
  };
  await_stop();
  supervisor.on_stopped = [&] { loop.stop(); };

  supervisor.start();
  if (auto listening = control.listen(directory->control_socket()); !listening) {
    supervisor.shut_down(options.stop_timeout);
    loop.run();
    return listening.error();
  }

  std::optional<Error> failure;
  bool announced = false;
  asio::steady_timer watch(loop);
  const auto deadline = std::chrono::steady_clock::now() + options.start_timeout;
  const std::function<void()> watch_start = [&] {
    watch.expires_after(std::chrono::milliseconds{20});
    watch.async_wait([&](boost::system::error_code ec) {
      if (ec || announced || supervisor.stopping()) return;
      if (supervisor.all_ready()) {
        announced = true;
        if (options.on_ready) options.on_ready(supervisor.status_json());
        return;
      }
      if (supervisor.start_failure())
        failure = supervisor.start_failure();
      else if (std::chrono::steady_clock::now() > deadline)
        failure = Error{Errc::internal, "not every replica became ready in time",
                        "see 'flux logs' and " + log_directory(options.data)};
      if (failure)
        supervisor.shut_down(options.stop_timeout);
      else
        watch_start();
    });
  };
  watch_start();
  loop.run();
  if (failure) return *failure;
  return ExitCode::done;
}

}  // namespace flux::supervisor
