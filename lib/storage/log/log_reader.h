// Reads one log file and tells a torn tail from corruption (log_format.h).
#ifndef BANDB_STORAGE_LOG_LOG_READER_H_
#define BANDB_STORAGE_LOG_LOG_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "storage/file/file_header.h"
#include "storage/log/log_format.h"
#include "storage/log/log_stream.h"

namespace bandb::storage {

// More than the largest memtable, the batch that did not fit into it, and reserved room come to.
inline constexpr uint64_t kLogFileBytesMax = uint64_t{4} << 30;

// How the records of a file end.
enum class LogEnd : uint8_t {
  kSealed,   // with kSeal: the database was closed cleanly
  kEnded,    // with kEnd: the next file goes on
  kOpen,     // at the end of the file or in reserved room: the writer was not closed, and nothing shows that more was
             // written
  kDamaged,  // in bytes that are no record
};

// What a file holds, found by reading it whole before anything is made of it.
struct LogContent {
  FileHeader header;
  std::string bytes;  // the header and the whole records; empty where they were not asked for
  uint64_t checksum_seed = 0;
  LogEnd end = LogEnd::kOpen;
  uint64_t valid_bytes = 0;  // the records up to here are whole
  uint64_t records = 0;
  uint64_t first_sequence = 0;  // of the first record; 0 if there is none
  uint64_t dropped_bytes = 0;   // non-zero bytes after valid_bytes
  // The largest synced offset that a record of this file names, records after the damage included.
  uint64_t synced_offset = 0;
  // False if the file is shorter than a header, or holds zeros in its place: a file whose creation
  // was cut short.
  bool has_header = false;
};

// Errors: kDataLoss           damage in bytes that were synced, or anywhere before a seal: file and
//                             offset in the message
//         kFailedPrecondition a newer format
//         and what the file system says
// Damage after all synced offsets is not an error here: see LogContent::end. Of a file that is
// still written to, `bytes_max` is what it held before the call: what is appended meanwhile may be
// seen in part. Of one whose end is recorded elsewhere it is that end, after which nothing counts
// or is read. Memory: the whole records, and as much as one more may be long: never what the size
// of the file, or bytes that nothing proves, would ask for. Work: of holes none; a file with
// anything after kLogFileBytesMax is refused, whatever its name says.
absl::StatusOr<LogContent> ReadLog(base::FileSystem* files, const std::string& path, FileType type,
                                   uint64_t bytes_max = UINT64_MAX);
// The same without the bytes, of which no more are in memory at a time than a record needs.
absl::StatusOr<LogContent> CheckLog(base::FileSystem* files, const std::string& path, FileType type,
                                    uint64_t bytes_max = UINT64_MAX);

// Checks a log of which exactly `bytes` were written, or count: each of them must be part of a
// whole record.
// Errors: as ReadLog, and kDataLoss for any damage at all. Memory: that of the largest record.
absl::Status VerifyLog(base::FileSystem* files, const std::string& path, FileType type, uint64_t bytes);

// Walks the records of a file of which exactly `bytes` were written, or count, without having more
// of it in memory than one of them. Errors: as VerifyLog.
class LogWalk {
 public:
  static absl::StatusOr<std::unique_ptr<LogWalk>> Begin(base::FileSystem* files, const std::string& path, FileType type,
                                                        uint64_t bytes);

  // The next record, whose bytes stay until the next call. False at the end.
  absl::StatusOr<bool> Next(ParsedRecord* record);
  // Where the record that Next gave last begins.
  uint64_t offset() const { return record_offset_; }
  // All bytes of that record, until the next call.
  std::string_view record_bytes() const { return stream_.rest().substr(0, record_bytes_); }
  // The bytes before the first record.
  std::string_view header_bytes() const { return header_; }

 private:
  LogWalk(std::unique_ptr<base::RandomAccessFile> file, std::string path, uint64_t bytes);

  const std::unique_ptr<base::RandomAccessFile> file_;
  const std::string path_;
  const uint64_t bytes_;
  LogStream stream_;
  std::string header_;
  uint64_t checksum_seed_ = 0;
  uint64_t record_offset_ = 0;
  // Of the record that was given last, still to be passed over.
  uint64_t record_bytes_ = 0;
};

// Walks the whole records of a content.
class LogReader {
 public:
  explicit LogReader(const LogContent& content) : content_(content) {}
  // False once all whole records were given.
  bool Next(ParsedRecord* record);
  // Where the record that Next gave last begins.
  uint64_t offset() const { return record_offset_; }

 private:
  const LogContent& content_;
  uint64_t record_offset_ = 0;
  uint64_t next_offset_ = kFileHeaderBytes;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_LOG_LOG_READER_H_
