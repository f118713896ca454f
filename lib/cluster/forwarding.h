// Forwarding: writes that this node passes on to the leader.
//
// Each goes under a session, the client's or one of the node's own, and is sent again until it is
// seen applied here: to the next leader, if there is another, and to the same one if nothing was
// heard. What is done twice is done once, and its result comes with each copy. So nothing but time,
// the end of the node and a state that jumps over the results leaves the fate of a write unknown.
// The node's own sessions are opened in the same way, under a nonce, and the log gives their ids.
#ifndef BANDB_CLUSTER_FORWARDING_H_
#define BANDB_CLUSTER_FORWARDING_H_

#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/random.h"
#include "cluster/client_write.h"
#include "cluster/proposals.h"
#include "cluster/sessions.h"

namespace bandb::cluster {

// Thread safety: the node's thread.
class Forwarding {
 public:
  // How long nothing is heard of a write before it is sent again; and for each KiB of it, which
  // takes its time, and room in the log each time.
  static constexpr int64_t kRepeatNanos = 500'000'000;
  static constexpr int64_t kRepeatNanosPerKib = 1'000'000;

  explicit Forwarding(const base::Random& random) : random_(random) {}

  // What is to be sent to the leader now, in its order: writes that wait, as far as the window of
  // the session lets them go, and those that are to be repeated. At most `bytes_max`, but one. The
  // views are valid until the next call.
  std::vector<Command> Take(Proposals* waiting, int64_t now_nanos, uint64_t bytes_max);
  // What Take has given did not get away: it is due again before long.
  void NotSent(const std::vector<Command>& commands, int64_t now_nanos);
  // Another node leads, or what was sent to it may be lost: all that is under way is to be
  // sent again.
  void RepeatAll();
  // A command was applied here. Returns writes that were certainly not done.
  std::vector<ClientWritePtr> Applied(const CommandResult& result);
  // The leader has not taken a copy, one of an earlier attempt under the same number perhaps: then
  // nobody is told. True if the node has no session for that: what waits for
  // one was passed on to nobody.
  bool Refused(uint64_t session, uint64_t number, const absl::Status& status);
  // The state jumped: results may have been missed.
  void Skipped();

  // Ends those past their deadline with kUnknown.
  void Expire(int64_t now_nanos);
  // Ends all with kUnknown, which says `why`.
  void GiveUp(std::string_view why);

  bool empty() const { return flights_.empty(); }

 private:
  using Key = std::pair<uint64_t, uint64_t>;  // session, or nonce, and number
  struct Flight {
    // Several if clients repeat a number of a session of their own; none of the opening of a
    // session.
    std::vector<ClientWritePtr> writes;
    int64_t again_nanos = 0;
    bool due = true;
    bool own = false;     // under a session of the node
    uint32_t copies = 0;  // that may have reached somebody
    bool skipped = false;
  };
  enum class State : uint8_t { kNone, kOpening, kOpen };

  // Under which number the next write goes; false if it has to wait.
  bool NextKey(const ClientWrite& write, int64_t now_nanos, Key* key);
  void OpenSession();
  // What has ended of a client's session, which may repeat a number.
  struct Ended {
    uint64_t highest = 0;
    uint64_t numbers = 0;  // bit i: highest - i; what is below is taken to be among them
    bool closed = false;   // that is, kCloseNumber
    uint64_t noted = 0;
  };

  // A flight has ended, of which copies may still be on their way.
  void NoteEnded(const Key& key, const Flight& flight);
  void ForgetEnded(uint64_t session);
  // Whether a refusal under this key may be of an earlier flight.
  bool MayHaveEnded(const Key& key) const;
  void Opened(const CommandResult& result);
  std::vector<ClientWritePtr> SessionLost(const CommandResult& result, Flight flight);

  base::Random random_;
  State state_ = State::kNone;
  uint64_t nonce_ = 0;  // of the opening that was tried last
  uint64_t session_ = kNoSession;
  uint64_t last_number_ = 0;
  int64_t opened_nanos_ = -kRepeatNanos;  // when it was tried last
  std::map<Key, Flight> flights_;
  // By session of a client, as long as there is one. No more than there may be sessions: what was
  // noted least recently goes, and of sessions up to `forgotten_session_` that are not among these
  // any number may have ended.
  std::map<uint64_t, Ended> ended_;
  std::map<uint64_t, uint64_t> ended_by_noted_;  // session
  uint64_t notes_ = 0;
  uint64_t forgotten_session_ = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_FORWARDING_H_
