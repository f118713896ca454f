// Clients of all three protocols at once, beside a model of what each of them must see.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "base/random.h"
#include "fmt/format.h"
#include "grpc/kv_client.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

constexpr size_t kClients = 200;
constexpr int kRounds = 40;
// Of those that each client has for itself, and those that all read and one client each counts up.
constexpr uint64_t kOwnKeys = 4;
constexpr size_t kSharedKeys = 12;
// All numbers have as many digits, so that the length of each reply is known.
constexpr size_t kDigits = 8;

struct SharedKey {
  uint64_t begun = 0;
  uint64_t acknowledged = 0;
  uint64_t seen = 0;
};

enum class Kind { kPut, kGet, kDelete, kCount, kRead };

struct Request {
  Kind kind = Kind::kGet;
  std::string key{};
  std::string value{};                 // of kPut and kCount
  std::optional<std::string> found{};  // by kGet
  size_t shared = 0;                   // of kCount and kRead
  uint64_t least = 0;                  // that kRead may find
};

// One client of one of the protocols: sends requests, and takes their replies later, in order.
class AnyClient {
 public:
  virtual ~AnyClient() = default;
  virtual void Send(const Request& request) = 0;
  // Of a get the value, of anything else the empty text; nothing if there is no such key.
  virtual std::optional<std::string> Take(const Request& request) = 0;
  // How many requests it may have under way, of which each sees those before it.
  virtual uint64_t pipeline() const { return 6; }
};

bool IsWrite(const Request& request) { return request.kind == Kind::kPut || request.kind == Kind::kCount; }
bool IsRead(const Request& request) { return request.kind == Kind::kGet || request.kind == Kind::kRead; }

class FrameClient final : public AnyClient {
 public:
  explicit FrameClient(const std::string& address) : client_(address) {}

  void Send(const Request& request) override {
    REQUIRE(client_.Send(IsWrite(request)  ? PutFrame(request.key, request.value)
                         : IsRead(request) ? GetFrame(request.key)
                                           : DeleteFrame(request.key)));
  }
  std::optional<std::string> Take(const Request& request) override {
    const std::optional<OwnedReply> reply = client_.Receive();
    REQUIRE(reply.has_value());
    if (!reply->ok) {
      CHECK(IsRead(request));
      CHECK(reply->code == 5);
      return std::nullopt;
    }
    return IsRead(request) ? reply->body.substr(4) : reply->body;
  }

 private:
  WireClient client_;
};

class RedisClient final : public AnyClient {
 public:
  explicit RedisClient(const std::string& address) : client_(address) {}

  void Send(const Request& request) override {
    std::string text = IsWrite(request)  ? "*3\r\n$3\r\nSET\r\n"
                       : IsRead(request) ? "*2\r\n$3\r\nGET\r\n"
                                         : "*2\r\n$3\r\nDEL\r\n";
    text += fmt::format("${}\r\n{}\r\n", request.key.size(), request.key);
    if (IsWrite(request)) text += fmt::format("${}\r\n{}\r\n", request.value.size(), request.value);
    REQUIRE(client_.Send(text));
  }
  std::optional<std::string> Take(const Request& request) override {
    if (IsWrite(request)) {
      CHECK(client_.ReceiveText(5) == "+OK\r\n");
      return "";
    }
    if (!IsRead(request)) {
      // It is known whether the key was there.
      CHECK(client_.ReceiveText(4) == (request.found.has_value() ? ":1\r\n" : ":0\r\n"));
      return "";
    }
    const std::string head = client_.ReceiveText(2);
    if (head == "$-") {
      CHECK(client_.ReceiveText(3) == "1\r\n");
      return std::nullopt;
    }
    CHECK(head == "$8");
    const std::string rest = client_.ReceiveText(kDigits + 4);
    CHECK(rest.substr(0, 2) == "\r\n");
    CHECK(rest.substr(kDigits + 2) == "\r\n");
    return rest.substr(2, kDigits);
  }

 private:
  WireClient client_;
};

class CallClient final : public AnyClient {
 public:
  explicit CallClient(const std::string& address) : client_(address) {}
  ~CallClient() override {
    if (call_ == nullptr) return;
    call_->Cancel();
    call_->Wait();
  }

  void Send(const Request& request) override {
    call_ = IsWrite(request)  ? client_.StartPut(request.key, request.value)
            : IsRead(request) ? client_.StartGet(request.key)
                              : client_.StartDelete(request.key);
  }
  std::optional<std::string> Take(const Request& request) override {
    const GrpcReply reply = call_->Wait();
    CHECK(reply.status == ::grpc::StatusCode::OK);
    if (!reply.success) {
      CHECK(IsRead(request));
      CHECK(reply.code == "5");
      return std::nullopt;
    }
    return reply.value;
  }
  // Calls have no order.
  uint64_t pipeline() const override { return 1; }

 private:
  KvClient client_;
  std::unique_ptr<GrpcCall> call_;
};

class Model {
 public:
  Model(const GrpcFixture& fixture, uint64_t seed) : fixture_(fixture), random_(seed), own_(kClients) {
    for (size_t i = 0; i < kClients; i++) clients_.push_back(Connect(i));
    // So that every reader finds something.
    for (size_t i = 0; i < kSharedKeys; i++) Count(i);
    EndRound();
  }

