// Reads, decides, writes: what a command of several steps does to the store, as one.
//
// The body of a transaction runs over a view. What it reads becomes the condition of what it
// writes: nothing of that may have changed when it commits, or the body runs again.
//
// It runs in steps, so that a walk over many keys holds up no thread: where a step has done enough
// the transaction pauses, the body returns, and is called again for the next step. It then skips
// what it has done, and goes on with what it has put by (Remember).
#ifndef BANDB_SERVER_TRANSACTION_H_
#define BANDB_SERVER_TRANSACTION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "bandb/iterator.h"
#include "net/quota.h"
#include "server/commands.h"
#include "server/session.h"

namespace bandb::server {

inline constexpr int64_t kNeverExpires = INT64_MAX;

struct StoredEntry {
  std::string value;
  int64_t expiry_ms = kNeverExpires;
  bool operator==(const StoredEntry&) const = default;
};
// Nothing: there is no such key.
using EntryState = std::optional<StoredEntry>;
using EntryMap = std::map<std::string, EntryState, std::less<>>;

// When a transaction wrote a key, in numbers that count its writes up from 1.
struct WriteTurn {
  uint64_t written = 0;
  uint64_t read = 0;  // how many there were when it last read what it wrote there
};
// What a transaction wrote last of a key, and when it wrote it: perhaps the last time alone.
struct WrittenEntry {
  EntryState state;
  absl::InlinedVector<WriteTurn, 1> turns;
};
using WrittenMap = std::map<std::string, WrittenEntry, std::less<>>;

// What an entry takes in memory, and what a map of them does.
size_t EntryBytes(std::string_view key, const EntryState& state);
size_t BytesOf(const EntryMap& entries);

// Where a transaction reads from.
class EntrySource {
 public:
  virtual ~EntrySource() = default;
  // Errors: kUnavailable it would have to wait, others as the store.
  virtual absl::Status Read(std::string_view key, EntryState* state) = 0;
  // From this key on; null where walking would have to wait. It gives up where it has passed
  // kKeysPerStep entries that show nothing.
  virtual std::unique_ptr<Iterator> Walk(std::string_view begin) = 0;
};

// What a step does is counted in bytes that are copied; to look at a key is worth so many.
inline constexpr uint64_t kWorkPerKey = 256;
inline constexpr uint64_t kKeysPerStep = 50'000;  // some milliseconds' worth
// Of those that are looked up one by one, each of which may wait for a disk.
inline constexpr uint64_t kLookupsPerStep = 1000;

// What a body puts by of a walk between two steps.
class WalkState {
 public:
  virtual ~WalkState() = default;
};

// One run of a body. It holds what it reads and writes, up to a limit, and walks over so many keys
// at most; beyond that it fails, with nothing done. Thread safety: one thread at a time.
class Transaction {
 public:
  static constexpr int64_t kWalkedKeysMax = 10'000'000;

  struct Bounds {
    uint64_t work_max = kWorkPerKey * kKeysPerStep;  // of a step
    uint64_t work_per_lookup = kWorkPerKey;
    // Else what would take more than one step fails with kUnavailable.
    bool may_pause = true;
    // The account that has what this holds; null: none. Where that is full this fails with
    // kUnavailable.
    net::Quota* quota = nullptr;
    int64_t memory_bytes_max = INT64_MAX;
    // Names of keys where they are read, if these differ; null: none does.
    const std::map<std::string, std::string, std::less<>>* stored_names = nullptr;
    // Hooks look at what it writes: it is to keep what CheckReads needs.
    bool is_judged = false;
  };
  // `user`: whose reads are checked; null: everything may be read. What it writes its caller
  // checks.
  Transaction(EntrySource* source, int64_t now_ms, size_t bytes_max, const User* user, const Bounds& bounds)
      : source_(source), now_ms_(now_ms), bytes_max_(bytes_max), user_(user), bounds_(bounds) {}
  Transaction(EntrySource* source, int64_t now_ms, size_t bytes_max, const User* user = nullptr)
      : Transaction(source, now_ms, bytes_max, user, Bounds()) {}
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  int64_t now_ms() const { return now_ms_; }
  // Null: there is none, or `status` tells that it could not be read. Valid until the key is
  // written.
  const StoredEntry* Get(std::string_view key);
  // Under which name the key is read.
  std::string_view StoredName(std::string_view key) const;
  // As Get, by that name, and whatever was written in this transaction.
  const StoredEntry* GetStored(std::string_view name) { return Shown(FindStored(name)); }
  void Put(std::string_view key, std::string value, int64_t expiry_ms = kNeverExpires);
  void Delete(std::string_view key);
  void DeleteAll();

  using Visit = absl::FunctionRef<bool(std::string_view key)>;
  // Calls `visit` for each key from `begin` on, in order, until it answers false. False: it has
  // paused, and the same call in the next step goes on there; or this has failed.
  bool Walk(std::string_view begin, Visit visit) { return WalkPrefix(begin, {}, visit); }
  // Likewise, of keys that begin with `prefix` alone. All of these must be the user's to read.
  bool WalkPrefix(std::string_view begin, std::string_view prefix, Visit visit);
  // As WalkPrefix, but where it would pause it sets `rest` to the key to go on from, and ends.
  void WalkSome(std::string_view begin, std::string_view prefix, Visit visit, std::optional<std::string>* rest);

