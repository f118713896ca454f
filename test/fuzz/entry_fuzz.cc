// Any bytes as data entries of a cluster's log: each is refused, or means the same when it is
// encoded and read again. What sessions, cursors and clocks make of it is what space 0 has of them,
// so that a node that begins again goes on as if it had not ended; and one that does not come to
// apply an entry is as it was before.
//
//   input := (bytes:u16 entry[bytes])*
//
// All of the input is also what space 0 may hold of each of them.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"
#include "cluster/cursors.h"
#include "cluster/entry_payload.h"
#include "cluster/log_clock.h"
#include "cluster/map_iterator.h"
#include "cluster/sessions.h"
#include "kv/batch_format.h"

namespace bandb::cluster {

namespace {

using SystemMap = MapIterator::Map;

// ---- What an entry says. ----

// The operations as they were proposed: with times that clocks show. None: no node would have them
// in its log so.
std::optional<std::string> Proposed(const DecodedEntry& entry, std::string_view operations) {
  std::string proposed;
  kv::OperationReader reader(operations);
  for (kv::Operation operation; reader.Next(&operation);) {
    if (operation.kind == kv::Kind::kPutWithExpiry) {
      if (operation.expiry_ms < entry.ahead_ms || operation.expiry_ms > INT64_MAX) return std::nullopt;
      if (operation.expiry_ms < INT64_MAX) operation.expiry_ms -= entry.ahead_ms;
      operation.expiry_ms |= kv::kAbsoluteExpiry;
    }
    kv::AppendOperation(&proposed, operation);
  }
  BANDB_ASSERT(reader.ok());
  return proposed;
}

// As a leader makes it; none: no leader would.
std::optional<std::string> Encoded(const DecodedEntry& entry) {
  EntryTime time{.commit_ms = entry.commit_time_ms, .ahead_ms = entry.ahead_ms};
  for (const Command& command : entry.commands) {
    if (command.kind == CommandKind::kAcceptClock) time.accepted_ahead_ms = AcceptedAheadMs(command);
  }
  EntryBuilder builder(time);
  for (Command command : entry.commands) {
    std::optional<std::string> operations(std::in_place);
    if (command.kind == CommandKind::kWrite) operations = Proposed(entry, command.operations);
    if (command.kind == CommandKind::kCursors) operations = command.operations;
    if (!operations.has_value()) return std::nullopt;
    command.operations = *operations;
    if (!builder.Add(command)) return std::nullopt;
  }
  std::string payload = builder.Build();
  BANDB_ASSERT(payload.size() <= builder.bytes());
  return payload;
}

std::string OperationsText(std::string_view operations) {
  std::string text;
  kv::OperationReader reader(operations);
  for (kv::Operation operation; reader.Next(&operation);) kv::AppendOperation(&text, operation);
  return text;
}

void CheckEncoding(std::string_view payload, const DecodedEntry& entry) {
  const std::optional<std::string> encoded = Encoded(entry);
  if (!encoded.has_value()) return;
  DecodedEntry again;
  BANDB_ASSERT(DecodeCommands(*encoded, &again));
  BANDB_ASSERT(again.commit_time_ms == entry.commit_time_ms && again.ahead_ms == entry.ahead_ms);
  BANDB_ASSERT(again.commands.size() == entry.commands.size());
  bool is_plain = true;
  for (size_t i = 0; i < entry.commands.size(); ++i) {
    const Command& command = entry.commands[i];
    const Command& other = again.commands[i];
    BANDB_ASSERT(other.kind == command.kind && other.session == command.session && other.number == command.number);
    BANDB_ASSERT(other.conditions == command.conditions);
    if (command.kind == CommandKind::kWrite) {
      BANDB_ASSERT(OperationsText(command.operations) == OperationsText(other.operations));
    } else if (command.kind == CommandKind::kCursors) {
      BANDB_ASSERT(other.operations == command.operations);
    } else {
      // Of several the builder knows one time.
      is_plain &= AcceptedAheadMs(command) == AcceptedAheadMs(other);
    }
  }
  // There is no shorter one, and no other that is as short.
  BANDB_ASSERT(!is_plain || encoded->size() <= payload.size());
  const bool is_shortest = encoded->size() == payload.size() && !entry.commands.empty();
  BANDB_ASSERT(!is_plain || !is_shortest || *encoded == payload);
}

// ---- What becomes of it. ----

struct EntryPosition {
  uint64_t index = 0;
  uint64_t now_ms = 0;
  uint64_t last_sequence = 0;  // before it
};

// What a node has of its log besides keys.
class Replicated {
 public:
  explicit Replicated(const SystemMap& system)
      : sessions_(Load<Sessions>(system)), cursors_(Load<Cursors>(system)), clock_(Load<LogClock>(system)) {}

