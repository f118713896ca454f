#include "admin/http_listener.h"

#include <httplib.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "admin/prometheus.h"
#include "support/catch.h"

namespace bandb::admin {

namespace {

struct World {
  std::atomic<bool> is_ready = true;
  std::atomic<bool> throws = false;

  std::unique_ptr<HttpListener> Start(const std::string& listen = "127.0.0.1:0") {
    auto listener = HttpListener::Start(
        {.listen = listen,
         .insecure = false,
         .report = [this] { return TakeReport(); },
         .ready = [this] { return is_ready ? absl::OkStatus() : absl::UnavailableError("writes are stopped"); }});
    REQUIRE_OK(listener.status());
    return *std::move(listener);
  }

  Report TakeReport() const {
    if (throws) throw std::runtime_error("no figures");
    return {.version = "9.9", .start_seconds = 1, .server = {}, .store = Stats{}};
  }
};

httplib::Result Get(const HttpListener& listener, const std::string& path, const httplib::Headers& headers = {}) {
  httplib::Client client("http://" + listener.Address());
  httplib::Result result = client.Get(path, headers);
  REQUIRE(result != nullptr);
  return result;
}

}  // namespace

TEST_CASE("every path answers, and says what it is") {
  World world;
  const auto listener = world.Start();
  CHECK(Get(*listener, "/livez")->body == "ok\n");
  CHECK(Get(*listener, "/readyz")->body == "ok\n");
  const auto metrics = Get(*listener, "/metrics");
  CHECK(metrics->status == 200);
  CHECK(metrics->get_header_value("Content-Type") == kPrometheusContentType);
  CHECK(metrics->body.find("bandb_build_info{version=\"9.9\"} 1\n") != std::string::npos);
  CHECK(Get(*listener, "/stats")->body.find("\"version\": \"9.9\"") != std::string::npos);
  const auto page = Get(*listener, "/");
  CHECK(page->body.starts_with("<!doctype html>"));
  CHECK(page->body.ends_with("</html>\n"));
  CHECK(page->has_header("Content-Security-Policy"));
}

TEST_CASE("a server that cannot work is alive and not ready, and says why") {
  World world;
  const auto listener = world.Start();
  world.is_ready = false;
  CHECK(Get(*listener, "/livez")->status == 200);
  const auto ready = Get(*listener, "/readyz");
  CHECK(ready->status == 503);
  CHECK(ready->body == "writes are stopped\n");
}

TEST_CASE("what is not asked for by its own name, or not by GET, is refused") {
  World world;
  const auto listener = world.Start();
  CHECK(Get(*listener, "/metrics", {{"Host", "evil.example"}})->status == 421);
  CHECK(Get(*listener, "/metrics", {{"Host", "localhost"}})->status == 200);
  CHECK(Get(*listener, "/nothing")->status == 404);
  CHECK(Get(*listener, "/nothing")->body.find("/metrics") != std::string::npos);
  httplib::Client client("http://" + listener->Address());
  const auto posted = client.Post("/metrics", "body", "text/plain");
  REQUIRE(posted != nullptr);
  CHECK(posted->status == 405);
  CHECK(posted->get_header_value("Allow") == "GET, HEAD");
  const auto deleted = client.Delete("/");
  REQUIRE(deleted != nullptr);
  CHECK(deleted->status == 405);
}

TEST_CASE("an exception while figures are taken is an answer") {
  World world;
  const auto listener = world.Start();
  world.throws = true;
  CHECK(Get(*listener, "/metrics")->status == 500);
  world.throws = false;
  CHECK(Get(*listener, "/metrics")->status == 200);
}

TEST_CASE("too much of a request is refused, and the listener goes on") {
  World world;
  const auto listener = world.Start();
  httplib::Client client("http://" + listener->Address());
  const auto longer = client.Get("/" + std::string(100'000, 'x'));
  CHECK((longer == nullptr || longer->status >= 400));
  const auto body = client.Post("/metrics", std::string(1 << 20, 'x'), "text/plain");
  CHECK((body == nullptr || body->status >= 400));
  CHECK(Get(*listener, "/livez")->status == 200);
}

TEST_CASE("an address is taken once, and only where others cannot reach it") {
  World world;
  const auto listener = world.Start();
  const auto start = [&](const std::string& listen, bool insecure) {
    return HttpListener::Start({.listen = listen,
                                .insecure = insecure,
                                .report = [&] { return world.TakeReport(); },
                                .ready = [] { return absl::OkStatus(); }})
        .status();
  };
  CHECK_CODE(start(listener->Address(), false), kFailedPrecondition);
  CHECK_CODE(start("0.0.0.0:0", false), kInvalidArgument);
  CHECK_CODE(start("nonsense", false), kInvalidArgument);
  CHECK_OK(start("0.0.0.0:0", true));
}

TEST_CASE("many clients at once are all answered, and silent ones do not hold up the end") {
  World world;
  auto listener = world.Start();
  std::atomic<int> answered = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      httplib::Client client("http://" + listener->Address());
      for (int j = 0; j < 20; ++j) {
        const auto result = client.Get("/metrics");
        if (result != nullptr && result->status == 200) ++answered;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(answered == 8 * 20);
  listener.reset();
}

TEST_CASE("which hosts are a listener's own") {
  for (const char* own : {"localhost", "LOCALHOST:80", "a.localhost:1", "127.0.0.1", "10.1.2.3:9100", "[::1]:9100",
                          "[::1]", "db1.example:9100", "DB1.example"}) {
    INFO(own);
    CHECK(IsOwnHost(own, "db1.example:9100"));
  }
  for (const char* other : {"evil.example", "x:y:80", "evil.example:a:b", "localhost.evil.example",
                            "127.0.0.1.evil.example:9100", "xlocalhost", "a"}) {
    INFO(other);
    CHECK_FALSE(IsOwnHost(other, "db1.example:9100"));
  }
}

}  // namespace bandb::admin
