// The files of a change index: for each entry that was applied, where its record is in the log,
// which operations it was, and which of its commands did nothing.
//
//   file  := file_header block*                      "chg" (storage/file/file_header.h)
//   block := bytes:u32 checksum:u64 payload[bytes]
//   payload := flags:u8 index:varint sequence:varint user_sequence:varint time_ms:varint count:varint entry*
//   entry := segment:varint offset:varint record_bytes:varint term:varint
//            sequences_and_use:varint time_more_ms:varint length:varint undone[length]
//
// The checksum is of the payload, bound to the offset of the block. Index, sequences and time are
// those of the entry before the first one of the block; with flag bit 0 what other files say of
// entries up to there is void; flag bit 1 is always set. An entry took half of
// `sequences_and_use` as sequences, and its bit 0 says that it did something for a user; its time
// is so much later than that of the one before. Bit i of `undone`: command i had no effect; no
// bytes: all had theirs.
#ifndef BANDB_CLUSTER_CHANGE_FILE_H_
#define BANDB_CLUSTER_CHANGE_FILE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file_system.h"
#include "cluster/log_index.h"
#include "raft/types/ids.h"
#include "storage/file/file_header.h"

namespace bandb::cluster {

// A place between two entries of the log: after this one.
struct ChangeBound {
  raft::Index index = 0;
  uint64_t sequence = 0;  // the last one up to there
  // The same after the last entry up to there that did something for a user: a reader that has come
  // to it misses nothing before this place.
  uint64_t user_sequence = 0;
  uint64_t time_ms = 0;  // the commit time up to there

  friend bool operator==(const ChangeBound&, const ChangeBound&) = default;
};

struct ChangeEntry {
  ChangeBound end;  // after it
  EntryPlace place;
  std::string undone;

  bool IsUndone(size_t command) const {
    return command / 8 < undone.size() && (static_cast<uint8_t>(undone[command / 8]) >> (command % 8) & 1) != 0;
  }
};

// Some entries, one after the other.
struct ChangeStretch {
  bool begins = false;  // what came before is void
  ChangeBound before;
  std::vector<ChangeEntry> entries;
};

// "000012.chg", and the number of such a name.
std::string ChangeFileName(uint64_t number);
std::optional<uint64_t> ParseChangeFileName(std::string_view name);

// Appends a block that is at `offset` of its file.
void AppendChangeBlock(uint64_t checksum_seed, uint64_t offset, bool begins, const ChangeBound& before,
                       absl::Span<const ChangeEntry> entries, std::string* to);

// One file, open. Thread safety: any thread.
class ChangeFile {
 public:
  // Errors: kDataLoss no such header, or of another database; kFailedPrecondition a newer format;
  // what the file system says.
  static absl::StatusOr<ChangeFile> Open(base::FileSystem* files, const std::string& path,
                                         const storage::Uuid& database_id);

  static constexpr uint64_t kBegin = storage::kFileHeaderBytes;
  // The block at `*offset`, which then is after it. Errors: kDataLoss there is no whole block; as
  // the file system says.
  absl::Status ReadBlock(uint64_t* offset, ChangeStretch* block) const;
  uint64_t size() const { return file_->Size(); }

 private:
  ChangeFile() = default;

  std::string path_;
  std::shared_ptr<const base::RandomAccessFile> file_;
  uint64_t checksum_seed_ = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_CHANGE_FILE_H_
