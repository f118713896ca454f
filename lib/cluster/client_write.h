// ClientWrite: one write of a client on its way through a node, and the caller that wants to know
// its end.
//
// It is queued, then passed on: proposed here or sent to the leader. Until then the caller that
// waits for it may withdraw it, and nothing was done; after that its fate is the log's.
#ifndef BANDB_CLUSTER_CLIENT_WRITE_H_
#define BANDB_CLUSTER_CLIENT_WRITE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/assert.h"
#include "base/executor.h"
#include "cluster/entry_payload.h"

namespace bandb::cluster {

struct WriteContent {
  // Of the client's own session, if it has one; a nonce, if it opens one.
  uint64_t session = kNoSession;
  uint64_t number = 0;
  // As of a batch that was not committed.
  std::string conditions{};
  std::string operations{};
  CommandKind kind = CommandKind::kWrite;
  // After that nobody wants to know; of the monotonic clock.
  int64_t deadline_nanos = base::kForever;
  // Of a peer that forwarded it: its end is being proposed, for the peer sees it applied itself.
  bool forwarded = false;
  // Not to wait for a leader or room: kUnavailable instead.
  bool impatient = false;
};

// Shared by the caller that waits and the node. Thread safety: Withdraw from any thread; the rest
// on the node's.
class ClientWrite {
 public:
  // Run once, unless the write is withdrawn; on the node's thread. It does not call back.
  using Done = absl::AnyInvocable<void(absl::Status) &&>;

  ClientWrite(WriteContent content, Done done) : content_(std::move(content)), done_(std::move(done)) {}

  const WriteContent& content() const { return content_; }
  Command command() const {
    return {.session = content_.session,
            .number = content_.number,
            .conditions = content_.conditions,
            .operations = content_.operations,
            .kind = content_.kind};
  }
  uint64_t bytes() const { return content_.conditions.size() + content_.operations.size() + kOverheadBytes; }

  // It is about to be passed on. False: it was withdrawn.
  bool PassOn() {
    State queued = State::kQueued;
    return state_.compare_exchange_strong(queued, State::kPassedOn) || queued == State::kPassedOn;
  }
  // It is certain that it was not done.
  void TakeBack() {
    BANDB_ASSERT(state_.load() == State::kPassedOn);
    state_.store(State::kQueued);
  }
  bool withdrawn() const { return state_.load() == State::kWithdrawn; }
  bool ended() const { return state_.load() == State::kDone; }
  // Nothing, if it has ended; of one that was withdrawn nobody wants to know. `opened`: the id of
  // the session that it has opened.
  void Complete(absl::Status status, uint64_t opened = kNoSession) {
    const State before = state_.exchange(State::kDone);
    if (before == State::kWithdrawn || before == State::kDone) return;
    BANDB_ASSERT(done_ != nullptr);
    opened_ = opened;
    std::move(done_)(std::move(status));
    done_ = nullptr;
  }

  // For `done`, and the caller that was told by it.
  uint64_t opened() const { return opened_; }

  // True if it was not passed on, and will not be: then its end is not told.
  bool Withdraw() {
    State queued = State::kQueued;
    return state_.compare_exchange_strong(queued, State::kWithdrawn);
  }

 private:
  enum class State : uint8_t { kQueued, kPassedOn, kWithdrawn, kDone };
  // What one costs besides its bytes.
  static constexpr uint64_t kOverheadBytes = 512;

  const WriteContent content_;
  std::atomic<State> state_{State::kQueued};
  Done done_;
  uint64_t opened_ = kNoSession;
};

using ClientWritePtr = std::shared_ptr<ClientWrite>;

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_CLIENT_WRITE_H_
