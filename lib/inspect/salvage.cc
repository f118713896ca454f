#include "inspect/salvage.h"

#include <algorithm>

#include "base/assert.h"
#include "base/status.h"
#include "inspect/found_database.h"
#include "kv/batch_format.h"
#include "storage/engine/log_record.h"
#include "storage/log/log_format.h"
#include "storage/log/log_reader.h"

namespace bandb::inspect {

using storage::RecordType;
using storage::Sequence;

void SalvageCursor::SeekToFirst() {
  partition_ = block_ = 0;
  entered_.Reset();
  entries_.Reset(storage::Block());
  Stand();
}

void SalvageCursor::Next() {
  entries_.Next();
  Stand();
}

void SalvageCursor::Stand() {
  while (!entries_.Valid()) {
    if (!LoadNextBlock()) return StandNowhere();
    entries_.SeekToFirst();
  }
  StandAt(entries_.key());
}

bool SalvageCursor::EnterNextPartition() {
  const storage::TableMeta& meta = table_.meta();
  while (partition_ < meta.partitions()) {
    const size_t k = partition_++;
    absl::StatusOr<storage::PartitionRef> entered = table_.Enter(k, false);
    if (entered.ok()) {
      entered_ = *std::move(entered);
      block_ = 0;
      return true;
    }
    const bool cut = meta.top().size() != 0;
    losses_->push_back({.why = entered.status(),
                        .begin = cut && k > 0 ? meta.top().Separator(k - 1) : std::string(),
                        .end = cut ? meta.top().Separator(k) : std::string()});
  }
  return false;
}

bool SalvageCursor::LoadNextBlock() {
  while (true) {
    if (!entered_ && !EnterNextPartition()) return false;
    const storage::TablePartition& partition = storage::TableReader::At(entered_);
    const storage::TableIndex& index = partition.index();
    if (block_ == index.size()) {
      entered_.Reset();
      continue;
    }
    const size_t i = block_++;
    absl::StatusOr<storage::BlockRef> block = table_.ReadDataBlock(partition, i, false, nullptr);
    if (block.ok()) {
      content_ = *std::move(block);
      entries_.Reset(storage::Block::FromParsed(content_.payload()));
      if (on_block_) on_block_({partition.number(), i, index.block(i), index.Separator(i)});
      return true;
    }
    std::string begin;
    if (i > 0) {
      begin = index.Separator(i - 1);
    } else if (partition.number() > 0) {
      begin = table_.meta().top().Separator(partition.number() - 1);
    }
    losses_->push_back({.why = block.status(), .begin = std::move(begin), .end = index.Separator(i)});
  }
}

void SalvageCursor::SeekToLast() { BANDB_UNREACHABLE(); }
void SalvageCursor::Seek(std::string_view /*internal_key*/) { BANDB_UNREACHABLE(); }
void SalvageCursor::SeekForPrev(std::string_view /*internal_key*/) { BANDB_UNREACHABLE(); }
void SalvageCursor::Prev() { BANDB_UNREACHABLE(); }

void EntryCursor::SeekToFirst() {
  at_ = 0;
  Stand();
}
void EntryCursor::Next() {
  ++at_;
  Stand();
}
void EntryCursor::Stand() {
  if (at_ == entries_.size()) return StandNowhere();
  StandAt(entries_[at_].first);
}
void EntryCursor::SeekToLast() { BANDB_UNREACHABLE(); }
void EntryCursor::Seek(std::string_view /*internal_key*/) { BANDB_UNREACHABLE(); }
void EntryCursor::SeekForPrev(std::string_view /*internal_key*/) { BANDB_UNREACHABLE(); }
void EntryCursor::Prev() { BANDB_UNREACHABLE(); }

namespace {

class LogSalvage {
 public:
  LogSalvage(std::string_view path, std::string_view file, SalvagedLog* log) : path_(path), file_(file), log_(*log) {}

