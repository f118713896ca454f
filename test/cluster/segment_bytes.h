// Segments made by hand, for the tests of what reads them.
#ifndef BANDB_TEST_CLUSTER_SEGMENT_BYTES_H_
#define BANDB_TEST_CLUSTER_SEGMENT_BYTES_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "cluster/log_rig.h"
#include "cluster/segment_format.h"
#include "storage/file/file_header.h"

namespace bandb::cluster {

// Puts a file on the disk, durably.
inline void PutFile(test::CrashFileSystem* files, const std::string& path, std::string_view content) {
  if (!*files->Exists(path)) BANDB_ASSERT(files->Create(path, base::AppendMode::kWriteThrough).ok());
  files->SetContent(path, content);
}

class SegmentBytes {
 public:
  explicit SegmentBytes(char file_id = 'f', const storage::Uuid& database_id = RigDatabase()) {
    header_ = {.type = storage::FileType::kSegment, .database_id = database_id, .file_id = {}};
    header_.file_id.bytes.fill(file_id);
  }
  SegmentBytes& Add(storage::RecordHead head, std::string_view payload, uint64_t synced_offset = 0) {
    head.synced_offset = synced_offset;
    if (!IsEntry(head.type)) head.first_sequence = number_;
    offsets_.push_back(stream_.size());
    const size_t begin = storage::BeginRecord(&stream_, head);
    const size_t payload_begin = stream_.size();
    stream_.append(payload);
    storage::FinishRecord(&stream_, begin, payload_begin, head, seed(), begin);
    return *this;
  }
  SegmentBytes& Head(const SegmentHead& head) {
    std::string payload;
    const storage::RecordHead record = EncodeSegmentHead(head, &payload);
    number_ = head.number;
    return Add(record, payload);
  }
  SegmentBytes& Entry(const raft::Entry& entry, raft::Index commit = 0, uint64_t synced_offset = 0) {
    std::string payload;
    const storage::RecordHead record = EncodeEntry(entry, commit, &payload);
    return Add(record, payload, synced_offset);
  }
  SegmentBytes& HardState(const raft::HardState& state) {
    std::string payload;
    const storage::RecordHead record = EncodeHardState(state, &payload);
    return Add(record, payload);
  }
  SegmentBytes& Mark() {
    std::string payload;
    const storage::RecordHead record = EncodeSyncedMark(&payload);
    return Add(record, payload, stream_.size());
  }
  std::string bytes() const {
    std::string file = storage::EncodeFileHeader(header_);
    file.resize(kSectorBytes, '\0');
    AppendSectors(seed(), 0, stream_, &file);
    return file;
  }
  uint64_t seed() const { return header_.checksum_seed(); }
  uint64_t size() const { return stream_.size(); }
  // Where record `n` begins in the stream.
  uint64_t offset(size_t n) const { return offsets_[n]; }

 private:
  storage::FileHeader header_;
  uint64_t number_ = 0;
  std::string stream_;
  std::vector<uint64_t> offsets_;
};

}  // namespace bandb::cluster

#endif  // BANDB_TEST_CLUSTER_SEGMENT_BYTES_H_
