#include "storage/engine/log_record.h"

#include "kv/batch_format.h"
#include "kv/limits.h"
#include "storage/commit/commit_queue.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

namespace {

// Nor more at a time: a record is one batch, or several that are smaller together.
constexpr uint64_t kRecordOperationsMax = kv::kBatchBytesMax / kv::kBatchBytesPerOperation;
static_assert(kRecordOperationsMax >= CommitQueue::kGroupOperationsMax);

}  // namespace

bool HoldsOperations(RecordType type) { return type == RecordType::kWrite || type == RecordType::kSystemWrite; }

bool IsOfLog(RecordType type) { return HoldsOperations(type) || type == RecordType::kEnd || type == RecordType::kSeal; }

uint64_t CountOperations(const ParsedRecord& record) {
  kv::OperationReader reader(record.payload);
  kv::Operation operation;
  uint64_t count = 0;
  bool within_limits = true;
  while (count <= kRecordOperationsMax && reader.Next(&operation)) {
    ++count;
    within_limits = within_limits && kv::IsWithinLimits(operation);
  }
  const Sequence first = record.head.first_sequence;
  const bool has_room = first <= kLastSequenceMax && count <= kLastSequenceMax - first + 1;
  return reader.ok() && within_limits && has_room && count <= kRecordOperationsMax ? count : 0;
}

}  // namespace bandb::storage
