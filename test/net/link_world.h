// Frame links between two loops, on sockets or in memory, under a clock of the test's.
#ifndef BANDB_TEST_NET_LINK_WORLD_H_
#define BANDB_TEST_NET_LINK_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/frame_link.h"
#include "net/length_codec.h"
#include "net/link_host.h"
#include "net/resolver.h"
#include "net/stream_world.h"
#include "support/manual_clock.h"
#include "support/memory_logger.h"
#include "support/sim_streams.h"
#include "support/step_executor.h"

namespace bandb::test {

inline constexpr int64_t kMillis = 1'000'000;
inline constexpr int64_t kSecond = 1000 * kMillis;

// What happened to a link, in order.
class RecordingLink final : public net::LinkHandler {
 public:
  absl::Status OnHello(std::string_view hello) override;
  void OnUp() override { Note("up"); }
  void OnFrame(const net::Frame& frame) override;
  void OnWritable() override { Note("writable"); }
  void OnDown(const net::LinkEnd& end) override;

  bool down() const { return !ends.empty(); }
  bool Saw(std::string_view event) const;

  // Of hello, up, frame, writable and down.
  std::vector<std::string> events;
  std::string hello;
  std::vector<std::pair<uint32_t, std::string>> frames;
  std::vector<net::LinkEnd> ends;
  absl::Status verdict;
  // Called after each event was noted.
  std::function<void(std::string_view event)> then;

 private:
  void Note(const std::string& event);
};

// Answers by a table, and counts.
class TableResolver final : public net::Resolver {
 public:
  std::optional<absl::StatusOr<net::AddressList>> ResolveNow(const std::string& address) override;
  absl::StatusOr<net::AddressList> Resolve(const std::string& address) override;

  std::map<std::string, net::AddressList> names;  // those that need a lookup
  std::vector<std::string> lookups;
};

// Two sides, `dialing` and `serving`, each with a loop and a host.
class LinkWorld {
 public:
  // `which`: a world of streams. Sockets go by a clock of the test's.
  explicit LinkWorld(int which, const SimNetworkOptions& sim = {});

  // Runs until `done`; in memory time passes meanwhile, up to a minute. The executor runs, too.
  bool RunUntil(const std::function<bool()>& done);
  // Lets time pass.
  void RunFor(int64_t nanos);
  int64_t now_nanos() { return sockets_ == nullptr ? network_->now_nanos() : clock_.MonotonicNanos(); }
  std::string Anywhere() const { return "127.0.0.1:0"; }
  // Where nobody listens.
  std::string Nowhere();
  // Null on sockets.
  SimNetwork* network() { return network_.get(); }
  void HoldExecutor(bool on) { executor_held_ = on; }

  std::unique_ptr<net::FrameLink> NewLink(net::LinkHost* host, const net::LinkOptions& options, std::string hello,
                                          net::LinkHandler* handler);

 private:
  // What a test says to a link outside a turn leaves at the end of the next.
  void Nudge();

  ManualClock clock_;
  std::unique_ptr<StreamWorld> sockets_;
  std::unique_ptr<SimNetwork> network_;
  bool executor_held_ = false;
  ManualClock executor_clock_;

 public:
  StepExecutor executor;
  MemoryLogger logger;
  const LengthProtocol protocol;
  const std::shared_ptr<base::EventLoop> dialing_loop;
  const std::shared_ptr<base::EventLoop> serving_loop;
  net::LinkHost dialing;
  net::LinkHost serving;
};

// The two ends of one connection, both recorded.
class LinkPair final : private base::AcceptHandler {
 public:
  explicit LinkPair(LinkWorld* world, const net::LinkOptions& dialer_options = {},
                    const net::LinkOptions& acceptor_options = {});
  // Begins to connect.
  void Connect();
  // Connects, and runs until both are up.
  void ConnectUp();

  const std::string& address() const { return listener_->address(); }

  RecordingLink at_dialer;
  RecordingLink at_acceptor;
  std::unique_ptr<net::FrameLink> dialer;
  std::unique_ptr<net::FrameLink> acceptor;  // null until a connection was accepted

 private:
  void OnAcceptable() override;

  LinkWorld* const world_;
  const net::LinkOptions acceptor_options_;
  std::unique_ptr<base::Listener> listener_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_NET_LINK_WORLD_H_