  void Round() {
    for (size_t i = 0; i < kClients; i++) {
      for (uint64_t left = random_.Uniform(clients_[i]->pipeline() + 1); left > 0; left--) Ask(i);
    }
    EndRound();
    // Some go, at times without their replies; others come for them, of another protocol, for the
    // same keys.
    for (int i = 0; i < 3; i++) {
      const size_t who = random_.Uniform(kClients);
      if (random_.OneIn(2)) clients_[who]->Send({.kind = Kind::kGet, .key = OwnKey(who, 0)});
      clients_[who] = Connect(random_.Uniform(3));
    }
  }

  void CheckAll() {
    for (size_t i = 0; i < kClients; i++) {
      for (uint64_t key = 0; key < kOwnKeys; key++) {
        Send(i, {.kind = Kind::kGet, .key = OwnKey(i, key), .found = own_[i][key]});
        EndRound();
      }
    }
    for (const SharedKey& key : shared_) CHECK(key.seen <= key.acknowledged);
  }

  uint64_t replies() const { return replies_; }

 private:
  std::unique_ptr<AnyClient> Connect(size_t protocol) const {
    if (protocol % 3 == 0) return std::make_unique<FrameClient>(fixture_.server->Address());
    if (protocol % 3 == 1) return std::make_unique<RedisClient>(fixture_.server->RedisAddress());
    return std::make_unique<CallClient>(fixture_.address());
  }

  static std::string OwnKey(size_t client, uint64_t key) { return fmt::format("own/{}/{}", client, key); }
  static std::string SharedName(size_t key) { return fmt::format("shared/{}", key); }

  void Send(size_t client, Request request) {
    clients_[client]->Send(request);
    under_way_.push_back({client, std::move(request)});
  }

  // The client of the same number is the only one that writes it.
  void Count(size_t key) {
    const std::string value = fmt::format("{:08}", ++shared_[key].begun);
    Send(key, {.kind = Kind::kCount, .key = SharedName(key), .value = value, .shared = key});
  }

  void Ask(size_t client) {
    const uint64_t what = random_.Uniform(10);
    if (what < 3) {
      const size_t key = random_.Uniform(kSharedKeys);
      return Send(client, {.kind = Kind::kRead,
                           .key = SharedName(key),
                           .shared = key,
                           .least = std::max(shared_[key].acknowledged, shared_[key].seen)});
    }
    if (client < kSharedKeys && what < 6) return Count(client);
    const uint64_t number = random_.Uniform(kOwnKeys);
    std::optional<std::string>& value = own_[client][number];
    const std::string key = OwnKey(client, number);
    if (what < 7) return Send(client, {.kind = Kind::kGet, .key = key, .found = value});
    if (what < 8) {
      Send(client, {.kind = Kind::kDelete, .key = key, .found = value});
      value.reset();
      return;
    }
    value = fmt::format("{:08}", random_.Uniform(100'000'000));
    Send(client, {.kind = Kind::kPut, .key = key, .value = *value});
  }

  // Takes all replies. What is read lies between what was acknowledged, or seen, before the round
  // and what was begun by its end.
  void EndRound() {
    for (const auto& [client, request] : under_way_) {
      INFO("client " << client << ", " << request.key);
      const std::optional<std::string> found = clients_[client]->Take(request);
      replies_++;
      if (request.kind == Kind::kGet) CHECK(found == request.found);
      if (request.kind == Kind::kCount) shared_[request.shared].acknowledged++;
      if (request.kind != Kind::kRead) continue;
      uint64_t number = 0;
      REQUIRE(found.has_value());
      REQUIRE(absl::SimpleAtoi(*found, &number));
      SharedKey& shared = shared_[request.shared];
      CHECK(number >= request.least);
      CHECK(number <= shared.begun);
      shared.seen = std::max(shared.seen, number);
    }
    under_way_.clear();
  }

  const GrpcFixture& fixture_;
  base::Random random_;
  std::vector<std::array<std::optional<std::string>, kOwnKeys>> own_;
  std::array<SharedKey, kSharedKeys> shared_;
  std::vector<std::unique_ptr<AnyClient>> clients_;
  std::vector<std::pair<size_t, Request>> under_way_;
  uint64_t replies_ = 0;
};

}  // namespace

TEST_CASE("two hundred clients of three protocols see one store, each what it wrote and all what was acknowledged") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.redis_listen = "127.0.0.1:0";
  GrpcFixture fixture(options);
  Model model(fixture, 2026 + static_cast<uint64_t>(options.loops));
  for (int round = 0; round < kRounds; round++) model.Round();
  model.CheckAll();
  CHECK(model.replies() > 10'000);
  CHECK(GrpcFixture::Eventually([&] { return fixture.server->Stats().in_flight == 0; }));
  const ServerStats stats = fixture.server->Stats();
  CHECK(stats.connections_evicted == 0);
  CHECK(stats.hook_failures == 0);
}

}  // namespace bandb::test
