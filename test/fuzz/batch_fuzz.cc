// Any bytes as the operations or the conditions of a batch, or as all of it: malformed, or the same
// when they are written and read again.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "bandb/write_batch.h"
#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "kv/batch_format.h"
#include "support/absolute_times.h"

namespace bandb::kv {

namespace {

void TryOperations(std::string_view bytes) {
  OperationReader cursor(bytes);
  Operation operation;
  std::string encoded;
  size_t count = 0;
  while (cursor.Next(&operation)) {
    const size_t before = encoded.size();
    AppendOperation(&encoded, operation);
    BANDB_ASSERT(encoded.size() - before == EncodedBytes(operation));
    ++count;
  }
  BANDB_ASSERT(cursor.ok() || !cursor.Next(&operation));
  // Written again, they are the same; and with their times resolved, still as many.
  constexpr uint64_t kNowMs = uint64_t{1} << 60;
  std::string resolved = encoded;
  test::MakeTimesAbsolute(&resolved, kNowMs);
  BANDB_ASSERT(resolved.size() == encoded.size());
  OperationReader first(encoded), second(resolved);
  Operation a, b;
  size_t again = 0;
  while (first.Next(&a)) {
    BANDB_ASSERT(second.Next(&b));
    BANDB_ASSERT(a.kind == b.kind && a.key == b.key && a.value == b.value);
    BANDB_ASSERT(b.expiry_ms == (a.kind == Kind::kPutWithExpiry ? ExpiryAt(kNowMs, a.expiry_ms) : a.expiry_ms));
    ++again;
  }
  BANDB_ASSERT(first.ok() && again == count && !second.Next(&b));
}

void TryConditions(std::string_view bytes) {
  ConditionReader cursor(bytes);
  Condition condition;
  size_t read_bytes = 0;
  while (cursor.Next(&condition)) read_bytes += 2 + condition.key.size() + condition.value.size();
  BANDB_ASSERT(read_bytes <= bytes.size());
  BANDB_ASSERT(!cursor.Next(&condition));
}

// As the bytes of a batch, checksum and all; and, so that more than the checksum is tried, with the
// right one.
void TrySerialized(std::string_view bytes) {
  std::string sealed(bytes);
  base::PutFixed64(&sealed, base::Hash64(sealed));
  for (const std::string_view given : {bytes, std::string_view(sealed)}) {
    const absl::StatusOr<WriteBatch> parsed = WriteBatch::Parse(given);
    if (!parsed.ok()) continue;
    BANDB_ASSERT(parsed->ByteSize() <= given.size());
    WriteBatch added;
    parsed->ForEach([&](const BatchItem& item) { added.Add(item); });
    BANDB_ASSERT(added.Serialize() == parsed->Serialize());
    BANDB_ASSERT(WriteBatch::Parse(parsed->Serialize()).ok());
  }
}

}  // namespace

}  // namespace bandb::kv

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Memory of exactly that size, so that a sanitizer sees every read beyond it.
  const std::unique_ptr<char[]> memory(new char[size]);
  if (size > 0) std::memcpy(memory.get(), data, size);
  const std::string_view bytes(memory.get(), size);
  bandb::kv::TryOperations(bytes);
  bandb::kv::TryConditions(bytes);
  bandb::kv::TrySerialized(bytes);
  return 0;
}
