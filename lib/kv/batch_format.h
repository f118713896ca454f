// The encoding of a batch: what a WriteBatch holds, what a log record carries, what a Raft entry
// carries.
//
//   operations := operation*
//   operation  := kind:u8 length:varint key[length] rest
//   rest       := length:varint value[length]                              kind = put
//               | expiry_ms:u64 length:varint value[length]                kind = put with expiry
//               |                                                          kind = delete
//               | length:varint limit[length]                              kind = range delete, key is its begin
//   conditions := condition*
//   condition  := check:u8 length:varint key[length] more
//   more       := length:varint value[length]                              check = has value
//               |                                                          check = present, absent
//               | version:varint                                           check = has version; 0: absent
//               | length:varint limit[length]                              check = empty range, key is its begin
//
// The kinds are those of the internal key (lib/storage/key/internal_key.h), fixed by
// docs/file-formats.md. In a batch that was not yet committed, `expiry_ms` of a put with expiry is
// the time to live, or kAbsoluteExpiry and the absolute time; committing it leaves the absolute
// time (ExpiryAt).
#ifndef BANDB_KV_BATCH_FORMAT_H_
#define BANDB_KV_BATCH_FORMAT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bandb/write_batch.h"

namespace bandb::kv {

// What an operation does, and what a stored entry is. The numbers are part of every format.
enum class Kind : uint8_t {
  kDelete = 0,
  kPut = 1,
  kPutWithExpiry = 2,
  kRangeDelete = 3,
  // Reserved for values that are kept apart from their keys.
  kBlobReference = 4,
  kBlobReferenceWithExpiry = 5,
};

// What a condition asks. The numbers are part of the log of a cluster.
enum class Check : uint8_t { kHasValue = 0, kPresent = 1, kAbsent = 2, kHasVersion = 3, kEmptyRange = 4 };

struct Operation {
  Kind kind = Kind::kPut;
  std::string_view key;    // the begin of a range delete
  std::string_view value;  // the limit of a range delete
  uint64_t expiry_ms = 0;  // of a put with expiry
};

struct Condition {
  Check check = Check::kPresent;
  std::string_view key;    // the begin of a range
  std::string_view value;  // the limit of a range; empty: unbounded
  uint64_t version = 0;    // of a version
};

// Whether a condition on a key holds of the key as it is: its value, nothing if it is absent, and
// its version. Not for a condition on a range.
bool Holds(const Condition& condition, const std::optional<std::string_view>& value, uint64_t version);

// Walks encoded operations. Usage: while (cursor.Next(&operation)) ...; if (!cursor.ok()) the bytes
// are malformed.
class OperationReader {
 public:
  explicit OperationReader(std::string_view operations) : rest_(operations) {}
  // False at the end and on malformed bytes. The views point into the bytes that were given.
  bool Next(Operation* operation);
  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

class ConditionReader {
 public:
  explicit ConditionReader(std::string_view conditions) : rest_(conditions) {}
  bool Next(Condition* condition);
  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// Whether its key and value may be so long: no door lets more through, and tables could not hold
// it.
bool IsWithinLimits(const Operation& operation);
bool IsWithinLimits(const Condition& condition);

// Makes room for so many bytes more, which then are appended without an allocation; as the string
// itself grows, so that many small calls take linear time.
void ReserveMore(std::string* to, size_t bytes);
// Appends one encoded operation, one condition; all of it, or std::bad_alloc and nothing.
void AppendOperation(std::string* to, const Operation& operation);
void AppendCondition(std::string* to, const Condition& condition);
size_t EncodedBytes(const Operation& operation);
size_t EncodedBytes(const Condition& condition);

// Marks, in a batch that was not yet committed, an expiry that is absolute.
inline constexpr uint64_t kAbsoluteExpiry = uint64_t{1} << 63;

// now + ttl without overflow, or the absolute time that `ttl_ms` holds.
uint64_t ExpiryAt(uint64_t now_ms, uint64_t ttl_ms);

}  // namespace bandb::kv

namespace bandb {

// What stores may see of a WriteBatch.
class WriteBatchAccess {
 public:
  static const std::string& Operations(const WriteBatch& batch) { return batch.operations_; }
  static const std::string& Conditions(const WriteBatch& batch) { return batch.conditions_; }
  static uint32_t OperationCount(const WriteBatch& batch) { return batch.operation_count_; }
  static uint32_t RangeDeleteCount(const WriteBatch& batch) { return batch.range_delete_count_; }
  static size_t KeyBytesMax(const WriteBatch& batch) { return batch.key_bytes_max_; }
  static size_t ValueBytesMax(const WriteBatch& batch) { return batch.value_bytes_max_; }
  static bool HasEmptyLimit(const WriteBatch& batch) { return batch.has_empty_limit_; }
  static bool HasTimeToLive(const WriteBatch& batch) { return batch.has_time_to_live_; }
};

}  // namespace bandb

#endif  // BANDB_KV_BATCH_FORMAT_H_
