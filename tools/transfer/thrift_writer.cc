#include "transfer/thrift_writer.h"

#include "base/assert.h"

namespace bandb::transfer {

namespace {

constexpr int kShortDeltaMax = 15;
constexpr size_t kShortCountMax = 14;

}  // namespace

void ThriftWriter::Unsigned(uint64_t value) {
  while (value >= 0x80) {
    to_->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  to_->push_back(static_cast<char>(value));
}

void ThriftWriter::Signed(int64_t value) {
  Unsigned(static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63));
}

void ThriftWriter::Head(int id, ThriftType type) {
  BANDB_ASSERT(!last_ids_.empty());
  const int delta = id - last_ids_.back();
  BANDB_ASSERT(delta > 0);
  last_ids_.back() = id;
  if (delta <= kShortDeltaMax) {
    to_->push_back(static_cast<char>(delta << 4 | static_cast<int>(type)));
    return;
  }
  to_->push_back(static_cast<char>(type));
  Signed(id);
}

void ThriftWriter::I32(int id, int32_t value) {
  Head(id, ThriftType::kI32);
  Signed(value);
}

void ThriftWriter::I64(int id, int64_t value) {
  Head(id, ThriftType::kI64);
  Signed(value);
}

void ThriftWriter::ElementBinary(std::string_view bytes) {
  Unsigned(bytes.size());
  to_->append(bytes);
}

void ThriftWriter::Binary(int id, std::string_view bytes) {
  Head(id, ThriftType::kBinary);
  ElementBinary(bytes);
}

void ThriftWriter::Begin(int id) {
  Head(id, ThriftType::kStruct);
  last_ids_.push_back(0);
}

void ThriftWriter::List(int id, ThriftType elements, size_t count) {
  Head(id, ThriftType::kList);
  const int type = static_cast<int>(elements);
  if (count <= kShortCountMax) {
    to_->push_back(static_cast<char>(static_cast<int>(count) << 4 | type));
    return;
  }
  to_->push_back(static_cast<char>(0xf0 | type));
  Unsigned(count);
}

void ThriftWriter::End() {
  BANDB_ASSERT(!last_ids_.empty());
  last_ids_.pop_back();
  to_->push_back('\0');
}

}  // namespace bandb::transfer
