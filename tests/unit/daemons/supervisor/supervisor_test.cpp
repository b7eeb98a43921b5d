#include "daemons/supervisor/supervisor.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <boost/asio/signal_set.hpp>
#include <boost/json.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "daemons/supervisor/child_process.hpp"
#include "daemons/supervisor/control_server.hpp"
#include "daemons/supervisor/restart_backoff.hpp"

namespace flux::supervisor {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using std::chrono::milliseconds;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/flux-supervisor-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TemporaryDirectory() { fs::remove_all(path_); }
  std::string path() const { return path_; }

 private:
  std::string path_;
};

TEST(RestartBackoff, DoublesUpToThirtySecondsAndForgetsAfterAMinute) {
  RestartBackoff backoff;
  Duration expected = milliseconds{500};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(backoff.after_crash(milliseconds{10}), std::min<Duration>(expected, std::chrono::seconds{30}));
    expected *= 2;
  }
  EXPECT_EQ(backoff.after_crash(std::chrono::minutes{2}), milliseconds{500});
}

TEST(RunDirectory, BelongsToOneSupervisor) {
  TemporaryDirectory temporary;
  const auto first = RunDirectory::open(temporary.path());
  ASSERT_TRUE(first);
  const auto second = RunDirectory::open(temporary.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::conflict);
  EXPECT_NE(second.error().message.find(std::to_string(::getpid())), std::string::npos);
}

TEST(RunDirectory, ClearsReplicasOfAKilledSupervisorButNoReusedPid) {
  TemporaryDirectory temporary;
  const auto directory = RunDirectory::open(temporary.path());
  const auto ours = spawn_child({"/bin/sleep", "60"}, directory->log_file("ours"));
  const auto stranger = spawn_child({"/bin/sleep", "60"}, directory->log_file("stranger"));
  ASSERT_TRUE(ours && stranger);
  ASSERT_TRUE(directory->record({{"ours", *ours, *process_start_ticks(*ours)},
                                 {"reused", *stranger, *process_start_ticks(*stranger) + 1}}));
  directory->clear_leftovers(5000);
  int status = 0;
  EXPECT_EQ(::waitpid(*ours, &status, WNOHANG), *ours);
  EXPECT_EQ(::waitpid(*stranger, &status, WNOHANG), 0);
  ::kill(*stranger, SIGKILL);
  ::waitpid(*stranger, &status, 0);
}

// A stand-in for the flux binary: writes its address file, answers /ready, ends
// on SIGTERM; `crash` in its arguments makes it exit at once.
constexpr const char* kReplicaScript = R"(#!/usr/bin/env python3
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if "crash" in sys.argv: sys.exit(2)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
address = "127.0.0.1:%d" % server.server_address[1]
path = sys.argv[sys.argv.index("--address-file") + 1]
with open(path + ".new", "w") as f: f.write(address + "\n" + address + "\n")
os.rename(path + ".new", path)
server.serve_forever()
)";

class SupervisorTest : public testing::Test {
 protected:
  SupervisorTest() {
    const std::string script = temporary_.path() + "/replica.py";
    std::ofstream(script) << kReplicaScript;
    fs::permissions(script, fs::perms::owner_all);
    directory_.emplace(std::move(*RunDirectory::open(temporary_.path() + "/data")));
    script_ = script;
    wait_for_children();
  }

  void run(std::vector<std::string> extra = {}) {
    std::vector<std::string> api{script_};
    api.insert(api.end(), extra.begin(), extra.end());
    SupervisorTimes times;
    times.tick = milliseconds{5};
    times.probe_starting = milliseconds{20};
    times.leave_rotation = milliseconds{20};
    supervisor_.emplace(
        loop_, *directory_,
        std::vector<ServicePlan>{{"api", 2, true, false, api}, {"balancer", 1, false, true, {script_}}},
        times);
    supervisor_->start();
  }

  void wait_for_children() {
    children_.async_wait([this](boost::system::error_code ec, int) {
      if (ec) return;
      int status = 0;
      for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) supervisor_->child_exited(pid, status);
      wait_for_children();
    });
  }

  template <class Predicate>
  testing::AssertionResult eventually(Predicate predicate) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (!predicate()) {
      if (std::chrono::steady_clock::now() > deadline)
        return testing::AssertionFailure() << supervisor_->status_json();
      loop_.run_one_for(milliseconds{10});
    }
    return testing::AssertionSuccess();
  }

  ~SupervisorTest() override {
    if (!supervisor_) return;
    supervisor_->shut_down(std::chrono::seconds{5});
    EXPECT_TRUE(eventually([&] { return supervisor_->stopped(); }));
  }

  json::object service(std::size_t i) const {
    return json::parse(supervisor_->status_json()).at("services").at(i).as_object();
  }
  std::string upstreams() const {
    std::ifstream in(directory_->upstreams_file());
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TemporaryDirectory temporary_;
  std::string script_;
  boost::asio::io_context loop_;
  boost::asio::signal_set children_{loop_, SIGCHLD};
  std::optional<RunDirectory> directory_;
  std::optional<Supervisor> supervisor_;
};

TEST_F(SupervisorTest, BringsEveryReplicaUpAndTellsTheBalancer) {
  run();
  ASSERT_TRUE(eventually([&] { return supervisor_->all_ready(); }));
  EXPECT_EQ(service(0).at("ready").as_int64(), 2);
  const auto list = upstreams();
  EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), 2) << list;
  EXPECT_TRUE(supervisor_->url().starts_with("http://127.0.0.1:"));
}

TEST_F(SupervisorTest, StartsAKilledReplicaAgainAndTakesItOutMeanwhile) {
  run();
  ASSERT_TRUE(eventually([&] { return supervisor_->all_ready(); }));
  const auto pid = service(0).at("replicas").at(0).at("pid").as_int64();
  ::kill(static_cast<pid_t>(pid), SIGKILL);
  ASSERT_TRUE(
      eventually([&] { return service(0).at("replicas").at(0).at("state").as_string() == "backoff"; }));
  const auto list = upstreams();
  EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), 1) << list;
  ASSERT_TRUE(eventually([&] { return supervisor_->all_ready(); }));
  EXPECT_EQ(service(0).at("replicas").at(0).at("restarts").as_int64(), 1);
}

TEST_F(SupervisorTest, ScalesBothWaysAndRefusesNonsense) {
  run();
  ASSERT_TRUE(eventually([&] { return supervisor_->all_ready(); }));
  ASSERT_TRUE(supervisor_->scale("api", 3));
  ASSERT_TRUE(eventually([&] { return service(0).at("ready").as_int64() == 3; }));
  ASSERT_TRUE(supervisor_->scale("api", 1));
  ASSERT_TRUE(eventually([&] { return service(0).at("replicas").as_array().size() == 1; }));
  EXPECT_EQ(service(0).at("replicas").at(0).at("id").as_string(), "api-1");
  EXPECT_EQ(supervisor_->scale("nothing", 1).error().code, Errc::not_found);
  EXPECT_EQ(supervisor_->scale("api", -1).error().code, Errc::invalid_argument);
  EXPECT_EQ(supervisor_->scale("balancer", 2).error().code, Errc::invalid_argument);
}

TEST_F(SupervisorTest, SaysWhyAReplicaCannotStart) {
  run({"crash"});
  ASSERT_TRUE(eventually([&] { return supervisor_->start_failure().has_value(); }));
  EXPECT_NE(supervisor_->start_failure()->message.find("cannot start (exit code 2)"), std::string::npos);
}

}  // namespace
}  // namespace flux::supervisor
