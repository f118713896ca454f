// Payloads of requests, byte by byte. All integers little-endian.
//
//   PUT        := keyLen:u32 valueLen:u32 key value
//   GET        := keyLen:u32 key
//   DELETE     := keyLen:u32 key
//   HELLO      := versionMin:u16 versionMax:u16 features:u64 nameLen:u32 name
//                 [userLen:u32 tokenLen:u32 user token, with feature 2]
//   PING       := any bytes, at most 1024
//   BATCH      := flags:u8 conditionCount:u32 operationCount:u32 condition* operation*     flags = 0
//   condition  := check:u8 keyLen:u32 valueLen:u32 key value
//                 0 has value, 1 present, 2 absent; a value for 0 only
//   operation  := kind:u8 keyLen:u32 valueLen:u32 [ttlMs:u64 | expiresMs:u64] key value
//                 0 delete (no value), 1 put, 2 put with ttlMs, 3 range delete [key, value), 4 put with expiresMs
//   SCAN       := flags:u8 entriesMax:u32 bytesMax:u32 beginLen:u32 limitLen:u32 cursorLen:u32 [snapshot:u64]
//                 begin limit cursor
//                 flags: 1 from the end backwards, 2 keys without their values, 4 with expiries, 8 of a snapshot
//   SNAPSHOT   := action:u8 leaseMs:u32 id:u64
//                 action: 0 take (no id), 1 renew, 2 drop (no lease)
//   STATS      := nothing
//   ADMIN      := wordCount:u32 (wordLen:u32 word)*                       at most 64
//
// Those of the change feed are in changes.h.
//
// A payload is well-formed only if its lengths add up to exactly its size. Decoders answer false
// otherwise; their views point into the payload, and nothing is allocated by a length or count that
// was not checked against it.
#ifndef BANDB_PROTO_REQUEST_H_
#define BANDB_PROTO_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "base/coding.h"

namespace bandb::proto {

inline constexpr uint16_t kProtocolVersion = 1;
inline constexpr size_t kPingBytesMax = 1024;
inline constexpr size_t kHelloNameBytesMax = 256;
inline constexpr size_t kHelloUserBytesMax = 64;
inline constexpr size_t kHelloTokenBytesMax = 1024;
// Of a request: a user and a token follow the name. Of a reply: the server serves users only.
inline constexpr uint64_t kFeatureUsers = 2;

bool DecodePut(std::string_view payload, std::string_view* key, std::string_view* value);
// GET and DELETE.
bool DecodeKey(std::string_view payload, std::string_view* key);

struct Hello {
  uint16_t version_min = kProtocolVersion;
  uint16_t version_max = kProtocolVersion;
  uint64_t features = 0;    // a server ignores bits that it does not know
  std::string_view name{};  // of the client, for logs
  std::string_view user{};  // with kFeatureUsers
  std::string_view token{};
};
bool DecodeHello(std::string_view payload, Hello* hello);

enum class BatchCheck : uint8_t { kHasValue = 0, kPresent = 1, kAbsent = 2 };
struct BatchCondition {
  BatchCheck check = BatchCheck::kPresent;
  std::string_view key{};
  std::string_view value{};
};

enum class BatchKind : uint8_t { kDelete = 0, kPut = 1, kPutWithTtl = 2, kRangeDelete = 3, kPutUntil = 4 };
struct BatchOperation {
  BatchKind kind = BatchKind::kPut;
  std::string_view key{};
  std::string_view value{};  // the limit of a range delete
  uint64_t ttl_ms = 0;       // of kPutWithTtl; from 2^63 on: without end
  uint64_t expires_ms = 0;   // of kPutUntil, since 1970; likewise
};

// An operation as BATCH has it. False: it does not add up.
bool ReadOperation(base::ByteReader* reader, BatchOperation* operation);
void AppendOperation(std::string* to, const BatchOperation& operation);
// As AppendOperation takes it.
inline size_t OperationBytes(const BatchOperation& operation) {
  const bool timed = operation.kind == BatchKind::kPutWithTtl || operation.kind == BatchKind::kPutUntil;
  return 1 + 2 * sizeof(uint32_t) + (timed ? sizeof(uint64_t) : 0) + operation.key.size() + operation.value.size();
}

// Of one condition or operation.
inline constexpr size_t kBatchEntryBytesMin = 1 + 2 * sizeof(uint32_t);

// Walks a BATCH. Usage: while (cursor.NextCondition(&c)) ...; while (cursor.NextOperation(&o)) ...;
// then Complete() tells whether the payload was well-formed.
class BatchReader {
 public:
  explicit BatchReader(std::string_view payload);
  bool NextCondition(BatchCondition* condition);
  bool NextOperation(BatchOperation* operation);
  // Everything announced was there, and nothing else.
  bool Complete() const { return ok_ && conditions_left_ == 0 && operations_left_ == 0 && reader_.empty(); }
  uint32_t conditions_left() const { return conditions_left_; }
  uint32_t operations_left() const { return operations_left_; }

 private:
  base::ByteReader reader_;
  bool ok_ = false;
  uint32_t conditions_left_ = 0;
  uint32_t operations_left_ = 0;
};

struct Scan {
  bool reverse = false;
  bool keys_only = false;
  bool expiries = false;     // each entry tells when it expires
  uint32_t entries_max = 0;  // 0: as many as the server likes
  uint32_t bytes_max = 0;    // of the reply; 0: as many as the server likes
  std::string_view begin{};  // the range is [begin, limit), empty means unbounded
  std::string_view limit{};
  std::string_view cursor{};  // of the reply before; empty at first
  uint64_t snapshot = 0;      // 0: none, the state is that of the moment
};
bool DecodeScan(std::string_view payload, Scan* scan);

enum class SnapshotAction : uint8_t { kTake = 0, kRenew = 1, kDrop = 2 };
struct SnapshotRequest {
  SnapshotAction action = SnapshotAction::kTake;
  uint32_t lease_ms = 0;  // 0: as long as the server likes
  uint64_t id = 0;        // never 0 but to take one
};
bool DecodeSnapshot(std::string_view payload, SnapshotRequest* snapshot);

inline constexpr size_t kAdminWordsMax = 64;
bool DecodeAdmin(std::string_view payload, std::vector<std::string_view>* words);

// Whole frames, for clients. Their sizes must be within the limits, which the server checks again.
void AppendPut(std::string* to, std::string_view key, std::string_view value);
void AppendGet(std::string* to, std::string_view key);
void AppendDelete(std::string* to, std::string_view key);
void AppendHello(std::string* to, const Hello& hello);
void AppendPing(std::string* to, std::string_view payload);
void AppendScan(std::string* to, const Scan& scan);
void AppendSnapshot(std::string* to, const SnapshotRequest& snapshot);
void AppendStats(std::string* to);
void AppendAdmin(std::string* to, absl::Span<const std::string_view> words);

// Builds the frame of one BATCH.
class BatchBuilder {
 public:
  void Require(const BatchCondition& condition);
  void Add(const BatchOperation& operation);
  void AppendTo(std::string* to) const;

 private:
  std::string conditions_;
  std::string operations_;
  uint32_t condition_count_ = 0;
  uint32_t operation_count_ = 0;
};

}  // namespace bandb::proto

#endif  // BANDB_PROTO_REQUEST_H_
