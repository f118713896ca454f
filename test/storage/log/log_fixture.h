// Log files made by hand, for the tests of what reads them.
#ifndef BANDB_TEST_STORAGE_LOG_LOG_FIXTURE_H_
#define BANDB_TEST_STORAGE_LOG_LOG_FIXTURE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "kv/batch_format.h"
#include "storage/file/file_header.h"
#include "storage/key/internal_key.h"
#include "storage/log/log_format.h"

namespace bandb::storage {

// The bytes of one log. Records count on in sequence, and say of themselves what a test asks.
class LogBytes {
 public:
  explicit LogBytes(uint64_t seed, Sequence first_sequence = 1, const Uuid& database_id = {},
                    FileType type = FileType::kLog)
      : sequence_(first_sequence) {
    base::Random random(seed);
    header_ = FileHeader{.type = type, .database_id = database_id, .file_id = RandomUuid(&random)};
    bytes_ = EncodeFileHeader(header_);
  }

  LogBytes& Add(RecordHead head, std::string_view payload) {
    offsets_.push_back(bytes_.size());
    const size_t begin = BeginRecord(&bytes_, head);
    const size_t payload_begin = bytes_.size();
    bytes_.append(payload);
    FinishRecord(&bytes_, begin, payload_begin, head, header_.checksum_seed(), begin);
    return *this;
  }
  LogBytes& Put(std::string_view key, std::string_view value, uint64_t synced_offset = 0) {
    std::string payload;
    kv::AppendOperation(&payload, {.kind = kv::Kind::kPut, .key = key, .value = value});
    Add({.term = 1, .first_sequence = sequence_, .commit_time_ms = 1000, .synced_offset = synced_offset}, payload);
    ++sequence_;
    return *this;
  }
  LogBytes& End(uint64_t synced_offset = 0) {
    return Add({.type = RecordType::kEnd, .term = 1, .first_sequence = sequence_, .synced_offset = synced_offset}, {});
  }
  LogBytes& Seal() {
    return Add({.type = RecordType::kSeal, .term = 1, .first_sequence = sequence_, .synced_offset = bytes_.size()}, {});
  }
  LogBytes& Skip(Sequence operations) {
    sequence_ += operations;
    return *this;
  }

  const std::string& bytes() const { return bytes_; }
  const FileHeader& header() const { return header_; }
  // Where each record begins.
  const std::vector<uint64_t>& offsets() const { return offsets_; }
  uint64_t size() const { return bytes_.size(); }

 private:
  FileHeader header_;
  Sequence sequence_;
  std::string bytes_;
  std::vector<uint64_t> offsets_;
};

}  // namespace bandb::storage

#endif  // BANDB_TEST_STORAGE_LOG_LOG_FIXTURE_H_
