// Times to live as a commit makes them absolute, for tests that commit by themselves.
#ifndef BANDB_TEST_SUPPORT_ABSOLUTE_TIMES_H_
#define BANDB_TEST_SUPPORT_ABSOLUTE_TIMES_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "base/coding.h"
#include "kv/batch_format.h"

namespace bandb::test {

// Turns the time to live of every put with expiry into the absolute time, in place.
inline void MakeTimesAbsolute(std::string* operations, uint64_t now_ms) {
  kv::OperationReader reader(*operations);
  kv::Operation operation;
  while (reader.Next(&operation)) {
    if (operation.kind != kv::Kind::kPutWithExpiry) continue;
    // The expiry follows the key.
    const size_t at = static_cast<size_t>(operation.key.data() + operation.key.size() - operations->data());
    base::StoreFixed<uint64_t>(operations->data() + at, kv::ExpiryAt(now_ms, operation.expiry_ms));
  }
  BANDB_ASSERT(reader.ok());
}

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_ABSOLUTE_TIMES_H_
