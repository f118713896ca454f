#include "storage/version/version_edit.h"

#include <algorithm>

#include "base/coding.h"
#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/table/block.h"

namespace bandb::storage {

namespace {

enum Tag : uint64_t {
  kLogNumber = 1,
  kNextFileNumber = 2,
  kLastSequence = 3,
  kCommitTime = 4,
  kEpoch = 5,
  kDeletedTable = 6,
  kAddedTable = 7,
  kLogEnd = 8,
  kApplied = 9,
  kMembership = 10,
  kBegunLog = 11,
  kFirstOptional = 128,
  kSpaceFigures = 128,
  kClockAccepted = 129,
  kEpochBegun = 130,
  kKeptLog = 131,
  kKeptFrom = 132,
  kUserSequence = 133,
  kBeginningEdits = 134,
};
constexpr uint64_t kTagMax = kBeginningEdits;

void PutField(std::string* to, Tag tag, std::string_view payload) {
  base::PutVarint(to, tag);
  base::PutLengthPrefixed(to, payload);
}

void PutNumbers(std::string* to, Tag tag, std::initializer_list<uint64_t> numbers) {
  std::string payload;
  for (const uint64_t number : numbers) base::PutVarint(&payload, number);
  PutField(to, tag, payload);
}

void PutAddedTable(std::string* to, const VersionEdit::AddedTable& table) {
  const TableInfo& info = table.info;
  std::string payload;
  for (const uint64_t number :
       {static_cast<uint64_t>(table.level), info.number, info.file_bytes, info.entries, info.deletes,
        info.range_tombstones, info.smallest_sequence, info.largest_sequence, info.earliest_expiry_ms}) {
    base::PutVarint(&payload, number);
  }
  base::PutLengthPrefixed(&payload, info.smallest);
  base::PutLengthPrefixed(&payload, info.largest);
  PutField(to, kAddedTable, payload);
  if (info.space == SpaceFigures()) return;
  PutNumbers(to, kSpaceFigures, {info.number, info.space.hidden, info.space.expired_at_ms});
}

bool ReadLevel(base::ByteReader* reader, int* level) {
  uint64_t number = 0;
  if (!reader->ReadVarint(&number) || number >= static_cast<uint64_t>(kLevels)) return false;
  *level = static_cast<int>(number);
  return true;
}

bool ReadAddedTable(base::ByteReader* reader, VersionEdit::AddedTable* table) {
  TableInfo& info = table->info;
  std::string_view smallest, largest;
  const bool whole = ReadLevel(reader, &table->level) && reader->ReadVarint(&info.number) &&
                     reader->ReadVarint(&info.file_bytes) && reader->ReadVarint(&info.entries) &&
                     reader->ReadVarint(&info.deletes) && reader->ReadVarint(&info.range_tombstones) &&
                     reader->ReadVarint(&info.smallest_sequence) && reader->ReadVarint(&info.largest_sequence) &&
                     reader->ReadVarint(&info.earliest_expiry_ms) && reader->ReadLengthPrefixed(&smallest) &&
                     reader->ReadLengthPrefixed(&largest);
  if (!whole || !IsInternalKey(smallest)) return false;
  // The trailer of an exclusive bound has no kind, so only its length can be checked.
  if (largest.size() < kSpaceBytes + kTrailerBytes) return false;
  if (std::max(smallest.size(), largest.size()) > kSpacedKeyBytesMax + kTrailerBytes) return false;
  if (info.smallest_sequence > info.largest_sequence || info.largest_sequence > kLastSequenceMax) return false;
  info.smallest = smallest;
  info.largest = largest;
  return CompareInternalKeys(info.smallest, info.largest) <= 0;
}

// Numbers that are counted on from here must have room to count.
template <typename Value>
bool ReadNumber(base::ByteReader* reader, std::optional<Value>* to, uint64_t number_max = kFileNumberMax) {
  uint64_t number = 0;
  if (!reader->ReadVarint(&number) || number > number_max) return false;
  *to = number;
  return true;
}

bool ReadPair(base::ByteReader* reader, uint64_t* first, uint64_t* second) {
  return reader->ReadVarint(first) && reader->ReadVarint(second);
}

bool ReadSpaceFigures(base::ByteReader* reader, VersionEdit* edit) {
  uint64_t number = 0;
  if (edit->added.empty()) return false;
  TableInfo& info = edit->added.back().info;
  return reader->ReadVarint(&number) && number == info.number &&
         ReadPair(reader, &info.space.hidden, &info.space.expired_at_ms);
}

bool ReadEpoch(base::ByteReader* reader, Epoch* epoch) {
  return reader->ReadVarint(&epoch->number) && reader->ReadFixed(&epoch->branch) && reader->ReadVarint(&epoch->begin) &&
         epoch->begin <= kLastSequenceMax;
}

bool ReadKeptLog(base::ByteReader* reader, KeptLog* log) {
  return reader->ReadVarint(&log->number) && log->number <= kFileNumberMax && reader->ReadVarint(&log->bytes) &&
         reader->ReadVarint(&log->first_sequence) && reader->ReadVarint(&log->last_sequence) &&
         reader->ReadVarint(&log->begin_ms) && reader->ReadVarint(&log->end_ms) && reader->ReadVarint(&log->commits) &&
         log->first_sequence != 0 && log->first_sequence <= log->last_sequence &&
         log->last_sequence <= kLastSequenceMax;
}

bool ReadField(uint64_t tag, base::ByteReader* reader, VersionEdit* edit) {
  switch (tag) {
    case kLogNumber:
      return ReadNumber(reader, &edit->log_number);
    case kNextFileNumber:
      return ReadNumber(reader, &edit->next_file_number);
    case kLastSequence:
      return ReadNumber(reader, &edit->last_sequence, kLastSequenceMax);
    case kCommitTime:
      return ReadNumber(reader, &edit->commit_time_ms, UINT64_MAX);
    case kEpoch:
      return ReadNumber(reader, &edit->epoch);
    case kDeletedTable: {
      VersionEdit::DeletedTable& table = edit->deleted.emplace_back();
      return ReadLevel(reader, &table.level) && reader->ReadVarint(&table.number);
    }
    case kAddedTable:
      return ReadAddedTable(reader, &edit->added.emplace_back());
    case kLogEnd: {
      VersionEdit::LogEnd& end = edit->log_ends.emplace_back();
      return ReadPair(reader, &end.number, &end.bytes);
    }
    case kApplied:
      edit->applied.emplace();
      return ReadPair(reader, &edit->applied->index, &edit->applied->term);
    case kMembership:
      edit->membership = std::string(reader->rest());
      return reader->Skip(reader->remaining());
    case kBegunLog:
      return ReadNumber(reader, &edit->begun_log);
    case kSpaceFigures:
      return ReadSpaceFigures(reader, edit);
    case kClockAccepted:
      edit->clock_accepted.emplace();
      return ReadPair(reader, &edit->clock_accepted->sequence, &edit->clock_accepted->ms);
    case kEpochBegun:
      return ReadEpoch(reader, &edit->epochs.emplace_back());
    case kKeptLog:
      return ReadKeptLog(reader, &edit->kept_logs.emplace_back());
    case kKeptFrom:
      return ReadNumber(reader, &edit->kept_from);
    case kUserSequence:
      return ReadNumber(reader, &edit->user_sequence, kLastSequenceMax);
    case kBeginningEdits:
      return ReadNumber(reader, &edit->beginning_edits, UINT64_MAX) && *edit->beginning_edits != 0;
    default:
      // Of another release, and none that must be understood.
      return reader->Skip(reader->remaining());
  }
}

}  // namespace

std::string EncodeEdit(const VersionEdit& edit) {
  std::string bytes;
  if (edit.log_number) PutNumbers(&bytes, kLogNumber, {*edit.log_number});
  if (edit.next_file_number) PutNumbers(&bytes, kNextFileNumber, {*edit.next_file_number});
  if (edit.last_sequence) PutNumbers(&bytes, kLastSequence, {*edit.last_sequence});
  if (edit.commit_time_ms) PutNumbers(&bytes, kCommitTime, {*edit.commit_time_ms});
  if (edit.epoch) PutNumbers(&bytes, kEpoch, {*edit.epoch});
  for (const VersionEdit::DeletedTable& table : edit.deleted) {
    PutNumbers(&bytes, kDeletedTable, {static_cast<uint64_t>(table.level), table.number});
  }
  for (const VersionEdit::AddedTable& table : edit.added) PutAddedTable(&bytes, table);
  for (const VersionEdit::LogEnd& end : edit.log_ends) PutNumbers(&bytes, kLogEnd, {end.number, end.bytes});
  if (edit.applied) PutNumbers(&bytes, kApplied, {edit.applied->index, edit.applied->term});
  if (edit.membership) PutField(&bytes, kMembership, *edit.membership);
  if (edit.begun_log) PutNumbers(&bytes, kBegunLog, {*edit.begun_log});
  if (edit.clock_accepted) {
    PutNumbers(&bytes, kClockAccepted, {edit.clock_accepted->sequence, edit.clock_accepted->ms});
  }
  for (const Epoch& epoch : edit.epochs) {
    std::string payload;
    base::PutVarint(&payload, epoch.number);
    base::PutFixed64(&payload, epoch.branch);
    base::PutVarint(&payload, epoch.begin);
    PutField(&bytes, kEpochBegun, payload);
  }
  for (const KeptLog& log : edit.kept_logs) {
    PutNumbers(&bytes, kKeptLog,
               {log.number, log.bytes, log.first_sequence, log.last_sequence, log.begin_ms, log.end_ms, log.commits});
  }
  if (edit.kept_from) PutNumbers(&bytes, kKeptFrom, {*edit.kept_from});
  if (edit.user_sequence) PutNumbers(&bytes, kUserSequence, {*edit.user_sequence});
  if (edit.beginning_edits) PutNumbers(&bytes, kBeginningEdits, {*edit.beginning_edits});
  return bytes;
}

absl::StatusOr<VersionEdit> DecodeEdit(std::string_view bytes) {
  VersionEdit edit;
  base::ByteReader reader(bytes);
  while (!reader.empty()) {
    uint64_t tag = 0;
    std::string_view payload;
    if (!reader.ReadVarint(&tag) || !reader.ReadLengthPrefixed(&payload)) {
      return base::Error(absl::StatusCode::kDataLoss, "malformed version edit");
    }
    if (tag > kTagMax) continue;
    if (tag == 0 || (tag > kBegunLog && tag < kFirstOptional)) {
      return base::Error(absl::StatusCode::kFailedPrecondition,
                         "version edit with field {}, which this program does not know: written by a newer release",
                         tag);
    }
    base::ByteReader field(payload);
    if (!ReadField(tag, &field, &edit) || !field.empty()) {
      return base::Error(absl::StatusCode::kDataLoss, "malformed field {} of a version edit", tag);
    }
  }
  return edit;
}

}  // namespace bandb::storage
