// A block of entries: what data blocks, the index and the range tombstones of a table consist of.
//
//   block   := restart_count:u32 restart* entry* value*
//   restart := entry_at:u32 value_at:u32          offsets from the beginning of the block
//   entry   := shared:varint unshared:varint value_bytes:varint delta[unshared] trailer:u64
//   value   := bytes[value_bytes]                 of the entry with the same number
//
// An entry's internal key is the first `shared` bytes of the spaced key before it, then delta, then
// the trailer. Every kRestartInterval-th entry, beginning with the first, is a restart: it shares
// nothing, and the restart array tells where it and its value lie. All other entries share as much
// as they can, which is what makes searching cheap: an entry that shares more bytes with its
// predecessor than the predecessor has in common with the target is on the same side of the target
// as the predecessor, and one that shares fewer is past the target, so only those that share the
// same number are compared at all, and no key is put together on the way. Trailers are never
// shared, so that the bytes that are compared are those of spaced keys alone.
//
// What a search reads lies together at the beginning, restarts and keys, apart from the values: a
// few cache lines that can be asked for all at once. In a cache larger than the processor's, that
// is where the time goes.
//
// A Block is made by Parse, which checks every entry and every restart once, the order of the keys
// included; whatever works on a Block relies on that and checks no bounds. Bytes from outside
// become a Block by Parse and in no other way.
#ifndef BANDB_STORAGE_TABLE_BLOCK_H_
#define BANDB_STORAGE_TABLE_BLOCK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/coding.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

inline constexpr uint32_t kRestartInterval = 16;
// After the payload of a block there are this many bytes that may be read, whatever they are: keys
// are copied eight bytes at a time.
inline constexpr size_t kBlockSlackBytes = sizeof(uint64_t);
// No spaced key is longer: twice what a user may store. Bounds what a hostile block can make of few
// bytes, since each entry may share its predecessor's key.
inline constexpr uint32_t kSpacedKeyBytesMax = 128 << 10;

struct BlockEntry {
  uint32_t shared;
  uint32_t unshared;
  uint32_t value_bytes;
  const char* delta;

  const char* trailer_at() const { return delta + unshared; }
  uint64_t trailer() const { return base::LoadFixed<uint64_t>(trailer_at()); }
  const char* end() const { return delta + unshared + kTrailerBytes; }
};

// A view of a well-formed block, after which there are kBlockSlackBytes. Lifetime: of the payload.
// Thread safety: const.
class Block {
 public:
  struct Restart {
    uint32_t entry_at;
    uint32_t value_at;
  };
  // What the trailers may be.
  enum class Trailers : uint8_t {
    kEntries,       // those of a data block: no range deletes, and what expires has a value that says when
    kInternalKeys,  // those of all kinds
    kSeparators,    // any
  };

  // An empty block.
  Block() = default;
  // nullopt if the payload is malformed, or its keys do not strictly increase.
  static std::optional<Block> Parse(std::string_view payload, Trailers trailers);
  // For a payload that Parse has accepted before.
  static Block FromParsed(std::string_view payload) { return Block(payload); }

  bool empty() const { return restart_count_ == 0; }
  const char* data() const { return data_; }
  // The entries, and after them the values.
  uint32_t entries_at() const { return static_cast<uint32_t>(sizeof(uint32_t) + restart_count_ * sizeof(Restart)); }
  uint32_t entries_end() const { return entries_end_; }
  uint32_t restart_count() const { return restart_count_; }
  Restart restart(uint32_t i) const {
    const char* at = data_ + sizeof(uint32_t) + i * sizeof(Restart);
    return {base::LoadFixed<uint32_t>(at), base::LoadFixed<uint32_t>(at + sizeof(uint32_t))};
  }

  inline BlockEntry entry(uint32_t at) const;
  // The internal keys of the first and the last entry; the block must have one. Lifetime: FirstKey,
  // of the payload.
  std::string_view FirstKey() const;
  std::string LastKey() const;

 private:
  explicit Block(std::string_view payload)
      : data_(payload.data()), restart_count_(base::LoadFixed<uint32_t>(payload.data())) {
    entries_end_ = restart_count_ == 0 ? entries_at() : restart(0).value_at;
  }
  bool CheckEntries(uint64_t payload_bytes, Trailers trailers) const;

  const char* data_ = nullptr;
  uint32_t restart_count_ = 0;
  uint32_t entries_end_ = 0;
};

// Where a search ended.
struct BlockMatch {
  bool found = false;     // false: every entry is before the target
  bool same_key = false;  // the entry has the spaced key of the target
  uint32_t entry_at = 0;
  uint32_t value_at = 0;
  BlockEntry entry{};
};

// The first entry at or after an internal key. The entry's shared bytes are the first bytes of the
// target.
BlockMatch SeekInBlock(const Block& block, std::string_view internal_key);

inline BlockEntry Block::entry(uint32_t at) const {
  const char* from = data_ + at;
  // Nearly all lengths take one byte each; an entry with its trailer is longer than four bytes in
  // any case.
  const auto head = base::LoadFixed<uint32_t>(from);
  if ((head & 0x808080) == 0) [[likely]] {
    return {head & 0x7f, head >> 8 & 0x7f, head >> 16 & 0x7f, from + 3};
  }
  uint32_t lengths[3];
  for (uint32_t& length : lengths) {
    length = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(*from++);
      length |= static_cast<uint32_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
  }
  return {lengths[0], lengths[1], lengths[2], from};
}

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_BLOCK_H_
