// Appends records to one segment (segment_format.h).
#ifndef BANDB_CLUSTER_SEGMENT_WRITER_H_
#define BANDB_CLUSTER_SEGMENT_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "storage/file/file_header.h"
#include "storage/log/log_format.h"

namespace bandb::cluster {

// Thread safety: one thread at a time, except for Sync and Close, which may run on another one.
class SegmentWriter {
 public:
  // Creates the file, makes room for `segment_bytes`, and makes its header durable; its name needs
  // SyncDir. Errors: as the file system says; then a file may be left that no log counts.
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Create(base::FileSystem* files, const std::string& path,
                                                               uint64_t number, const storage::FileHeader& header,
                                                               uint64_t segment_bytes);

  // Whether a record with this payload fits in the room that was made.
  bool HasRoom(size_t payload_bytes) const;
  // Makes room for it, if there is none. Errors: as AppendableFile::Reserve.
  absl::Status MakeRoom(size_t payload_bytes);
  // Appends a record; its synced offset is filled in. What has no room asks for more of it first.
  // Errors: any failure poisons the file, but for kResourceExhausted, which changes nothing.
  absl::Status Append(storage::RecordHead head, std::string_view payload);

  // Durability: everything that was appended before the call.
  absl::Status Sync() { return file_->Sync(); }
  absl::Status Close() { return file_->Close(); }
  // A Sync that was begun at this size has returned OK, and so have those of all earlier segments.
  void SetSynced(uint64_t size) { synced_ = size; }

  uint64_t number() const { return number_; }
  uint64_t checksum_seed() const { return checksum_seed_; }
  // Bytes of the stream.
  uint64_t size() const { return size_; }
  uint64_t synced() const { return synced_; }

 private:
  SegmentWriter(std::unique_ptr<base::AppendableFile> file, uint64_t number, uint64_t checksum_seed, uint64_t room_end);

  const std::unique_ptr<base::AppendableFile> file_;
  const uint64_t number_;
  const uint64_t checksum_seed_;
  // Of the file; what is before it has room.
  uint64_t room_end_;
  uint64_t size_ = 0;
  uint64_t synced_ = 0;
  std::string record_;
  std::string sectors_;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_SEGMENT_WRITER_H_
