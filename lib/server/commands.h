// What clients ask for and what they are told, whatever protocol they speak: only codecs know
// bytes.
//
//   bytes ─ Codec::Decode ─► Command ─► hooks ─► Service ─► Store
//   bytes ◄─ Codec::Encode ─ Outcome ◄──────────────┘
#ifndef BANDB_SERVER_COMMANDS_H_
#define BANDB_SERVER_COMMANDS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bandb/changes.h"
#include "bandb/pinned_value.h"
#include "bandb/server_hooks.h"
#include "bandb/write_batch.h"
#include "server/redis_clients.h"

namespace bandb::server {

// One of those that hooks see. Lifetime: views of the request, or of what hooks made of it.
struct Operation {
  OperationKind kind = OperationKind::kPut;
  std::string_view key{};
  std::string_view value{};  // of a range: its limit
  absl::Duration time_to_live = absl::InfiniteDuration();
  absl::Time expiry = absl::InfiniteFuture();  // if it is known, it counts and not the time to live
  bool emitted = false;                        // by a hook, and shown to none

  bool IsRange() const { return kind == OperationKind::kDeleteRange || kind == OperationKind::kScan; }
  size_t ByteSize() const { return key.size() + value.size(); }
};

struct Condition {
  enum class Check : uint8_t { kHasValue, kPresent, kAbsent };
  Check check = Check::kPresent;
  std::string_view key{};
  std::string_view value{};
};

// Why something was not done, in the words of docs/protocol.md; what a codec makes of it is its
// affair. A code of 0 means that there is none.
struct Failure {
  uint16_t code = 0;
  std::string message{};
  // The store has no leader: a client of the original, to which every error of a GET is "no such
  // key", must not be told one.
  bool no_leader = false;
};

// Collects the entries of a scan in the bytes of a protocol. Thread safety: one thread at a time.
class EntryWriter {
 public:
  virtual ~EntryWriter() = default;
  // False if it has no room for the entry, and after it for a cursor that holds its key.
  virtual bool Add(std::string_view key, std::string_view value, absl::Time expiry) = 0;
  // Whether there is room for a cursor that holds a key of so many bytes.
  virtual bool HasRoomForCursor(size_t key_bytes) const = 0;
  // The whole reply. A `cursor` that is not empty is where to go on.
  virtual std::string Finish(std::string_view cursor) = 0;
  // What it holds by now.
  virtual size_t bytes() const = 0;
};

// Collects commits likewise. Thread safety: one thread at a time.
class CommitWriter {
 public:
  virtual ~CommitWriter() = default;
  // False if it has no room for the whole commit.
  virtual bool Add(const Commit& commit) = 0;
  // As many of its changes as it has room for, from the one with the number `skip` on: how many.
  virtual size_t AddSome(const Commit& commit, size_t skip) = 0;
  // The whole reply. `cut`: the last commit goes on.
  virtual std::string Finish(std::string_view token, bool cut) = 0;
};

// A get, put or delete of one key.
struct SingleCommand {
  Operation operation;
  std::string_view payload{};  // what it is in a message of BanDB's; empty: not known
};
// Writes that take effect together if all conditions hold.
struct BatchCommand {
  std::vector<Condition> conditions;
  std::vector<Operation> operations;
  size_t bytes = 0;      // of all of them, as the client sent them
  size_t bytes_max = 0;  // what hooks may make of these; 0: as much as a payload may have
  // Hooks have seen its conditions, as the gets that led to them.
  bool conditions_shown = false;
};
struct ScanCommand {
  Operation range{.kind = OperationKind::kScan};
  std::string_view cursor{};  // of the piece before, empty at first
  bool reverse = false;
  bool keys_only = false;
  uint32_t entries_max = 0;
  uint64_t snapshot = 0;  // 0: none
  std::unique_ptr<EntryWriter> writer;
};
// A state that scans may name; see snapshot_leases.h.
struct SnapshotCommand {
  enum class Action : uint8_t { kTake, kRenew, kDrop };
  Action action = Action::kTake;
  uint32_t lease_ms = 0;  // 0: the usual one
  uint64_t id = 0;        // of all but kTake
};
// What was written to a range, from a place on.
struct ChangesCommand {
  Operation range{.kind = OperationKind::kScan};
  ChangesFrom from = ChangesFrom::Now();
  bool undurable = false;
  uint32_t part = 0;
  uint32_t parts = 1;
  absl::Duration wait{};
  uint32_t commits_max = 0;
  uint32_t skip = 0;  // changes of the first commit
  std::unique_ptr<CommitWriter> writer;
};
struct AcknowledgeCommand {
  std::string_view cursor{};
  std::string_view token{};
};
struct CursorsCommand {
  enum class Action : uint8_t { kList, kCreate, kDrop, kReset };
  Action action = Action::kList;
  std::string name{};
  ChangesFrom from = ChangesFrom::Now();  // of kCreate and kReset
};
class Codec;
class Transaction;
struct Outcome;
// Reads, decides and writes as one; see transaction.h.
struct TransactionCommand {
  // What the body works on; some of them are keys that it reads.
  std::shared_ptr<std::vector<std::string>> arguments;
  // Of keys that hooks changed: by what the client calls them, where they are read.
  std::map<std::string, std::string, std::less<>> stored_names{};
  std::vector<size_t> read_arguments;
  std::vector<Operation> reads;  // a get of each of these
  std::function<void(Transaction* transaction, std::string* reply)> body;
  std::function<void(Codec* codec)> done;  // on the loop, once it succeeded, if the client is there
  bool writes = false;                     // may write
  bool walks = false;                      // over many keys
  bool many = false;                       // touches more than one key
  size_t steps = 0;                        // commands and keys, as a measure of its time
  size_t argument_bytes = 0;               // of its arguments alone, as hooks leave them
  size_t bytes = 0;                        // that it keeps until it is done
};
// The codec knows the reply by itself.
struct ReadyCommand {
  std::string reply;
};
struct HelloCommand {};
// A client says who it is. `answer` makes the outcome, once that is known to be right or wrong.
struct LoginCommand {
  std::string user;
  std::string token;
  std::function<Outcome(bool right)> answer;
};
struct PingCommand {
  std::string_view bytes;
};
struct StatsCommand {};

using Command = std::variant<SingleCommand, BatchCommand, ScanCommand, SnapshotCommand, ChangesCommand,
                             AcknowledgeCommand, CursorsCommand, TransactionCommand, ReadyCommand, LoginCommand,
                             HelloCommand, PingCommand, StatsCommand, ClientsCommand>;

// The limits that a client may want to know.
struct HelloAnswer {
  uint32_t in_flight_max = 0;
  uint64_t features = 0;  // as proto::HelloReply
};
struct EchoAnswer {
  std::string bytes;
};
struct TextAnswer {
  std::string text;
};
struct SnapshotAnswer {
  uint64_t id = 0;
  uint32_t lease_ms = 0;
  std::string token{};  // of the change feed, after what the snapshot shows; empty: there is no feed, or it was renewed
};
struct CursorsAnswer {
  std::vector<CursorInfo> cursors;
};
// What an EntryWriter, a CommitWriter or a transaction made: bytes of the codec's.
struct EntriesAnswer {
  std::string reply;
};

// How a command ended: a failure, or else what it was asked for; a write has nothing to say.
struct Outcome {
  Failure failure{};
  std::variant<std::monostate, PinnedValue, EntriesAnswer, EchoAnswer, TextAnswer, HelloAnswer, SnapshotAnswer,
               CursorsAnswer>
      answer{};

  bool ok() const { return failure.code == 0; }
  // What it keeps in memory.
  size_t ByteSize() const;
};

// An absl::StatusCode of the store's as a code; kUnavailable is "overloaded". Of absolute paths in
// the message only the last name is left: where the server keeps its files is not for clients.
Failure ToFailure(const absl::Status& status);
// Likewise of a failure that says nothing about a key: whatever the store reports, "not found" is
// an answer to a get alone.
Failure ToFailureOfAll(const absl::Status& status);

Failure MalformedFailure();

// The bounds of the operation that do not depend on the store; see kv::WriteLimits.
absl::Status CheckOperation(const Operation& operation);
absl::Status CheckCondition(const Condition& condition);
void AddTo(const Operation& operation, WriteBatch* batch);
void AddTo(const Condition& condition, WriteBatch* batch);

}  // namespace bandb::server

#endif  // BANDB_SERVER_COMMANDS_H_
