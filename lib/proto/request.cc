#include "proto/request.h"

#include "proto/frame.h"
#include "proto/message_id.h"

namespace bandb::proto {

namespace {

constexpr uint8_t kScanReverse = 1;
constexpr uint8_t kScanKeysOnly = 2;
constexpr uint8_t kScanExpiries = 4;
constexpr uint8_t kScanSnapshot = 8;
constexpr uint8_t kScanFlags = kScanReverse | kScanKeysOnly | kScanExpiries | kScanSnapshot;

void AppendHeader(std::string* to, MessageId id, size_t payload_bytes) {
  base::PutFixed32(to, static_cast<uint32_t>(payload_bytes));
  base::PutFixed32(to, static_cast<uint32_t>(id));
}

void AppendKeyFrame(std::string* to, MessageId id, std::string_view key) {
  AppendHeader(to, id, sizeof(uint32_t) + key.size());
  PutLength(to, key);
  to->append(key);
}

bool ReadLengths(base::ByteReader* reader, uint8_t* first, uint32_t* key_bytes, uint32_t* value_bytes) {
  return reader->ReadFixed(first) && reader->ReadFixed(key_bytes) && reader->ReadFixed(value_bytes);
}

bool ReadCredentials(base::ByteReader* reader, Hello* hello) {
  if ((hello->features & kFeatureUsers) == 0) return true;
  uint32_t user_bytes = 0, token_bytes = 0;
  return reader->ReadFixed(&user_bytes) && reader->ReadFixed(&token_bytes) && user_bytes <= kHelloUserBytesMax &&
         token_bytes <= kHelloTokenBytesMax && reader->ReadBytes(user_bytes, &hello->user) &&
         reader->ReadBytes(token_bytes, &hello->token);
}

}  // namespace

bool DecodePut(std::string_view payload, std::string_view* key, std::string_view* value) {
  base::ByteReader reader(payload);
  uint32_t key_bytes = 0, value_bytes = 0;
  return reader.ReadFixed(&key_bytes) && reader.ReadFixed(&value_bytes) && reader.ReadBytes(key_bytes, key) &&
         reader.ReadBytes(value_bytes, value) && reader.empty();
}

bool DecodeKey(std::string_view payload, std::string_view* key) {
  base::ByteReader reader(payload);
  uint32_t key_bytes = 0;
  return reader.ReadFixed(&key_bytes) && reader.ReadBytes(key_bytes, key) && reader.empty();
}

bool DecodeHello(std::string_view payload, Hello* hello) {
  base::ByteReader reader(payload);
  uint32_t name_bytes = 0;
  return reader.ReadFixed(&hello->version_min) && reader.ReadFixed(&hello->version_max) &&
         reader.ReadFixed(&hello->features) && reader.ReadFixed(&name_bytes) && name_bytes <= kHelloNameBytesMax &&
         reader.ReadBytes(name_bytes, &hello->name) && ReadCredentials(&reader, hello) && reader.empty() &&
         hello->version_min <= hello->version_max;
}

BatchReader::BatchReader(std::string_view payload) : reader_(payload) {
  uint8_t flags = 0;
  ok_ = reader_.ReadFixed(&flags) && flags == 0 && reader_.ReadFixed(&conditions_left_) &&
        reader_.ReadFixed(&operations_left_);
}

bool BatchReader::NextCondition(BatchCondition* condition) {
  if (!ok_ || conditions_left_ == 0) return false;
  uint8_t check = 0;
  uint32_t key_bytes = 0, value_bytes = 0;
  ok_ = ReadLengths(&reader_, &check, &key_bytes, &value_bytes) && check <= static_cast<uint8_t>(BatchCheck::kAbsent) &&
        (check == static_cast<uint8_t>(BatchCheck::kHasValue) || value_bytes == 0) &&
        reader_.ReadBytes(key_bytes, &condition->key) && reader_.ReadBytes(value_bytes, &condition->value);
  condition->check = static_cast<BatchCheck>(check);
  if (ok_) --conditions_left_;
  return ok_;
}

bool ReadOperation(base::ByteReader* reader, BatchOperation* operation) {
  uint8_t kind = 0;
  uint32_t key_bytes = 0, value_bytes = 0;
  operation->ttl_ms = 0;
  operation->expires_ms = 0;
  const bool ok = ReadLengths(reader, &kind, &key_bytes, &value_bytes) &&
                  kind <= static_cast<uint8_t>(BatchKind::kPutUntil) &&
                  (kind != static_cast<uint8_t>(BatchKind::kDelete) || value_bytes == 0) &&
                  (kind != static_cast<uint8_t>(BatchKind::kPutWithTtl) || reader->ReadFixed(&operation->ttl_ms)) &&
                  (kind != static_cast<uint8_t>(BatchKind::kPutUntil) || reader->ReadFixed(&operation->expires_ms)) &&
                  reader->ReadBytes(key_bytes, &operation->key) && reader->ReadBytes(value_bytes, &operation->value);
  operation->kind = static_cast<BatchKind>(kind);
  return ok;
}

bool BatchReader::NextOperation(BatchOperation* operation) {
  if (!ok_ || conditions_left_ != 0 || operations_left_ == 0) return false;
  ok_ = ReadOperation(&reader_, operation);
  if (ok_) --operations_left_;
  return ok_;
}

bool DecodeScan(std::string_view payload, Scan* scan) {
  base::ByteReader reader(payload);
  uint8_t flags = 0;
  uint32_t begin_bytes = 0, limit_bytes = 0, cursor_bytes = 0;
  const bool ok = reader.ReadFixed(&flags) && (flags & ~kScanFlags) == 0 && reader.ReadFixed(&scan->entries_max) &&
                  reader.ReadFixed(&scan->bytes_max) && reader.ReadFixed(&begin_bytes) &&
                  reader.ReadFixed(&limit_bytes) && reader.ReadFixed(&cursor_bytes) &&
                  ((flags & kScanSnapshot) == 0 || (reader.ReadFixed(&scan->snapshot) && scan->snapshot != 0)) &&
                  reader.ReadBytes(begin_bytes, &scan->begin) && reader.ReadBytes(limit_bytes, &scan->limit) &&
                  reader.ReadBytes(cursor_bytes, &scan->cursor) && reader.empty();
  scan->reverse = (flags & kScanReverse) != 0;
  scan->keys_only = (flags & kScanKeysOnly) != 0;
  scan->expiries = (flags & kScanExpiries) != 0;
  return ok;
}

bool DecodeSnapshot(std::string_view payload, SnapshotRequest* snapshot) {
  base::ByteReader reader(payload);
  uint8_t action = 0;
  if (!reader.ReadFixed(&action) || action > static_cast<uint8_t>(SnapshotAction::kDrop)) return false;
  if (!reader.ReadFixed(&snapshot->lease_ms) || !reader.ReadFixed(&snapshot->id) || !reader.empty()) return false;
  snapshot->action = static_cast<SnapshotAction>(action);
  const bool takes = snapshot->action == SnapshotAction::kTake;
  return takes == (snapshot->id == 0) && (snapshot->action != SnapshotAction::kDrop || snapshot->lease_ms == 0);
}

bool DecodeAdmin(std::string_view payload, std::vector<std::string_view>* words) {
  base::ByteReader reader(payload);
  uint32_t count = 0;
  words->clear();
  if (!reader.ReadFixed(&count) || count > kAdminWordsMax) return false;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t bytes = 0;
    if (!reader.ReadFixed(&bytes) || !reader.ReadBytes(bytes, &words->emplace_back())) return false;
  }
  return reader.empty();
}

