// Sessions: which commands of which client were done already, so that one which is sent again is
// not done again.
//
// A session has an id, which the log decides, and numbers its commands from 1. Of each session are
// kept the highest number that was seen, and of that and the 63 numbers below it, its window, which
// were done and how they ended. So a command may come twice, and commands may overtake each other
// within the window:
//
//   * a number of the window that was done: a duplicate, answered with how it ended the first time;
//   * any other number of the window, or one above it: done, and the window ends there;
//   * a number below the window: refused, for nobody knows any more.
//
// Number 0 opens a session of a client, kOpenNodeNumber one of a node, for what it forwards. In
// place of an id such a command has a nonce, drawn by its sender, so that an opening that is sent
// again finds the session that it has opened, as long as there is one. kCloseNumber closes it, and
// does nothing the second time.
//
// The id is made of the index of the entry that opens the session and of how many it has opened
// before. So no id comes twice in a log, and a command whose session is gone is refused for good,
// however late it comes, and even if the opening came again before it.
//
// The table is replicated: it is a function of the log alone, and lies in space 0 of the state
// machine, where each entry writes what it changes, so that it is durable with the entry. All that
// decides is what is stored; times are commit times. A session that was idle for an hour is gone,
// though it may take up room until a later entry removes it. When so many are open that no more may
// be, the one that was idle for longest makes room, if it was for a minute. Nodes have places of
// their own, so that clients never keep them from forwarding; of those the one that was idle for
// longest always makes room, for a node that has lost its session opens another by itself.
//
//   key    := "session" id:u64 big-endian
//   value  := version:u8 (2) kind:u8 nonce:u64 last_ms:varint highest:varint seen:u64 aborted:u64
//   kind   := 0 of a client | 1 of a node
//
//   The id is index << 14 | how many sessions the entry has opened before.
//   Bit i of `seen`: number highest - i was done; of `aborted`: a condition of it did not hold.
#ifndef BANDB_CLUSTER_SESSIONS_H_
#define BANDB_CLUSTER_SESSIONS_H_

#include <algorithm>
#include <array>
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

inline constexpr size_t kSessionsMax = 10'000;   // of clients
inline constexpr size_t kNodeSessionsMax = 256;  // besides
inline constexpr uint64_t kSessionWindow = 64;
inline constexpr uint64_t kSessionIdleMs = 3'600'000;
// How long the one that makes room for another was idle at least.
inline constexpr uint64_t kSessionIdleWhenFullMs = 60'000;

inline constexpr uint64_t kOpenNumber = 0;
inline constexpr uint64_t kOpenNodeNumber = UINT64_MAX - 1;
inline constexpr uint64_t kCloseNumber = UINT64_MAX;

// Whether the command is one that opens a session; then it has a nonce in place of the session.
constexpr bool Opens(uint64_t number) { return number == kOpenNumber || number == kOpenNodeNumber; }
// What the commands of a session may be numbered.
constexpr bool IsNumber(uint64_t number) { return !Opens(number) && number != kCloseNumber; }

// What became of one command of an entry.
struct CommandResult {
  uint64_t session = kNoSession;  // as in the command
  uint64_t number = 0;
  // OK, or of a command that has done nothing: kAborted a condition does not hold;
  // kFailedPrecondition the session is unknown or expired, or the number is too old;
  // kResourceExhausted too many sessions are open; kInvalidArgument opens or closes and has
  // operations or conditions besides.
  absl::Status status{};
  // It was done before, and this is how it ended then.
  bool duplicate = false;
  // The id of the session that it has opened, now or before.
  uint64_t opened = kNoSession;
  // It has done nothing, since the session is unknown or expired, or the number is too old.
  bool session_lost = false;
  // Of a command that opens none: after the entry there is no such session, nor will there be one
  // again.
  bool session_gone = false;
};

// Thread safety: one thread at a time.
class Sessions {
 public:
  Sessions() = default;
  // Reads what `system`, over space 0, holds of sessions. Errors: kDataLoss malformed; what the
  // iterator says.
  static absl::StatusOr<Sessions> Load(Iterator* system);

  // One entry: Begin, then Admit for each of its commands, then Finish, or Undo if it is not
  // applied after all. `index`: its index, above that of the one before. `now_ms`: its commit time,
  // no earlier than that of the one before. Sessions of entries that are still to come go: they
  // are of another log.
  void Begin(uint64_t index, uint64_t now_ms);
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
  enum class Kind : uint8_t { kClient = 0, kNode = 1 };
  static constexpr size_t kKinds = 2;
  // So many may an entry open, more than there may be; and its index is below 2^50.
  static constexpr int kIdPlaceBits = 14;
  static_assert(kSessionsMax + kNodeSessionsMax < size_t{1} << kIdPlaceBits);

  struct Session {
    Kind kind = Kind::kClient;
    uint64_t nonce = 0;
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
    uint64_t opened = kNoSession;
  };
  using ByTime = std::set<std::pair<uint64_t, uint64_t>>;  // last_ms, id

  static constexpr size_t MaxOf(Kind kind) { return kind == Kind::kNode ? kNodeSessionsMax : kSessionsMax; }
  static std::string KeyOf(uint64_t id);
  static std::string ValueOf(const Session& session);
  static bool Decode(std::string_view value, Session* session);

  ByTime& TimesOf(Kind kind) { return by_time_[static_cast<size_t>(kind)]; }
  uint64_t IdleMs(uint64_t last_ms) const { return now_ms_ - std::min(now_ms_, last_ms); }
  // The session, unless it has expired. Keeps what it was before the entry.
  Session* Touch(uint64_t id);
  // Puts, replaces or removes it; keeps what it was before the entry.
  void Set(uint64_t id, const std::optional<Session>& session);
  void Put(uint64_t id, const std::optional<Session>& session);
  void EvictExpired();
  void EvictForeign();
  // Room for one more of the kind; false if there is none.
  bool MakeRoom(Kind kind);
  // The next id; none if the entry has opened all that it may.
  std::optional<uint64_t> NextId();

  Judged Open(const Command& command);
  Judged Close(const Command& command);
  Judged Number(const Command& command);
  // The command of this entry with this number that is done, if it is one of this entry.
  std::optional<size_t> FindDone(uint64_t session, uint64_t number);
  void Record(const Judged& judged, bool aborted);

  std::map<uint64_t, Session> by_id_;
  std::map<uint64_t, uint64_t> by_nonce_;  // id
  std::array<ByTime, kKinds> by_time_;     // by kind

  // Of the present entry.
  uint64_t index_ = 0;
  uint64_t opened_ = 0;
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
