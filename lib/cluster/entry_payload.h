// What a data entry of the log holds: the writes of one turn of the leader.
//
//   entry   := version:u8 (1) commit_time_ms:varint count:varint command*
//            | version:u8 (2) commit_time_ms:varint count:varint kind[count] command*
//            | version:u8 (3) commit_time_ms:varint ahead_ms:varint count:varint kind[count] command*
//   kind    := 0:u8 writes | 1:u8 changes cursors | 2:u8 accepts clocks
//   command := session:varint number:varint length:varint conditions[length] length:varint operations[length]
//
// Conditions and operations are encoded as in a batch (kv/batch_format.h), but each time to live is
// an absolute time, made of the commit time, so that what an entry does depends on nothing but the
// log. A command of session 0 is of nobody who would repeat it; one that opens a session has a
// nonce in place of the session (sessions.h). An entry without commands moves nothing but time. One
// that changes cursors has, in place of operations, what is to become of them (cursors.h), and no
// conditions; one that accepts the clocks as they are (log_clock.h) has by how much its entry is
// ahead of its leader's, a varint. Only an entry with such commands is of version 2, and only one
// after clocks were accepted of version 3: so much its times are ahead of what users are shown.
#ifndef BANDB_CLUSTER_ENTRY_PAYLOAD_H_
#define BANDB_CLUSTER_ENTRY_PAYLOAD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bandb::cluster {

inline constexpr uint8_t kCommandVersion = 1;
inline constexpr uint8_t kCommandKindsVersion = 2;
inline constexpr uint8_t kAheadVersion = 3;
// The highest that this code understands.
inline constexpr uint8_t kEntryVersionMax = kAheadVersion;
inline constexpr uint64_t kNoSession = 0;

enum class CommandKind : uint8_t { kWrite = 0, kCursors = 1, kAcceptClock = 2 };
inline constexpr CommandKind kCommandKinds[] = {CommandKind::kWrite, CommandKind::kCursors, CommandKind::kAcceptClock};

// The views point into the entry.
struct Command {
  uint64_t session = kNoSession;
  uint64_t number = 0;  // of the session's commands; 0 if there is no session
  std::string_view conditions{};
  std::string_view operations{};
  CommandKind kind = CommandKind::kWrite;
};

// When an entry is committed.
struct EntryTime {
  uint64_t commit_ms = 0;
  // By so much it is ahead of clocks as they were accepted last; 0: they never were.
  uint64_t ahead_ms = 0;
  // By so much it is if they are accepted as they are now.
  uint64_t accepted_ahead_ms = 0;
};

// Makes the payload of one entry.
class EntryBuilder {
 public:
  explicit EntryBuilder(uint64_t commit_time_ms) : EntryBuilder(EntryTime{.commit_ms = commit_time_ms}) {}
  explicit EntryBuilder(const EntryTime& time) : time_(time) {}

  // `command.operations` have times to live, as a batch that was not committed; a command that
  // accepts clocks has none. False, and nothing is added, if they are malformed, or beyond the
  // limits that every replica holds to.
  bool Add(const Command& command);
  size_t count() const { return kinds_.size(); }
  // What the payload comes to, or a few bytes more.
  size_t bytes() const { return commands_.size() + kinds_.size() + kHeadBytesMax; }
  std::string Build() const;

 private:
  bool AppendOperations(const Command& command, std::string* to) const;

  static constexpr size_t kHeadBytesMax = 1 + 10 + 10 + 10;

  const EntryTime time_;
  bool all_write_ = true;
  std::string kinds_;
  std::string commands_;
};

struct DecodedEntry {
  uint64_t commit_time_ms = 0;
  uint64_t ahead_ms = 0;
  std::vector<Command> commands;
};
// False if the bytes are no entry of this version, or an operation or condition of it is malformed.
bool DecodeCommands(std::string_view payload, DecodedEntry* entry);
// Of a decoded command that accepts clocks.
uint64_t AcceptedAheadMs(const Command& command);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_ENTRY_PAYLOAD_H_
