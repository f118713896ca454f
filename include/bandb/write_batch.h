// An atomic group of updates, optionally conditional.
#ifndef BANDB_WRITE_BATCH_H_
#define BANDB_WRITE_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace bandb {

// What one item of a batch is: an operation, or a condition.
enum class BatchItemKind : int {
  kPut = 0,
  kPutWithTtl = 1,
  kPutUntil = 2,
  kDelete = 3,
  kDeleteRange = 4,
  kRequireValue = 5,
  kRequirePresent = 6,
  kRequireAbsent = 7,
  kRequireVersion = 8,
  kRequireEmptyRange = 9,
};

// One item of a batch, as the call that added it was given it, times in whole milliseconds; what
// the kind does not have is as here.
// Lifetime: the bytes are those of the batch, until it is changed.
struct BatchItem {
  BatchItemKind kind = BatchItemKind::kPut;
  std::string_view key{};    // the begin of a range
  std::string_view value{};  // of a put, and of RequireValue
  std::string_view limit{};  // of a range
  absl::Duration ttl = absl::InfiniteDuration();
  absl::Time expiry = absl::InfiniteFuture();
  uint64_t version = 0;

  // Whether it is a condition.
  bool IsCondition() const { return kind >= BatchItemKind::kRequireValue; }
};

// Collects operations that Store::Write applies all or none, in the order in which they were added:
// a later operation on a key wins over an earlier one. Conditions are checked against the state
// before the batch, whatever their place in it.
//
// Keys and values are copied in. Sizes are checked by Write, not here. Where there is no memory for
// it a call throws std::bad_alloc, and the batch is what it was before.
//
// Thread safety: like a std::string: const methods from any thread, others by one thread at a time.
class WriteBatch {
 public:
  WriteBatch() = default;
  WriteBatch(const WriteBatch&) = default;
  WriteBatch& operator=(const WriteBatch& other);
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
  // Condition: the newest value of `key` is the one that was written with this version (see
  // Entry::version), 0: `key` does not exist. So nothing was written to it since it was read, not
  // even something else and then the same value again. A CompactionFilter writes nothing: what it
  // changes keeps its version, and the condition holds.
  void RequireVersion(std::string_view key, uint64_t version);
  // Condition: no key exists in [begin, limit); an empty `limit` is unbounded, an inverted range is
  // empty. While it is checked other writes wait, and what was deleted and not compacted yet in the
  // range takes time.
  void RequireEmptyRange(std::string_view begin, std::string_view limit);

  // Adds what an item says, as the call of its name would.
  void Add(const BatchItem& item);
  // Adds all of `other`, its operations after those that are here.
  void Append(const WriteBatch& other);
  // Calls `visit` with each item: the conditions in the order in which they were added, then the
  // operations in theirs. It must not change the batch.
  void ForEach(absl::FunctionRef<void(const BatchItem& item)> visit) const;

  // The batch as bytes that Parse takes, of this release or a later one: to be kept, or sent
  // elsewhere. A time to live stays one, and counts from the moment at which the batch is written.
  std::string Serialize() const;
  // The batch that Serialize made bytes of. Any bytes may be given. Sizes are checked by Write.
  // Errors: kDataLoss a checksum failed, or they are something else; kFailedPrecondition they are
  // of a newer format than this release knows.
  static absl::StatusOr<WriteBatch> Parse(std::string_view bytes);

  // Forgets everything; keeps the memory.
  void Clear();

  // Operations and conditions.
  size_t Count() const { return operation_count_ + condition_count_; }
  // Operations alone: as many sequences the batch takes.
  size_t OperationCount() const { return operation_count_; }
  // Conditions alone.
  size_t ConditionCount() const { return condition_count_; }
  // Whether there is neither.
  bool empty() const { return Count() == 0; }
  // The size that limits apply to: the encoded batch, in bytes.
  size_t ByteSize() const { return operations_.size() + conditions_.size(); }

 private:
  friend class WriteBatchAccess;

  void AppendOperation(int kind, std::string_view key, std::string_view value, uint64_t ttl_ms);
  void AppendCondition(int check, std::string_view key, std::string_view value, uint64_t version);

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
