// An atomic group of updates, optionally conditional.
#ifndef BANDB_WRITE_BATCH_H_
#define BANDB_WRITE_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace bandb {

// Collects operations that Store::Write applies all or none, in the order in which they were added:
// a later operation on a key wins over an earlier one. Conditions are checked against the state
// before the batch, whatever their place in it.
//
// Keys and values are copied in. Sizes are checked by Write, not here.
//
// Thread safety: like a std::string: const methods from any thread, others by one thread at a time.
class WriteBatch {
 public:
  WriteBatch() = default;
  WriteBatch(const WriteBatch&) = default;
  WriteBatch& operator=(const WriteBatch&) = default;
  // The one moved from is then empty, and can be filled again.
  WriteBatch(WriteBatch&& other) noexcept { *this = static_cast<WriteBatch&&>(other); }
  WriteBatch& operator=(WriteBatch&& other) noexcept;
  ~WriteBatch() = default;

  // Sets `key` to `value`.
  void Put(std::string_view key, std::string_view value);
  // Sets `key` to `value` for the next `ttl`, counted from the moment the write commits, in whole
  // milliseconds, rounded up. When the time is up the key is gone, older values included. An
  // infinite `ttl` is a Put; one of zero or less makes the write expire as it commits. The wall
  // clock decides; while it has been set back, time stands still at the latest moment that the
  // store has seen.
  void PutWithTtl(std::string_view key, std::string_view value, absl::Duration ttl);
  // Sets `key` to `value` until `expiry`, in whole milliseconds, rounded up; otherwise as
  // PutWithTtl.
  void PutUntil(std::string_view key, std::string_view value, absl::Time expiry);
  // Removes `key`, whether it exists or not.
  void Delete(std::string_view key);
  // Removes every key in [begin, limit). Write answers kInvalidArgument for an empty `limit`. An
  // inverted range is empty.
  void DeleteRange(std::string_view begin, std::string_view limit);

  // The batch applies only if every required condition holds at its place in the commit order; else
  // Write answers kAborted and changes nothing. This one: `key` has exactly `value`.
  void RequireValue(std::string_view key, std::string_view value);
  // Condition: `key` exists, whatever its value.
  void RequirePresent(std::string_view key);
  // Condition: `key` does not exist.
  void RequireAbsent(std::string_view key);

  // Forgets everything; keeps the memory.
  void Clear();

  // Operations and conditions.
  size_t Count() const { return operation_count_ + condition_count_; }
  // The size that limits apply to: the encoded batch, in bytes.
  size_t ByteSize() const { return operations_.size() + conditions_.size(); }

 private:
  friend class WriteBatchAccess;

  void Append(int kind, std::string_view key, std::string_view value, uint64_t ttl_ms);
  void AppendCondition(int check, std::string_view key);

  // Encoded as lib/kv/batch_format.h says.
  std::string operations_;
  std::string conditions_;
  uint32_t operation_count_ = 0;
  uint32_t condition_count_ = 0;
  uint32_t range_delete_count_ = 0;
  // The longest key added, so that Write can refuse it without decoding the batch.
  size_t key_bytes_max_ = 0;
  size_t value_bytes_max_ = 0;
  bool has_empty_limit_ = false;
  bool has_time_to_live_ = false;
};

}  // namespace bandb

#endif  // BANDB_WRITE_BATCH_H_
