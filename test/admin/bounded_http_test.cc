#include "admin/bounded_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "admin/task_queue.h"
#include "support/catch.h"

namespace bandb::admin {

namespace {

constexpr int64_t kNeverMs = 3'600'000;

// A server on a free port, with one page "/big" and one thread that answers.
class World {
 public:
  explicit World(const BoundedHttp::Limits& limits, size_t threads = 1) : http_(limits) {
    http_.new_task_queue = [this, threads]() -> httplib::TaskQueue* {
      auto queue = std::make_unique<TaskQueue>(threads, 16);
      http_.SetQueue(queue.get());
      is_running_ = true;
      return queue.release();
    };
    http_.Get("/big", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(std::string(1000, 'x'), "text/plain");
    });
    port_ = http_.bind_to_any_port("127.0.0.1");
    REQUIRE(port_ > 0);
    thread_ = std::thread([this] { http_.listen_after_bind(); });
    while (!is_running_) std::this_thread::yield();
  }
  ~World() { End(); }

  void End() {
    if (!thread_.joinable()) return;
    http_.End();
    thread_.join();
  }
  int port() const { return port_; }

 private:
  BoundedHttp http_;
  std::atomic<bool> is_running_ = false;
  int port_ = 0;
  std::thread thread_;
};

class Client {
 public:
  explicit Client(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  }
  ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Whether all of it was taken.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // All that comes until the server closes.
  std::string Rest() {
    std::string all;
    char buffer[4096];
    while (true) {
      const ssize_t got = ::recv(socket_, buffer, sizeof(buffer), 0);
      if (got <= 0) return all;
      all.append(buffer, static_cast<size_t>(got));
    }
  }

 private:
  const int socket_;
};

const std::string kBig = "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";

}  // namespace

TEST_CASE("one request of a connection is answered, and what follows it does not lose the answer") {
  World world({});
  Client client(world.port());
  REQUIRE(client.Send(kBig + kBig + kBig));
  const std::string answer = client.Rest();
  CHECK(answer.starts_with("HTTP/1.1 200"));
  CHECK(answer.find("Connection: close") != std::string::npos);
  CHECK(answer.find("HTTP/1.1", 1) == std::string::npos);
}

TEST_CASE("headers without end are not read") {
  World world({.request_bytes = 16 << 10, .deadline_ms = kNeverMs, .deadline_while_others_wait_ms = kNeverMs});
  Client client(world.port());
  REQUIRE(client.Send("GET /big HTTP/1.1\r\n"));
  // More than the system could keep for a server that does not read.
  const std::string header = "X: " + std::string(4000, 'a') + "\r\n";
  bool is_taken = true;
  for (int i = 0; i < 100'000 && is_taken; ++i) is_taken = client.Send(header);
  CHECK_FALSE(is_taken);
  CHECK(client.Rest().find("200") == std::string::npos);
}

TEST_CASE("a request that comes a byte at a time has as long as any other") {
  World world({.request_bytes = 1 << 30, .deadline_ms = 100, .deadline_while_others_wait_ms = kNeverMs});
  Client client(world.port());
  REQUIRE(client.Send("GET /big HTTP/1.1\r\nX: "));
  while (client.Send("a")) std::this_thread::yield();
  Client next(world.port());
  REQUIRE(next.Send(kBig));
  CHECK(next.Rest().starts_with("HTTP/1.1 200"));
}

TEST_CASE("who says nothing makes room for others") {
  World world({.request_bytes = 1000, .deadline_ms = kNeverMs, .deadline_while_others_wait_ms = 1});
  Client silent(world.port());
  Client slow(world.port());
  REQUIRE(slow.Send("GET /big HTTP/1.1\r\nX: "));
  Client client(world.port());
  REQUIRE(client.Send(kBig));
  CHECK(client.Rest().starts_with("HTTP/1.1 200"));
}

TEST_CASE("the end waits for no request") {
  World world({.request_bytes = 1000, .deadline_ms = kNeverMs, .deadline_while_others_wait_ms = kNeverMs}, 2);
  Client silent(world.port());
  Client slow(world.port());
  Client waits(world.port());
  REQUIRE(slow.Send("GET /big HTTP/1.1\r\nX: "));
  world.End();
  CHECK(silent.Rest().find("200") == std::string::npos);
  CHECK(slow.Rest().find("200") == std::string::npos);
  CHECK(waits.Rest().empty());
}

TEST_CASE("an answer is no larger than its page") {
  World world({});
  for (const char* range : {"bytes=0-", "bytes=0-,0-,0-,0-", "bytes=5-2", "bytes=99999999999999999999-"}) {
    INFO(range);
    Client client(world.port());
    REQUIRE(client.Send(std::string("GET /big HTTP/1.1\r\nHost: localhost\r\nRange: ") + range + "\r\n\r\n"));
    CHECK(client.Rest().size() < 2000);
  }
}

}  // namespace bandb::admin