  // What was put by in an earlier step, or else a new one.
  template <typename State, typename... Arguments>
  State& Remember(const Arguments&... arguments) {
    if (walk_state_ == nullptr) walk_state_ = std::make_unique<State>(arguments...);
    return static_cast<State&>(*walk_state_);
  }
  // So many more bytes are put by.
  void Keep(size_t bytes);
  // What was put by is of no use any more.
  void Forget();

  // Counts what this does not see.
  void Spend(uint64_t work) { work_ += work; }
  // Whether the next thing may take so much, which is not counted here. A step that may pause ends
  // after it; where it may not, this fails with kUnavailable.
  bool HasTimeFor(uint64_t work);
  // True: this step has done enough, or this has failed, and the body is to return.
  bool Yield();
  // The body is to be called again, after Resume.
  bool paused() const { return paused_; }
  void Resume();
  // This is not the first step.
  bool resumed() const { return resumed_; }

  // Where nothing is written, what was read is no condition of anything.
  void ForgetReads();

  // Whether a reply of so many bytes is within the limit as well; if not, this fails.
  bool HasRoomFor(size_t reply_bytes);
  size_t bytes() const { return bytes_; }

  // What has failed, if anything; the rest is then worth nothing.
  const absl::Status& status() const { return status_; }
  bool writes() const { return !written_.empty() || deleted_all_; }
  // How many conditions and operations it comes to.
  size_t commit_size() const { return seen_.size() + written_.size() + (deleted_all_ ? 2 : 0); }
  // Of what it read first, as conditions.
  std::vector<Condition> Conditions() const;
  // In the order in which each key was written last. Lifetime: views of this.
  std::vector<Operation> Writes() const;
  // `judged`: its Writes as hooks left them, between what they added. Whether each of its reads saw
  // what it had written of that key by then, and each value that it puts what hooks added before.
  // Errors: kInvalidArgument.
  absl::Status CheckReads(absl::Span<const Operation> judged) const;
  const WrittenMap& written() const { return written_; }
  bool deleted_all() const { return deleted_all_; }

 private:
  // A write as hooks left it, or that they added.
  struct Judged {
    const Operation* operation = nullptr;
    uint64_t turn = 0;                    // of the last such write; of one that was added, of that which it follows
    const WrittenEntry* entry = nullptr;  // null: it was added, or deletes everything
  };

  const EntryState& Find(std::string_view key);
  const EntryState& FindStored(std::string_view name);
  // Of what it wrote itself, what has expired is gone, too.
  const StoredEntry* Shown(const EntryState& state) const {
    return state.has_value() && state->expiry_ms > now_ms_ ? &*state : nullptr;
  }
  // Whether the user may read all of these.
  bool MayWalk(std::string_view prefix);
  // Where it would pause, and `rest` is not null, sets that.
  bool WalkAll(std::string_view begin, std::string_view prefix, Visit visit_one, std::optional<std::string>* rest);
  bool IsSpent() const { return work_ > bounds_.work_max; }
  void Write(std::string_view key, EntryState state);
  std::vector<const WrittenMap::value_type*> InOrder() const;
  std::vector<Judged> InOrder(absl::Span<const Operation> judged) const;
  // When this name was read last after something had been written, while it was not written itself.
  uint64_t LateReadOf(std::string_view name) const;
  bool MissesOwnWrite(absl::Span<const Judged> judged) const;
  bool LosesAddedWrite(absl::Span<const Judged> judged) const;
  void Hold(size_t bytes);
  void LetGo(size_t bytes);

  EntrySource* const source_;
  const int64_t now_ms_;
  const size_t bytes_max_;
  const User* const user_;
  const Bounds bounds_;
  size_t bytes_ = 0;
  size_t reply_bytes_ = 0;  // on the account
  size_t kept_bytes_ = 0;   // of bytes_
  uint64_t work_ = 0;
  bool paused_ = false;
  bool resumed_ = false;
  std::optional<std::string> walk_rest_;  // where a walk that has paused goes on
  std::unique_ptr<WalkState> walk_state_;
  int64_t walked_keys_ = 0;
  absl::Status status_;
  EntryMap seen_;  // by the names under which they are read
  WrittenMap written_;
  uint64_t turn_ = 0;  // of the last write
  // Names that were read after it had written something, with the turn of the last write by then.
  std::map<std::string, uint64_t, std::less<>> late_reads_;
  bool reads_own_late_ = false;  // what it wrote, after it had written something else
  bool deleted_all_ = false;
  uint64_t deleted_turn_ = 0;
};

// Runs as often as needed, with the reply empty at first, but for what is a later step; on whatever
// thread, one at a time.
using TransactionBody = std::function<void(Transaction* transaction, std::string* reply)>;

}  // namespace bandb::server

#endif  // BANDB_SERVER_TRANSACTION_H_
