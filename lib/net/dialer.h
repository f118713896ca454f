// Keeps one outgoing link to an address: looks the name up, connects, and connects again.
//
//   resting ──► resolving ──► linking ──► up
//      ▲            │            │         │
//      └────────────┴────────────┴─────────┘   the rest is longer after each failure
//
// A name is looked up on the executor, never on the loop, once for each attempt; there is one
// lookup at a time, however long it hangs, and what it finds too late serves the next attempt.
// The addresses found are tried in order. The rest before an attempt doubles with each failure and
// is drawn from its upper half, so that peers which fall together do not come back together. A link
// counts as a success only once it was up for a while: a peer that accepts and closes at once is
// dialed no more often than one that is gone.
//
// Invariants: at most one link, one lookup and one timer. An attempt is bounded by the timeouts,
// the log by a budget: the first failure, each new reason, and then each doubling of the failures.
#ifndef BANDB_NET_DIALER_H_
#define BANDB_NET_DIALER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/event_loop.h"
#include "base/executor.h"
#include "base/logger.h"
#include "base/random.h"
#include "net/frame_link.h"
#include "net/link_codec.h"
#include "net/log_budget.h"
#include "net/resolver.h"

namespace bandb::net {

// Told of the links of one dialer, on the loop's thread. OnHello and OnUp begin each; OnDown ends
// one that was up. Inside any of these but Hello the dialer may be stopped or destroyed.
class DialerHandler : public LinkHandler {
 public:
  // What the next peer is told.
  virtual std::string Hello() = 0;
  // An attempt ended before the link was up. The next follows by itself.
  virtual void OnAttemptFailed(const LinkEnd& end) = 0;

 protected:
  ~DialerHandler() = default;
};

struct DialerOptions {
  LinkOptions link;
  int64_t resolve_timeout_nanos = int64_t{5} * 1000000000;
  int64_t rest_nanos_min = int64_t{50} * 1000000;
  int64_t rest_nanos_max = int64_t{5} * 1000000000;
  int64_t stable_nanos = int64_t{5} * 1000000000;  // up for so long, a link was a success
  size_t addresses_max = 8;                        // of one name that are tried
};

// Thread safety: the loop's thread. Lifetime: what it borrows must outlive it.
class Dialer final : private LinkHandler {
 public:
  struct Parts {
    // Shared with lookups, which may end long after the dialer.
    std::shared_ptr<base::EventLoop> loop;
    std::shared_ptr<Resolver> resolver;
    LinkHost* host = nullptr;  // of the loop
    // A lookup blocks a thread of it for as long as the system's resolver pleases.
    base::Executor* executor = nullptr;
    base::Logger* logger = nullptr;
    const LinkProtocol* protocol = nullptr;
  };

  // `random` is the dialer's own, `name` what the log calls the peer.
  Dialer(const Parts& parts, const DialerOptions& options, base::Random random, std::string name,
         DialerHandler* handler);
  // Without a word to anybody.
  ~Dialer();
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;

  // Dials HOST:PORT from now on: at once, with what was dialed before given up.
  void Start(const std::string& address);
  // At once; the handler hears no more. The peer of a link is told the reason. Start begins again.
  void Stop(std::string_view reason);

  // Null unless it is up.
  FrameLink* link() const { return up_ ? link_.get() : nullptr; }
  const std::string& address() const { return address_; }
  // Since the last success.
  uint64_t failures() const { return failures_; }
  // The last, of an attempt or of a link; none yet: no value.
  const std::optional<LinkEnd>& last_end() const { return last_end_; }

 private:
  struct Lookup;

  absl::Status OnHello(std::string_view hello) override { return handler_->OnHello(hello); }
  void OnUp() override;
  void OnFrame(const Frame& frame) override { handler_->OnFrame(frame); }
  void OnWritable() override { handler_->OnWritable(); }
  void OnDown(const LinkEnd& end) override;

  void GiveUp();
  void RestThen(int64_t nanos);
  void Attempt();
  void AskResolver();
  void TakeAddresses(absl::StatusOr<AddressList> found);
  void TryNextAddress();
  void Fail(const LinkEnd& end);
  int64_t RestNanos();
  bool WorthALine(const LinkEnd& end) const;
  void LogFailure(const LinkEnd& end, bool was_up);

  const Parts parts_;
  const DialerOptions options_;
  base::Random random_;
  const std::string name_;
  DialerHandler* const handler_;

  std::string address_;
  bool running_ = false;
  bool up_ = false;
  int64_t up_since_nanos_ = 0;
  std::unique_ptr<FrameLink> link_;
  AddressList addresses_;  // of this attempt
  size_t next_address_ = 0;
  base::TimerId timer_ = base::kNoTimer;
  // The lookup that runs, shared with it: one that outlives the dialer finds it forgotten.
  std::shared_ptr<Lookup> lookup_;
  bool awaiting_lookup_ = false;
  std::optional<absl::StatusOr<AddressList>> late_answer_;

  uint64_t failures_ = 0;
  std::optional<LinkEnd> last_end_;
  LogBudget log_budget_;
  std::string logged_reason_;
  bool logged_down_ = false;  // the last line says that there is no link
};

}  // namespace bandb::net

#endif  // BANDB_NET_DIALER_H_
