#include <boost/json.hpp>

#include "cli/orchestrator/orchestrator.hpp"
#include "common/http/http_client.hpp"

namespace flux::orchestrator {
namespace {

namespace json = boost::json;

Error no_stack(const std::string& socket) {
  return {Errc::not_found, "flux is not up (nothing answers on " + socket + ")",
          "start it with 'flux up', or name its directory with --data"};
}

class LocalOrchestrator final : public Orchestrator {
 public:
  explicit LocalOrchestrator(std::string socket) : socket_(std::move(socket)) {}

  Result<std::vector<ServiceState>> list() override {
    const auto status = ask("GET", "/status", "");
    if (!status) return status.error();
    std::vector<ServiceState> services;
    boost::system::error_code ec;
    const json::value document = json::parse(*status, ec);
    const auto* list = ec ? nullptr : document.as_object().if_contains("services");
    if (list == nullptr || !list->is_array())
      return Error{Errc::internal, "the supervisor's answer cannot be read",
                   "is it of another version of flux?"};
    for (const auto& service : list->get_array())
      services.push_back({std::string(service.at("name").as_string()), service.at("desired").as_int64(),
                          service.at("ready").as_int64(),
                          static_cast<std::int64_t>(service.at("replicas").as_array().size())});
    return services;
  }

  Result<> scale(const std::string& service, std::int64_t replicas) override {
    const auto asked =
        ask("POST", "/scale", json::serialize(json::value{{"service", service}, {"replicas", replicas}}));
    if (!asked) return asked.error();
    return {};
  }

 private:
  Result<std::string> ask(const char* method, const char* path, std::string body) {
    http::ClientRequest request;
    request.url = std::string("http://flux") + path;
    request.method = method;
    request.body = std::move(body);
    request.unix_socket = socket_;
    auto reply = http::request_blocking(std::move(request));
    if (!reply) return reply.error().code == Errc::unavailable ? no_stack(socket_) : reply.error();
    if (reply->status < 400) return reply->body;
    return Error{reply->status == 404 ? Errc::not_found : Errc::conflict,
                 "the supervisor refused: " + reply->body};
  }

  std::string socket_;
};

}  // namespace

Result<ServiceState> Orchestrator::observe(const std::string& service) {
  const auto services = list();
  if (!services) return services.error();
  std::string known;
  for (const ServiceState& state : *services) {
    if (state.name == service) return state;
    known += (known.empty() ? "" : ", ") + state.name;
  }
  return Error{Errc::not_found, "no service '" + service + "'", "services here: " + known};
}

std::unique_ptr<Orchestrator> open_local(const std::string& control_socket) {
  return std::make_unique<LocalOrchestrator>(control_socket);
}

}  // namespace flux::orchestrator