  void Run() {
    const absl::StatusOr<storage::FileHeader> header = storage::DecodeFileHeader(
        file_.substr(0, storage::kFileHeaderBytes), storage::FileType::kLog, std::string(path_));
    if (!header.ok()) {
      // Without it no checksum can be verified. A file of zeros is one that was just begun.
      if (file_.find_first_not_of('\0') != std::string_view::npos) Lose(header.status());
      log_.next_sequence = 0;
      return;
    }
    log_.header = *header;
    ReadRecords(header->checksum_seed());
    std::sort(log_.entries.begin(), log_.entries.end(),
              [](const auto& a, const auto& b) { return storage::CompareInternalKeys(a.first, b.first) < 0; });
  }

 private:
  void ReadRecords(uint64_t seed) {
    // Each byte once, and as much again for what only looks like a record.
    uint64_t hash_bytes_left = 2 * file_.size();
    uint64_t offset = log_.valid_bytes = storage::kFileHeaderBytes;
    storage::ParsedRecord record;
    while (true) {
      const storage::ParseResult parsed = storage::ParseRecord(file_, offset, seed, &record);
      if (parsed == storage::ParseResult::kEnd || parsed == storage::ParseResult::kZeros) return;
      if (parsed == storage::ParseResult::kDamaged) {
        const uint64_t next = storage::FindNextRecord(file_, offset, seed, &hash_bytes_left, &record);
        if (next == file_.size()) return LoseTail(offset);
        Lose(Damage(path_, offset, fmt::format("{} bytes that are no record", next - offset)));
        offset = next;
      }
      const bool goes_on = Take(record, offset);
      offset = log_.valid_bytes = offset + record.record_bytes;
      if (!goes_on) return;
    }
  }

  void Lose(absl::Status why) {
    log_.losses.push_back({.why = std::move(why)});
    is_told_ = true;
  }

  void LoseTail(uint64_t offset) {
    const uint64_t bytes = file_.find_last_not_of('\0') + 1 - offset;
    Lose(Damage(
        path_, offset,
        fmt::format("{} bytes at its end that are no record: a write that was cut short, or what is lost of some",
                    bytes)));
    log_.end = storage::LogEnd::kDamaged;
    log_.next_sequence = 0;
  }

  // False: the log ends with it.
  bool Take(const storage::ParsedRecord& record, uint64_t offset) {
    if (record.head.type == RecordType::kEnd || record.head.type == RecordType::kSeal) {
      log_.end = record.head.type == RecordType::kEnd ? storage::LogEnd::kEnded : storage::LogEnd::kSealed;
      return false;
    }
    const uint64_t count = storage::HoldsOperations(record.head.type) ? storage::CountOperations(record) : 0;
    const Sequence first = record.head.first_sequence;
    if (count == 0 || (log_.records != 0 && first < log_.next_sequence)) {
      Lose(Damage(path_, offset, "a record whose content is malformed"));
      return true;
    }
    if (first < log_.next_sequence) {
      Lose(Damage(
          path_, offset,
          fmt::format("sequence {}, where {} must come: another log may be in its place", first, log_.next_sequence)));
    }
    if (log_.next_sequence != 0 && first > log_.next_sequence && !is_told_) {
      Lose(Damage(path_, offset,
                  fmt::format("the operations from sequence {} to {} are missing", log_.next_sequence, first - 1)));
    }
    is_told_ = false;
    ++log_.records;
    log_.next_sequence = first + count;
    // Space 0 has the cursors of the change feed. They are left out: the feed of the new database
    // begins again.
    if (record.head.type == RecordType::kSystemWrite) return true;
    kv::OperationReader reader(record.payload);
    kv::Operation operation;
    Sequence sequence = first;
    while (reader.Next(&operation)) Add(sequence++, operation);
    return true;
  }