void AppendPut(std::string* to, std::string_view key, std::string_view value) {
  AppendHeader(to, MessageId::kPut, 2 * sizeof(uint32_t) + key.size() + value.size());
  PutLength(to, key);
  PutLength(to, value);
  to->append(key).append(value);
}

void AppendGet(std::string* to, std::string_view key) { AppendKeyFrame(to, MessageId::kGet, key); }

void AppendDelete(std::string* to, std::string_view key) { AppendKeyFrame(to, MessageId::kDelete, key); }

void AppendHello(std::string* to, const Hello& hello) {
  const bool with_user = (hello.features & kFeatureUsers) != 0;
  const size_t user_bytes = with_user ? 2 * sizeof(uint32_t) + hello.user.size() + hello.token.size() : 0;
  AppendHeader(to, MessageId::kHello,
               2 * sizeof(uint16_t) + sizeof(uint64_t) + sizeof(uint32_t) + hello.name.size() + user_bytes);
  base::PutFixed16(to, hello.version_min);
  base::PutFixed16(to, hello.version_max);
  base::PutFixed64(to, hello.features);
  PutLength(to, hello.name);
  to->append(hello.name);
  if (!with_user) return;
  PutLength(to, hello.user);
  PutLength(to, hello.token);
  to->append(hello.user).append(hello.token);
}

