// What a data entry of the log holds: the writes of one turn of the leader.
//
//   entry   := version:u8 (1) commit_time_ms:varint count:varint command*
//   command := session:varint number:varint length:varint conditions[length] length:varint operations[length]
//
// Conditions and operations are encoded as in a batch (kv/batch_format.h), but each time to live is
// an absolute time, made of the commit time, so that what an entry does depends on nothing but the
// log. A command of session 0 is of nobody who would repeat it; one that opens a session has a
// nonce in place of the session (sessions.h). An entry without commands moves nothing but time.
#ifndef BANDB_CLUSTER_ENTRY_PAYLOAD_H_
#define BANDB_CLUSTER_ENTRY_PAYLOAD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bandb::cluster {

inline constexpr uint8_t kCommandVersion = 1;
inline constexpr uint64_t kNoSession = 0;

// The views point into the entry.
struct Command {
  uint64_t session = kNoSession;
  uint64_t number = 0;  // of the session's commands; 0 if there is no session
  std::string_view conditions{};
  std::string_view operations{};
};

// Makes the payload of one entry.
class EntryBuilder {
 public:
  explicit EntryBuilder(uint64_t commit_time_ms) : commit_time_ms_(commit_time_ms) {}

  // `command.operations` have times to live, as a batch that was not committed. False, and nothing
  // is added, if they are malformed, or beyond the limits that every replica holds to.
  bool Add(const Command& command);
  size_t count() const { return count_; }
  // What the payload comes to, or a few bytes more.
  size_t bytes() const { return commands_.size() + kHeadBytesMax; }
  std::string Build() const;

 private:
  static constexpr size_t kHeadBytesMax = 1 + 10 + 10;

  const uint64_t commit_time_ms_;
  uint64_t count_ = 0;
  std::string commands_;
};

struct DecodedEntry {
  uint64_t commit_time_ms = 0;
  std::vector<Command> commands;
};
// False if the bytes are no entry of this version, or an operation or condition of it is malformed.
bool DecodeCommands(std::string_view payload, DecodedEntry* entry);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_ENTRY_PAYLOAD_H_
