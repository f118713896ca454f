// Sessions: which commands of whom were done already, so that one which is sent again is not done
// again.
//
// A session has an id, drawn by who opens it, and numbers its commands from 1. Of each session are
// kept the highest number that was seen, and of that and the 63 numbers below it, its window, which
// were done and how they ended. So a command may come twice, and commands may overtake each other
// within the window:
//
//   * a number of the window that was done: a duplicate, answered with how it ended the first time;
//   * any other number of the window, or one above it: done, and the window ends there;
//   * a number below the window: refused, for nobody knows any more.
//
// Number 0 opens the session, and kCloseNumber closes it; both do nothing the second time.
//
// The table is replicated: it is a function of the log alone, and lies in space 0 of the state
// machine, where each entry writes what it changes, so that it is durable with the entry. All that
// decides is what is stored; times are commit times. A session that was idle for an hour is gone,
// though it may take up room until a later entry removes it. When so many are open that no more may
// be, the one that was idle for longest makes room, if it was for a minute.
//
//   key    := "session" id:u64 big-endian
//   value  := version:u8 (1) last_ms:varint highest:varint seen:u64 aborted:u64
//
//   Bit i of `seen`: number highest - i was done; of `aborted`: a condition of it did not hold.
#ifndef BANDB_CLUSTER_SESSIONS_H_
#define BANDB_CLUSTER_SESSIONS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bandb/iterator.h"
#include "cluster/entry_payload.h"

namespace bandb::cluster {

inline constexpr size_t kSessionsMax = 10'000;
inline constexpr uint64_t kSessionWindow = 64;
inline constexpr uint64_t kSessionIdleMs = 3'600'000;
// How long the one that makes room for another was idle at least.
inline constexpr uint64_t kSessionIdleWhenFullMs = 60'000;

inline constexpr uint64_t kOpenNumber = 0;
inline constexpr uint64_t kCloseNumber = UINT64_MAX;

// What became of one command of an entry.
struct CommandResult {
  uint64_t session = kNoSession;
  uint64_t number = 0;
  // OK, or of a command that has done nothing: kAborted a condition does not hold;
  // kFailedPrecondition the session is unknown or expired, or the number is too old;
  // kResourceExhausted too many sessions are open; kInvalidArgument opens or closes and has
  // operations or conditions besides.
  absl::Status status{};
  // It was done before, and this is how it ended then.
  bool duplicate = false;
};

// Thread safety: one thread at a time.
class Sessions {
 public:
  Sessions() = default;
  // Reads what `system`, over space 0, holds of sessions. Errors: kDataLoss malformed; what the
  // iterator says.
  static absl::StatusOr<Sessions> Load(Iterator* system);

  // One entry: Begin, then Admit for each of its commands, then Finish, or Undo if it is not
  // applied after all. `now_ms`: its commit time, no earlier than that of the one before.
  void Begin(uint64_t now_ms);
  // Whether the operations of the next command are to be done, if its conditions hold.
  bool Admit(const Command& command);
  // What Finish answers, at most.
  uint64_t OperationsMax() const { return before_.size(); }
  uint64_t BytesMax() const;
  // `outcomes`: of each command, OK or kAborted; of those that were not admitted it says nothing.
  // Replaces `*results`. The encoded operations on space 0 that keep what has changed.
  std::string Finish(absl::Span<const absl::Status> outcomes, std::vector<CommandResult>* results);
  // As if the entry had never come.
  void Undo();

  // Those that are stored, some of which may have expired.
  size_t size() const { return by_id_.size(); }

 private:
  struct Session {
    uint64_t last_ms = 0;  // of the last command
    uint64_t highest = 0;
    uint64_t seen = 0;
    uint64_t aborted = 0;

    friend bool operator==(const Session&, const Session&) = default;
  };
  enum class Verdict : uint8_t { kDo, kRepeated, kAnswered };
  struct Judged {
    Verdict verdict = Verdict::kDo;
    uint64_t session = kNoSession;
    uint64_t number = 0;
    size_t first = 0;  // of one that is repeated within the entry: which command it repeats
    bool duplicate = false;
    absl::Status status{};
  };

  static std::string KeyOf(uint64_t id);
  static std::string ValueOf(const Session& session);
  static bool Decode(std::string_view value, Session* session);

  uint64_t IdleMs(uint64_t last_ms) const { return now_ms_ - std::min(now_ms_, last_ms); }
  // The session, unless it has expired. Keeps what it was before the entry.
  Session* Touch(uint64_t id);
  // Puts, replaces or removes it; keeps what it was before the entry.
  void Set(uint64_t id, const std::optional<Session>& session);
  void Put(uint64_t id, const std::optional<Session>& session);
  void EvictExpired();
  // Room for one more; false if there is none.
  bool MakeRoom();

  Judged Open(const Command& command);
  Judged Close(const Command& command);
  Judged Number(const Command& command);
  // The command of this entry with this number that is done, if it is one of this entry.
  std::optional<size_t> FindDone(uint64_t session, uint64_t number);
  void Record(const Judged& judged, bool aborted);

  std::map<uint64_t, Session> by_id_;
  std::set<std::pair<uint64_t, uint64_t>> by_time_;  // last_ms, id

  // Of the present entry.
  uint64_t now_ms_ = 0;
  bool evicted_ = false;
  std::vector<Judged> judged_;
  // What it has changed, as it was before.
  std::map<uint64_t, std::optional<Session>> before_;
  // Which of the first `indexed_` commands are done, by session and number. Made when it is needed.
  std::map<std::pair<uint64_t, uint64_t>, size_t> done_here_;
  size_t indexed_ = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_SESSIONS_H_