void AppendPing(std::string* to, std::string_view payload) {
  AppendFrame(to, static_cast<uint32_t>(MessageId::kPing), payload);
}

void AppendScan(std::string* to, const Scan& scan) {
  AppendHeader(to, MessageId::kScan,
               1 + 5 * sizeof(uint32_t) + (scan.snapshot == 0 ? 0 : sizeof(uint64_t)) + scan.begin.size() +
                   scan.limit.size() + scan.cursor.size());
  base::PutFixed8(to,
                  static_cast<uint8_t>((scan.reverse ? kScanReverse : 0) | (scan.keys_only ? kScanKeysOnly : 0) |
                                       (scan.expiries ? kScanExpiries : 0) | (scan.snapshot == 0 ? 0 : kScanSnapshot)));
  base::PutFixed32(to, scan.entries_max);
  base::PutFixed32(to, scan.bytes_max);
  PutLength(to, scan.begin);
  PutLength(to, scan.limit);
  PutLength(to, scan.cursor);
  if (scan.snapshot != 0) base::PutFixed64(to, scan.snapshot);
  to->append(scan.begin).append(scan.limit).append(scan.cursor);
}

void AppendSnapshot(std::string* to, const SnapshotRequest& snapshot) {
  AppendHeader(to, MessageId::kSnapshot, 1 + sizeof(uint32_t) + sizeof(uint64_t));
  base::PutFixed8(to, static_cast<uint8_t>(snapshot.action));
  base::PutFixed32(to, snapshot.lease_ms);
  base::PutFixed64(to, snapshot.id);
}

void AppendStats(std::string* to) { AppendHeader(to, MessageId::kStats, 0); }

void AppendAdmin(std::string* to, absl::Span<const std::string_view> words) {
  size_t bytes = sizeof(uint32_t);
  for (const std::string_view word : words) bytes += sizeof(uint32_t) + word.size();
  AppendHeader(to, MessageId::kAdmin, bytes);
  base::PutFixed32(to, static_cast<uint32_t>(words.size()));
  for (const std::string_view word : words) {
    PutLength(to, word);
    to->append(word);
  }
}

void BatchBuilder::Require(const BatchCondition& condition) {
  base::PutFixed8(&conditions_, static_cast<uint8_t>(condition.check));
  PutLength(&conditions_, condition.key);
  PutLength(&conditions_, condition.value);
  conditions_.append(condition.key).append(condition.value);
  ++condition_count_;
}

void AppendOperation(std::string* to, const BatchOperation& operation) {
  base::PutFixed8(to, static_cast<uint8_t>(operation.kind));
  PutLength(to, operation.key);
  PutLength(to, operation.value);
  if (operation.kind == BatchKind::kPutWithTtl) base::PutFixed64(to, operation.ttl_ms);
  if (operation.kind == BatchKind::kPutUntil) base::PutFixed64(to, operation.expires_ms);
  to->append(operation.key).append(operation.value);
}

void BatchBuilder::Add(const BatchOperation& operation) {
  AppendOperation(&operations_, operation);
  ++operation_count_;
}

void BatchBuilder::AppendTo(std::string* to) const {
  AppendHeader(to, MessageId::kBatch, 1 + 2 * sizeof(uint32_t) + conditions_.size() + operations_.size());
  base::PutFixed8(to, 0);
  base::PutFixed32(to, condition_count_);
  base::PutFixed32(to, operation_count_);
  to->append(conditions_).append(operations_);
}

}  // namespace bandb::proto
