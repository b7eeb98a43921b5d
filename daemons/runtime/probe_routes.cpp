#include "daemons/runtime/probe_routes.hpp"

namespace flux::runtime {
namespace {

boost::asio::awaitable<HttpResponse> answer_ready(const HttpRequest& request, Readiness readiness) {
  const auto reasons = co_await readiness();
  if (reasons.empty()) co_return HttpResponse{.body = R"({"status":"ready"})"};
  std::string detail;
  for (const auto& reason : reasons) detail += (detail.empty() ? "" : "; ") + reason;
  co_return problem_response(request, {503, "not ready: " + detail, "not_ready"});
}

}  // namespace

void add_probe_routes(RouteTable& routes, MetricsRegistry& metrics, Readiness not_ready_because) {
  routes.add("GET", "/health", [](HttpRequest&) { return HttpResponse{.body = R"({"status":"ok"})"}; });
  routes.add("GET", "/ready", [readiness = std::move(not_ready_because)](HttpRequest& request) {
    return answer_ready(request, readiness);
  });
  routes.add("GET", "/metrics", [&metrics](HttpRequest&) {
    return HttpResponse{.content_type = kMetricsContentType, .body = metrics.exposition()};
  });
}

}  // namespace flux::runtime