  // As applier_entry.h does it. What it answers besides the operations on space 0 is in `*told`.
  std::string Apply(const EntryPosition& at, const DecodedEntry& entry, std::string* told) {
    const std::vector<absl::Status> outcomes = Admit(at, entry);
    const uint64_t clocks = next_clock_.has_value() ? 1 : 0;
    const uint64_t operations_max = sessions_.OperationsMax() + cursors_.OperationsMax() + clocks;
    const uint64_t bytes_max = sessions_.BytesMax() + cursors_.BytesMax() + clocks * LogClock::BytesMax();
    std::vector<CommandResult> results;
    std::vector<CursorUpdate> updates;
    std::string operations = sessions_.Finish(outcomes, &results) + cursors_.Finish(&updates);
    if (next_clock_.has_value()) {
      clock_ = *std::exchange(next_clock_, std::nullopt);
      operations += clock_.Keep();
    }
    BANDB_ASSERT(operations.size() <= bytes_max);
    uint64_t count = 0;
    kv::OperationReader reader(operations);
    for (kv::Operation operation; reader.Next(&operation);) ++count;
    BANDB_ASSERT(reader.ok() && count <= operations_max);
    BANDB_ASSERT(results.size() == entry.commands.size());
    for (const CommandResult& result : results) {
      *told +=
          fmt::format("{} {} {} {} {} {} {}\n", result.session, result.number, static_cast<int>(result.status.code()),
                      base::Message(result.status), result.duplicate, result.opened, result.session_lost);
    }
    for (const CursorUpdate& update : updates) {
      *told += update.name + " " + (update.cursor.has_value() ? changes::EncodeCursor(*update.cursor) : "") + "\n";
    }
    return operations;
  }

  // The replica has no room for it.
  void TryInVain(const EntryPosition& at, const DecodedEntry& entry) {
    Admit(at, entry);
    sessions_.Undo();
    cursors_.Undo();
    next_clock_.reset();
  }

 private:
  template <typename Part>
  static Part Load(const SystemMap& system) {
    MapIterator iterator(system);
    absl::StatusOr<Part> loaded = Part::Load(&iterator);
    BANDB_ASSERT(loaded.ok());
    return *std::move(loaded);
  }

  // How its commands end where they are done.
  std::vector<absl::Status> Admit(const EntryPosition& at, const DecodedEntry& entry) {
    sessions_.Begin(at.index, at.now_ms);
    cursors_.Begin(at.index, at.now_ms, at.last_sequence);
    std::vector<absl::Status> outcomes;
    for (const Command& command : entry.commands) {
      absl::Status& outcome = outcomes.emplace_back();
      const bool admitted = sessions_.Admit(command);
      // Whether conditions hold is for the keys to say, of which there are none here.
      if (command.kind == CommandKind::kWrite && command.conditions.size() % 2 != 0) outcome = absl::AbortedError("");
      if (admitted && command.kind == CommandKind::kCursors) outcome = cursors_.Apply(command.operations);
      if (!admitted || command.kind != CommandKind::kAcceptClock) continue;
      LogClock next = next_clock_.value_or(clock_);
      if (next.Accept(at.now_ms, AcceptedAheadMs(command))) next_clock_ = std::move(next);
    }
    return outcomes;
  }

