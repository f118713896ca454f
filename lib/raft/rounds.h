// LeadershipRounds: proof, again and again, that this node still led at a certain moment.
//
// A round is a number that the leader sends to all voters and that they send back. Once a quorum
// has answered a round, no other leader had been elected when it began: each of them would have
// refused otherwise. One mechanism serves three needs: reads wait for a round that began after they
// came; check-quorum counts the time since the last proved round began; a lease runs from there
// too. It is the time of sending that counts, since an answer may travel for long.
//
// Invariants: numbers are never used twice by one leader in one term; the proved round only grows.
#ifndef BANDB_RAFT_ROUNDS_H_
#define BANDB_RAFT_ROUNDS_H_

#include <cstdint>

#include "base/assert.h"
#include "raft/ring.h"
#include "raft/types/ids.h"

namespace bandb::raft {

class LeadershipRounds {
 public:
  // Leadership begins. Nothing is proved yet.
  void Reset(Nanos now) {
    current_ = proved_ = 0;
    proved_at_ = now;
    began_.clear();
  }
  uint64_t Begin(Nanos now) {
    began_.push_back({++current_, now});
    return current_;
  }
  // A quorum has answered all rounds up to `round`.
  void Prove(uint64_t round) {
    BANDB_ASSERT(round <= current_);
    while (!began_.empty() && began_.front().number <= round) {
      proved_ = began_.front().number;
      proved_at_ = began_.front().at;
      began_.pop_front();
    }
  }

  uint64_t current() const { return current_; }
  // The latest proved round; 0 if there is none.
  uint64_t proved() const { return proved_; }
  // When the latest proved round began; the beginning of leadership if there is none.
  Nanos proved_at() const { return proved_at_; }

 private:
  struct Round {
    uint64_t number = 0;
    Nanos at = 0;
  };
  uint64_t current_ = 0;
  uint64_t proved_ = 0;
  Nanos proved_at_ = 0;
  Ring<Round> began_;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_ROUNDS_H_
