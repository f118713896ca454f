#include "backup/archived_log.h"

#include <memory>

#include "base/status.h"
#include "kv/batch_format.h"
#include "storage/log/log_reader.h"

namespace bandb::backup {

namespace {

using storage::RecordType;

// 0: malformed.
uint64_t OperationsIn(const storage::ParsedRecord& record) {
  kv::OperationReader reader(record.payload);
  kv::Operation operation;
  uint64_t count = 0;
  while (reader.Next(&operation)) ++count;
  return reader.ok() ? count : 0;
}

}  // namespace

absl::Status WalkLog(base::FileSystem* files, const std::string& path, const LogExtent& extent,
                     const std::function<absl::StatusOr<bool>(const ArchivedCommit& commit)>& take) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<storage::LogWalk> walk,
                         storage::LogWalk::Begin(files, path, storage::FileType::kLog, extent.bytes));
  uint64_t next = extent.first_sequence;
  storage::ParsedRecord record;
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool more, walk->Next(&record));
    if (!more) break;
    if (record.head.type == RecordType::kEnd || record.head.type == RecordType::kSeal) continue;
    const bool writes = record.head.type == RecordType::kWrite || record.head.type == RecordType::kSystemWrite;
    const uint64_t count = writes ? OperationsIn(record) : 0;
    if (count == 0 || record.head.first_sequence != next || count > extent.last_sequence - next + 1) {
      return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: not the operations after sequence {}", path,
                         walk->offset(), next - 1);
    }
    next += count;
    BANDB_ASSIGN_OR_RETURN(const bool on, take({.record = record, .last_sequence = next - 1}));
    if (!on) return absl::OkStatus();
  }
  if (next == extent.last_sequence + 1) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDataLoss, "{}: the log ends with sequence {}, and is to end with {}", path,
                     next - 1, extent.last_sequence);
}

}  // namespace bandb::backup
