#include "base/coding.h"

namespace bandb::base {

void PutVarint(std::string* to, uint64_t value) {
  char buffer[kVarint64BytesMax];
  to->append(buffer, static_cast<size_t>(StoreVarint(buffer, value) - buffer));
}

void PutLengthPrefixed(std::string* to, std::string_view bytes) {
  PutVarint(to, bytes.size());
  to->append(bytes);
}

bool ByteReader::ReadVarint(uint64_t* value) {
  uint64_t result = 0;
  size_t used = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (used == rest_.size()) return false;
    const uint64_t byte = static_cast<uint8_t>(rest_[used++]);
    // The tenth byte holds the one bit that is left of 64.
    if (shift == 63 && byte > 1) return false;
    result |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = result;
      rest_.remove_prefix(used);
      return true;
    }
  }
  return false;
}

bool ByteReader::ReadVarint32(uint32_t* value) {
  const std::string_view before = rest_;
  uint64_t wide = 0;
  if (!ReadVarint(&wide)) return false;
  if (wide > UINT32_MAX) {
    rest_ = before;
    return false;
  }
  *value = static_cast<uint32_t>(wide);
  return true;
}

bool ByteReader::ReadBytes(size_t count, std::string_view* bytes) {
  if (rest_.size() < count) return false;
  *bytes = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return true;
}

bool ByteReader::ReadLengthPrefixed(std::string_view* bytes) {
  const std::string_view before = rest_;
  uint64_t length = 0;
  if (!ReadVarint(&length)) return false;
  if (length > rest_.size()) {
    rest_ = before;
    return false;
  }
  return ReadBytes(static_cast<size_t>(length), bytes);
}

}  // namespace bandb::base
