// Appends records to one log file (log_format.h).
#ifndef BANDB_STORAGE_LOG_LOG_WRITER_H_
#define BANDB_STORAGE_LOG_LOG_WRITER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/file_system.h"
#include "storage/file/file_header.h"
#include "storage/log/log_format.h"

namespace bandb::storage {

// Thread safety: Append, Reserve and Close by one thread at a time; Sync by one thread at a time,
// which may be another.
class LogWriter {
 public:
  // Creates the file and appends its header. Durability: nothing yet; Sync, and SyncDir of the
  // directory.
  static absl::StatusOr<std::unique_ptr<LogWriter>> Create(base::FileSystem* files, const std::string& path,
                                                           const FileHeader& header);

  // Makes sure that a payload of this size can be appended. Errors: kResourceExhausted: nothing was
  // changed, and later calls may succeed.
  absl::Status Reserve(size_t payload_bytes);

  // A record is built in place: StartRecord, append its payload to *payload(), Finish.
  // synced_offset is filled in.
  void StartRecord(const RecordHead& head);
  std::string* payload() { return &scratch_; }
  // Errors: any failure poisons the file, and whether the record is in it is unknown.
  absl::Status Finish();

  absl::Status Append(const RecordHead& head, std::string_view payload_bytes);

  // Makes the header durable before anything is appended, so that a file which lost its header is
  // known to be damaged. It says nothing of records: SyncedOffset stays 0, which readers take for a
  // statement about earlier files.
  absl::Status SyncHeader();

  // Durability: all records whose Finish had returned before the call survive power loss.
  absl::Status Sync();
  absl::Status Close() { return file_->Close(); }

  uint64_t Size() const { return size_.load(std::memory_order_acquire); }
  uint64_t SyncedOffset() const { return synced_offset_.load(std::memory_order_acquire); }
  const std::string& path() const { return path_; }

 private:
  LogWriter(std::unique_ptr<base::AppendableFile> file, std::string path, uint64_t checksum_seed);

  const std::unique_ptr<base::AppendableFile> file_;
  const std::string path_;
  const uint64_t checksum_seed_;
  // The appending thread's.
  std::string scratch_;
  size_t payload_begin_ = 0;
  RecordHead head_;
  // Written by the appending and the syncing thread respectively, read by both.
  std::atomic<uint64_t> size_{0};
  std::atomic<uint64_t> synced_offset_{0};
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_LOG_LOG_WRITER_H_
