// A server between its network and its clients, as the fuzz targets over connections run one.
#ifndef BANDB_TEST_FUZZ_FUZZ_SERVER_H_
#define BANDB_TEST_FUZZ_FUZZ_SERVER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "fuzz/fuzz_network.h"
#include "fuzz/fuzz_program.h"
#include "net/stream_world.h"
#include "server/loop_server.h"
#include "server/redis_command.h"
#include "support/manual_clock.h"
#include "support/memory_store.h"
#include "support/step_executor.h"

namespace bandb::test {

// What a program does to it, and what must be so in the end: every client that is there is
// answered, and nothing is left of any of them. `Client` speaks the protocol.
template <class Client>
class FuzzServer {
 public:
  virtual ~FuzzServer() = default;

  void Run(Program program) {
    for (size_t i = 0; i < kClients; i++) Connect(i);
    Turn(20);
    for (size_t step = 0; step < kStepsMax && !program.empty(); step++) Step(&program);
    store_.SetHolding(false);
    for (auto& client : clients_) client->Finish();
    for (int turns = 0; turns < 20000 && !Answered(); turns++) {
      for (auto& client : clients_) client->Flush(0);
      Turn(1);
    }
    BANDB_ASSERT(Answered());
    for (auto& client : clients_) client->Vanish();
    bool ended = false;
    unit_->End([&ended] { ended = true; });
    for (int turns = 0; turns < 20000 && !ended; turns++) Turn(1);
    BANDB_ASSERT(ended);
    BANDB_ASSERT(quota_.connections == 0);
    BANDB_ASSERT(quota_.memory_bytes == 0);
    ServerStats stats;
    unit_->AddTo(&stats);
    BANDB_ASSERT(stats.in_flight == 0);
  }

 protected:
  FuzzServer(const ServerOptions& options, ServerHooks hooks, uint8_t choice, uint8_t seed)
      : options_(options),
        hooks_(std::move(hooks)),
        network_((choice & 64) != 0, seed),
        executor_(&clock_, seed),
        store_(&executor_),
        server_loop_(network_.MakeLoop()),
        client_loop_(network_.MakeLoop()) {}

  // `redis`: environment_, where that protocol is spoken.
  void Start(server::RedisEnvironment* redis) {
    unit_ = std::make_unique<server::LoopServer>(server::LoopServer::Parts{.loop = server_loop_,
                                                                           .store = &store_,
                                                                           .hooks = &hooks_,
                                                                           .executor = &executor_,
                                                                           .readers = &executor_,
                                                                           .quota = &quota_,
                                                                           .number = 0,
                                                                           .clock = &clock_,
                                                                           .redis = redis,
                                                                           .stats = [] { return std::string(); }},
                                                 options_);
    const std::string address = network_.Address();
    BANDB_ASSERT((redis == nullptr ? unit_->Listen(address) : unit_->ListenForRedis(address)).ok());
  }

  virtual std::unique_ptr<Client> NewClient(int number) = 0;
  // What a client does that its protocol alone knows; `what` is 8 or more.
  virtual void Do(int what, Client* client, Program* program) = 0;

  const ServerOptions options_;
  const ServerHooks hooks_;
  Network network_;
  ManualClock clock_;
  StepExecutor executor_;
  MemoryStore store_;
  net::Quota quota_;
  server::RedisEnvironment environment_;
  const std::shared_ptr<base::EventLoop> server_loop_;
  const std::unique_ptr<base::EventLoop> client_loop_;
  std::unique_ptr<server::LoopServer> unit_;

 private:
  static constexpr size_t kClients = 3;
  static constexpr size_t kStepsMax = 80;

  void Connect(size_t at) {
    if (clients_.size() <= at) clients_.resize(at + 1);
    clients_[at] = NewClient(connects_++);
  }
  void Turn(int steps) {
    for (int i = 0; i < steps; i++) {
      network_.Turn(1);
      if (executor_.idle()) continue;
      executor_.RunOne(0);
    }
    for (auto& client : clients_) client->Check();
  }
  bool Answered() const {
    return std::all_of(clients_.begin(), clients_.end(),
                       [](const auto& c) { return c->gone() || !c->tracked() || c->unanswered() == 0; });
  }
  void Step(Program* program) {
    const uint8_t byte = program->Byte();
    const size_t at = byte % kClients;
    Client& client = *clients_[at];
    switch (const int what = byte / static_cast<int>(kClients) % 16) {
      case 0:
        return client.TooLong(program->Byte());
      case 1:
        return client.Noise(program->Take(program->Byte() % 32));
      case 2:
        return client.StopReading();
      case 3:
        client.Flush(0);
        client.CloseWrite();
        return Turn(30);
      case 4:
        return Connect(at);
      case 5:
        return store_.SetHolding(program->Byte() % 2 == 0);
      case 6:
        client.Flush(program->Byte());
        return Turn(program->Byte() % 64);
      case 7:
        client.Flush(program->Byte() % 16);
        return Turn(10);
      default:
        return Do(what, &client, program);
    }
  }

  std::vector<std::unique_ptr<Client>> clients_;
  int connects_ = 0;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_FUZZ_FUZZ_SERVER_H_