  void Add(Sequence sequence, const kv::Operation& operation) {
    std::string key = storage::MakeSpacedKey(storage::Space::kUser, operation.key);
    if (operation.kind == kv::Kind::kRangeDelete) {
      log_.tombstones.push_back(
          {std::move(key), storage::MakeSpacedKey(storage::Space::kUser, operation.value), sequence});
      return;
    }
    std::string value;
    if (operation.kind == kv::Kind::kPutWithExpiry) base::PutFixed64(&value, operation.expiry_ms);
    value.append(operation.value);
    base::PutFixed64(&key, storage::MakeTrailer(sequence, operation.kind));
    log_.entries.emplace_back(std::move(key), std::move(value));
  }

  const std::string_view path_;
  const std::string_view file_;
  SalvagedLog& log_;
  // What is missing before the next record has been told.
  bool is_told_ = false;
};

// Reads a file piece by piece, and what the file system refuses as zeros. Of a hole at its end
// nothing is read or kept.
class PieceReader {
 public:
  PieceReader(const base::RandomAccessFile& file, std::string_view path, std::vector<Loss>* losses)
      : file_(file), path_(path), losses_(losses) {}

  std::string Read(uint64_t bytes) {
    std::string content;
    for (uint64_t at = 0; at < bytes && file_.SkipHole(at) < bytes; at += kPieceBytes) {
      const uint64_t end = std::min(at + kPieceBytes, bytes);
      content.resize(end);
      if (refusals_ < kRefusalsMax && ReadPiece(at, end, &content).ok()) continue;
      // Most of it may be had in pieces as small as a device gives up on.
      for (uint64_t page = at; page < end; page += kPageBytes)
        ReadPage(page, std::min(page + kPageBytes, end), &content);
    }
    TellRefused();
    return content;
  }

 private:
  static constexpr uint64_t kPieceBytes = 1 << 20;
  static constexpr uint64_t kPageBytes = 4 << 10;
  // A device that refuses so often is dead, and each attempt may take seconds.
  static constexpr uint64_t kRefusalsMax = 64;

  absl::Status ReadPiece(uint64_t begin, uint64_t end, std::string* to) {
    return file_.Read(begin, absl::MakeSpan(*to).subspan(begin, end - begin)).status();
  }

  void ReadPage(uint64_t begin, uint64_t end, std::string* to) {
    if (refusals_ < kRefusalsMax) {
      absl::Status read = ReadPiece(begin, end, to);
      if (read.ok()) return;
      ++refusals_;
      refused_ = std::move(read);
    }
    if (begin != refused_end_) {
      TellRefused();
      refused_begin_ = begin;
    }
    refused_end_ = end;
  }

  void TellRefused() {
    if (refused_end_ == refused_begin_) return;
    losses_->push_back({.why = base::Error(refused_.code(), "{}: offset {}: {} bytes cannot be read: {}", path_,
                                           refused_begin_, refused_end_ - refused_begin_, base::Message(refused_))});
    refused_begin_ = refused_end_;
  }

  const base::RandomAccessFile& file_;
  const std::string_view path_;
  std::vector<Loss>* const losses_;
  uint64_t refusals_ = 0;
  // The last bytes that were refused, not told yet.
  uint64_t refused_begin_ = 0;
  uint64_t refused_end_ = 0;
  absl::Status refused_;
};

}  // namespace

absl::StatusOr<SalvagedLog> SalvageLog(base::FileSystem* files, const std::string& path, uint64_t bytes_max,
                                       Sequence next_sequence) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  SalvagedLog log;
  log.file_bytes = file->Size();
  log.next_sequence = next_sequence;
  const uint64_t wanted = std::min(log.file_bytes, bytes_max);
  const uint64_t bytes = std::min(wanted, storage::kLogFileBytesMax);
  if (bytes < wanted && file->SkipHole(bytes) < wanted) {
    log.losses.push_back({.why = Damage(path, bytes, fmt::format("{} bytes more than any log has", wanted - bytes))});
  }
  const std::string content = PieceReader(*file, path, &log.losses).Read(bytes);
  LogSalvage(path, content, &log).Run();
  return log;
}

}  // namespace bandb::inspect
