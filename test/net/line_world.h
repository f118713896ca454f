// BanNet between its loop and its clients, all on one thread, under a protocol that has nothing to
// do with keys and values: lines of text, "ID PAYLOAD\n". After "ID +COUNT\n" come COUNT bytes of
// payload, so that there is a header before it.
#ifndef BANDB_TEST_NET_LINE_WORLD_H_
#define BANDB_TEST_NET_LINE_WORLD_H_

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/acceptor.h"
#include "net/frame_server.h"
#include "net/stream_world.h"
#include "support/catch.h"
#include "support/manual_clock.h"
#include "support/step_executor.h"

namespace bandb::test {

inline constexpr size_t kLineBytesMax = 100;

class LineCodec final : public net::Codec {
 public:
  net::Cut Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) override;
  size_t payload_bytes_max() const override { return kLineBytesMax; }
  void AppendError(uint16_t code, std::string_view message, std::string* to) const override;
  // 100 and the number of the refusal.
  uint16_t CodeOf(net::Refusal refusal) const override;
  std::string_view MessageOf(net::Refusal) const override { return "refused"; }
  std::string_view OkReply() const override { return "ok\n"; }
};

class LineProtocol final : public net::Protocol {
 public:
  std::unique_ptr<net::Codec> NewCodec() const override { return std::make_unique<LineCodec>(); }
};

std::string ErrorLine(net::Refusal refusal);

class FunctionHandler final : public net::Handler {
 public:
  explicit FunctionHandler(std::function<void(net::Call&)> run) : run_(std::move(run)) {}
  void Handle(net::Call& call) override { run_(call); }

 private:
  const std::function<void(net::Call&)> run_;
};

// Frame servers on their loops, which share an address and a quota, and a client.
class LineWorld final : private net::FrameServerObserver {
 public:
  static constexpr uint32_t kEcho = 1;
  static constexpr uint32_t kLater = 2;
  static constexpr uint32_t kHooked = 3;
  static constexpr uint32_t kOnWorker = 4;

  // `which`: a world of streams, or sockets that go by `clock`.
  static constexpr int kStoppedSockets = -10;
  static constexpr int kStoppedPollSockets = -11;
  explicit LineWorld(int which, const net::ServerLimits& limits = {}, int loops = 1);
  ~LineWorld();

  void Connect(RecordingEnd* end);
  // Runs until the client has as many bytes, and gives them.
  std::string Answers(size_t bytes);
  // Workers run, too.
  bool RunUntil(const std::function<bool()>& done);
  // Gives a reply to what kLater was asked.
  absl::Status Complete(const net::Ticket& ticket, std::string_view line);
  net::FrameServer& server(size_t loop = 0) { return *servers_[loop]; }
  // Over all loops.
  uint64_t Sum(net::Counter net::Counters::*counter) const;
  int64_t memory_bytes() const { return quota_.memory_bytes.load(); }
  void Drain(int64_t timeout_nanos, net::DrainCallback done);

  ManualClock clock;
  RecordingEnd client;
  std::vector<net::ConnectionId> connected;
  std::vector<net::ConnectionId> gone;
  std::vector<net::Ticket> tickets;  // of what kLater was asked
  std::vector<std::string> after;
  std::optional<net::HookDecision> refusal;  // what the next connections are told
  size_t later_bytes = 0;                    // what each request of kLater holds, besides its payload
  int evictions = 0;

 private:
  net::HookDecision OnConnect(net::ConnectionId id, std::string_view peer) override;
  void OnDisconnect(net::ConnectionId id) override { gone.push_back(id); }
  void OnTurn() override {}
  void OnEvict(std::string_view, int64_t) override { ++evictions; }

  const std::unique_ptr<StreamWorld> world_;
  std::vector<std::unique_ptr<base::EventLoop>> server_loops_;
  const std::unique_ptr<base::EventLoop> client_loop_;
  StepExecutor executor_;
  const LineProtocol protocol_;
  net::Quota quota_;
  net::Router router_;
  FunctionHandler echo_;
  FunctionHandler later_;
  std::vector<std::unique_ptr<net::FrameServer>> servers_;
  std::unique_ptr<net::Acceptor> acceptor_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_NET_LINE_WORLD_H_
