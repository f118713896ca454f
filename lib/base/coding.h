// Little-endian fixed-width integers and LEB128 varints, appended to strings and read back with
// every bound checked.
//
// Every format of BanDB is built of these. A reader never trusts a length: ByteReader answers false
// and stays where it is when the bytes run out, so that a decoder is a chain of conditions.
#ifndef BANDB_BASE_CODING_H_
#define BANDB_BASE_CODING_H_

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace bandb::base {

static_assert(std::endian::native == std::endian::little,
              "the codecs below copy little-endian integers as they lie in memory");

template <typename Integer>
inline void StoreFixed(char* to, Integer value) {
  std::memcpy(to, &value, sizeof(value));
}
template <typename Integer>
inline Integer LoadFixed(const char* from) {
  Integer value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

inline void PutFixed8(std::string* to, uint8_t value) { to->push_back(static_cast<char>(value)); }
inline void PutFixed16(std::string* to, uint16_t value) {
  to->append(reinterpret_cast<const char*>(&value), sizeof(value));
}
inline void PutFixed32(std::string* to, uint32_t value) {
  to->append(reinterpret_cast<const char*>(&value), sizeof(value));
}
inline void PutFixed64(std::string* to, uint64_t value) {
  to->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline constexpr int kVarint64BytesMax = 10;

// Writes `value` at `to`, which has room for kVarint64BytesMax, and returns the end.
inline char* StoreVarint(char* to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<char>(value);
  return to;
}
inline int VarintLength(uint64_t value) { return (63 - std::countl_zero(value | 1)) / 7 + 1; }

void PutVarint(std::string* to, uint64_t value);
// A varint length, then the bytes.
void PutLengthPrefixed(std::string* to, std::string_view bytes);

// A cursor over bytes that the caller keeps alive.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  std::string_view rest() const { return rest_; }
  size_t remaining() const { return rest_.size(); }
  bool empty() const { return rest_.empty(); }

  // Each of these takes its value off the front and answers true, or changes nothing and answers
  // false.
  template <typename Integer>
  bool ReadFixed(Integer* value) {
    if (rest_.size() < sizeof(Integer)) return false;
    *value = LoadFixed<Integer>(rest_.data());
    rest_.remove_prefix(sizeof(Integer));
    return true;
  }
  bool ReadVarint(uint64_t* value);
  // A varint that must fit in 32 bits.
  bool ReadVarint32(uint32_t* value);
  bool ReadBytes(size_t count, std::string_view* bytes);
  bool ReadLengthPrefixed(std::string_view* bytes);
  bool Skip(size_t count) {
    if (rest_.size() < count) return false;
    rest_.remove_prefix(count);
    return true;
  }

 private:
  std::string_view rest_;
};

}  // namespace bandb::base

#endif  // BANDB_BASE_CODING_H_