  Sessions sessions_;
  Cursors cursors_;
  LogClock clock_;
  std::optional<LogClock> next_clock_;
};

class FuzzedLog {
 public:
  explicit FuzzedLog(SystemMap system) : system_(std::move(system)), running_(system_) {}

  void Append(std::string_view bytes) {
    // Memory of exactly that size, so that a sanitizer sees every read beyond it.
    const std::unique_ptr<char[]> copy(new char[bytes.size()]);
    if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
    const std::string_view payload(copy.get(), bytes.size());
    DecodedEntry entry;
    // A node that cannot read one applies none after it.
    if (!DecodeCommands(payload, &entry)) return;
    CheckEncoding(payload, entry);
    position_.index++;
    position_.now_ms = std::max(position_.now_ms, entry.commit_time_ms);
    Replicated restarted(system_);
    running_.TryInVain(position_, entry);
    std::string told, told_again;
    const std::string operations = running_.Apply(position_, entry, &told);
    BANDB_ASSERT(restarted.Apply(position_, entry, &told_again) == operations);
    BANDB_ASSERT(told == told_again);
    ApplyToSystem(operations);
    position_.last_sequence += payload.size();
  }

 private:
  void ApplyToSystem(std::string_view operations) {
    kv::OperationReader reader(operations);
    for (kv::Operation operation; reader.Next(&operation);) {
      const std::string key(operation.key);
      if (operation.kind == kv::Kind::kDelete) {
        BANDB_ASSERT(system_.erase(key) == 1);
      } else {
        BANDB_ASSERT(operation.kind == kv::Kind::kPut);
        system_[key] = operation.value;
      }
    }
  }

  SystemMap system_;
  Replicated running_;
  EntryPosition position_;
};

void TryEntries(std::string_view input) {
  FuzzedLog log(SystemMap{});
  base::ByteReader reader(input);
  for (uint16_t bytes = 0; reader.ReadFixed(&bytes);) {
    std::string_view payload;
    reader.ReadBytes(std::min<size_t>(bytes, reader.remaining()), &payload);
    log.Append(payload);
  }
}

// ---- What space 0 may hold. ----

template <typename Part>
bool Loads(const std::string& key, const std::string& value) {
  MapIterator iterator(SystemMap{{key, value}});
  const absl::StatusOr<Part> loaded = Part::Load(&iterator);
  BANDB_ASSERT(loaded.ok() || absl::IsDataLoss(loaded.status()) || absl::IsFailedPrecondition(loaded.status()));
  return loaded.ok();
}

void TryStored(const std::string& value) {
  const std::string session("session\0\0\0\0\0\0\0\x07", 15);
  SystemMap system;
  if (Loads<Sessions>(session, value)) system[session] = value;
  if (Loads<Cursors>("cursorc", value)) system["cursorc"] = value;
  if (Loads<LogClock>("clock", value)) system["clock"] = value;
  if (system.empty()) return;
  FuzzedLog log(system);
  std::string changes;
  AppendCursorChange({.kind = CursorChangeKind::kAcknowledge, .name = "c", .id = 1, .place = {.sequence = 5}},
                     &changes);
  AppendCursorChange({.kind = CursorChangeKind::kReset, .name = "c", .id = 0, .place = {}}, &changes);
  for (const uint64_t ms : {uint64_t{1000}, uint64_t{1} << 40, uint64_t{1} << 62}) {
    EntryBuilder builder({.commit_ms = ms, .accepted_ahead_ms = ms / 2});
    BANDB_ASSERT(builder.Add({.operations = changes, .kind = CommandKind::kCursors}));
    BANDB_ASSERT(builder.Add({.kind = CommandKind::kAcceptClock}));
    BANDB_ASSERT(builder.Add({.session = 7, .number = ms % 1001}));
    log.Append(builder.Build());
  }
}

}  // namespace

}  // namespace bandb::cluster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  bandb::cluster::TryEntries(bytes);
  bandb::cluster::TryStored(std::string(bytes));
  return 0;
}
