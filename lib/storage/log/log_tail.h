// Walks the records of one log, which may be written to meanwhile, in bounded memory.
//
// The caller knows how much of the file has been written: that is all that is looked at, so that a
// record which is not whole is damage and nothing else.
#ifndef BANDB_STORAGE_LOG_LOG_TAIL_H_
#define BANDB_STORAGE_LOG_LOG_TAIL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/file_system.h"
#include "storage/file/file_header.h"
#include "storage/log/log_format.h"

namespace bandb::storage {

// Thread safety: one thread at a time.
class LogTail {
 public:
  // `begin_offset`: where a record begins, the first that is wanted; 0: of all.
  LogTail(uint64_t number, std::string path, const Uuid& database_id, uint64_t begin_offset = 0)
      : number_(number), path_(std::move(path)), database_id_(database_id), begin_offset_(begin_offset) {}

  enum class Peeked : uint8_t {
    kRecord,
    kMore,     // none is held whole: Fill, if more was written
    kDamaged,  // what comes next is no record
  };
  // The next record, of what is held. Its bytes stay until Fill.
  Peeked Peek(ParsedRecord* record);
  void Skip(const ParsedRecord& record);
  // Has more of the file held, of its first `bytes` bytes; at least a record, if there is one.
  // Errors: kDataLoss the file is shorter or its header is damaged; kFailedPrecondition it belongs
  // to another database; and what the file system says.
  absl::Status Fill(const base::RandomAccessFile& file, uint64_t bytes);
  // Holds nothing any more; Fill reads it again.
  void Release();

  uint64_t number() const { return number_; }
  // Where the next record begins.
  uint64_t offset() const { return offset_; }
  // All of these bytes were held at some time.
  uint64_t filled() const { return offset_ + (buffer_.size() - begin_); }
  uint64_t held_bytes() const { return buffer_.capacity(); }
  absl::Status Damage() const;

 private:
  absl::Status ReadHeader(const base::RandomAccessFile& file, uint64_t bytes);
  absl::Status Read(const base::RandomAccessFile& file, uint64_t more);

  const uint64_t number_;
  const std::string path_;
  const Uuid database_id_;
  const uint64_t begin_offset_;
  uint64_t checksum_seed_ = 0;
  std::string buffer_;
  size_t begin_ = 0;
  // Of the file, where the buffer begins after begin_ bytes.
  uint64_t offset_ = 0;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_LOG_LOG_TAIL_H_
