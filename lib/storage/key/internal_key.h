// The internal key: what a user's key becomes inside the engine.
//
//   spaced key   := space:u8 user_key            the space keeps the system's own entries apart from the user's
//   internal key := spaced_key trailer:u64       trailer = sequence << 8 | kind
//
// Order: by (space, user key, sequence descending), field by field. Since the space has a fixed
// width, comparing two spaced keys as bytes compares (space, user key); the trailer is compared as
// a number, never as bytes. The newest version of a key therefore comes first.
//
// Sequences count operations: each takes one, none is used twice, none is ever rewritten to zero.
#ifndef BANDB_STORAGE_KEY_INTERNAL_KEY_H_
#define BANDB_STORAGE_KEY_INTERNAL_KEY_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/coding.h"
#include "kv/batch_format.h"

namespace bandb::storage {

using kv::Kind;
using Sequence = uint64_t;

inline constexpr Sequence kSequenceMax = (uint64_t{1} << 56) - 1;
// No database counts as far: what says it has is damage. Leaves room to count on from whatever is
// found on disk.
inline constexpr Sequence kLastSequenceMax = kSequenceMax / 2;
inline constexpr size_t kTrailerBytes = 8;

enum class Space : uint8_t { kSystem = 0, kUser = 1, kDeadLetters = 2 };
inline constexpr size_t kSpaceBytes = 1;
// Where all keys of a space end.
inline Space SpaceAfter(Space space) { return static_cast<Space>(static_cast<uint8_t>(space) + 1); }

inline constexpr uint8_t kKindMax = static_cast<uint8_t>(Kind::kBlobReferenceWithExpiry);

// Whether values of this kind begin with expiry_ms:u64.
inline bool HasExpiry(Kind kind) { return kind == Kind::kPutWithExpiry || kind == Kind::kBlobReferenceWithExpiry; }

inline uint64_t MakeTrailer(Sequence sequence, Kind kind) { return sequence << 8 | static_cast<uint8_t>(kind); }
inline Sequence TrailerSequence(uint64_t trailer) { return trailer >> 8; }
inline Kind TrailerKind(uint64_t trailer) { return static_cast<Kind>(trailer & 0xff); }

// For internal keys of at least kTrailerBytes: a caller that takes one from outside checks
// IsInternalKey first.
inline std::string_view SpacedKey(std::string_view internal_key) {
  return internal_key.substr(0, internal_key.size() - kTrailerBytes);
}
inline uint64_t Trailer(std::string_view internal_key) {
  return base::LoadFixed<uint64_t>(internal_key.data() + internal_key.size() - kTrailerBytes);
}
inline std::string_view UserKey(std::string_view spaced_key) { return spaced_key.substr(kSpaceBytes); }

// True if bytes from outside have the shape of an internal key.
inline bool IsInternalKey(std::string_view bytes) {
  return bytes.size() >= kSpaceBytes + kTrailerBytes && (Trailer(bytes) & 0xff) <= kKindMax;
}

// <0, 0, >0 as a comes before, with or after b.
inline int CompareSpacedKeys(std::string_view a, std::string_view b) { return a.compare(b); }
inline int CompareInternalKeys(std::string_view a, std::string_view b) {
  const int by_key = SpacedKey(a).compare(SpacedKey(b));
  if (by_key != 0) return by_key;
  const uint64_t a_trailer = Trailer(a);
  const uint64_t b_trailer = Trailer(b);
  return a_trailer > b_trailer ? -1 : (a_trailer < b_trailer ? 1 : 0);
}

// CompareInternalKeys(a, b) < 0 without a call, eight bytes at a time: for the inner loops. After
// the end of each spaced key comes its trailer, so that reading a word past the shorter one stays
// within the keys.
inline bool InternalKeyBefore(std::string_view a, std::string_view b) {
  const size_t a_spaced = a.size() - kTrailerBytes;
  const size_t b_spaced = b.size() - kTrailerBytes;
  const size_t shared = std::min(a_spaced, b_spaced);
  for (size_t at = 0; at < shared; at += sizeof(uint64_t)) {
    uint64_t a_word = __builtin_bswap64(base::LoadFixed<uint64_t>(a.data() + at));
    uint64_t b_word = __builtin_bswap64(base::LoadFixed<uint64_t>(b.data() + at));
    const size_t left = shared - at;
    if (left < sizeof(uint64_t)) {
      a_word >>= (sizeof(uint64_t) - left) * 8;
      b_word >>= (sizeof(uint64_t) - left) * 8;
    }
    if (a_word != b_word) return a_word < b_word;
  }
  if (a_spaced != b_spaced) return a_spaced < b_spaced;
  return base::LoadFixed<uint64_t>(a.data() + a_spaced) > base::LoadFixed<uint64_t>(b.data() + b_spaced);
}

// The number of bytes in which a and b agree, at most n. May read up to 7 bytes past n in both:
// spaced keys are followed by their trailers, wherever they lie.
inline size_t CommonPrefixBytes(const char* a, const char* b, size_t n) {
  for (size_t at = 0; at < n; at += sizeof(uint64_t)) {
    const uint64_t difference = base::LoadFixed<uint64_t>(a + at) ^ base::LoadFixed<uint64_t>(b + at);
    if (difference != 0) {
      const size_t agree = at + static_cast<size_t>(std::countr_zero(difference)) / 8;
      return agree < n ? agree : n;
    }
  }
  return n;
}

// The spaced key's bytes from `at` on as a number, zeros after its end: of two spaced keys that
// agree before `at`, the one with the smaller number is the smaller. `at` lies within the spaced
// key or at its end, so that the eight bytes read lie within the internal key.
inline uint64_t KeyWord(std::string_view internal_key, size_t at) {
  const size_t rest = internal_key.size() - kTrailerBytes - at;
  const uint64_t word = __builtin_bswap64(base::LoadFixed<uint64_t>(internal_key.data() + at));
  return rest < sizeof(uint64_t) ? word & ~(UINT64_MAX >> (rest * 8)) : word;
}

inline std::string MakeSpacedKey(Space space, std::string_view user_key) {
  std::string spaced;
  spaced.reserve(kSpaceBytes + user_key.size());
  spaced.push_back(static_cast<char>(space));
  spaced.append(user_key);
  return spaced;
}
inline void AppendInternalKey(std::string* to, std::string_view spaced_key, uint64_t trailer) {
  to->append(spaced_key);
  base::PutFixed64(to, trailer);
}
inline std::string MakeInternalKey(std::string_view spaced_key, uint64_t trailer) {
  std::string key;
  key.reserve(spaced_key.size() + kTrailerBytes);
  AppendInternalKey(&key, spaced_key, trailer);
  return key;
}

// The trailer to seek with: finds the newest version of a key that a reader at `sequence` may see.
// All kinds of one sequence come at or after it.
inline uint64_t SeekTrailer(Sequence sequence) { return sequence << 8 | 0xff; }

// What a Get looks for: an internal key in memory of its own, without an allocation for keys of
// ordinary length.
class LookupKey {
 public:
  LookupKey(Space space, std::string_view user_key, Sequence sequence) {
    const size_t bytes = kSpaceBytes + user_key.size() + kTrailerBytes;
    char* to = inline_;
    if (bytes > sizeof(inline_)) {
      heap_.resize(bytes);
      to = heap_.data();
    }
    to[0] = static_cast<char>(space);
    if (!user_key.empty()) std::memcpy(to + kSpaceBytes, user_key.data(), user_key.size());
    base::StoreFixed<uint64_t>(to + bytes - kTrailerBytes, SeekTrailer(sequence));
    internal_key_ = std::string_view(to, bytes);
  }
  LookupKey(const LookupKey&) = delete;
  LookupKey& operator=(const LookupKey&) = delete;

  std::string_view internal_key() const { return internal_key_; }
  std::string_view spaced_key() const { return SpacedKey(internal_key_); }
  Sequence sequence() const { return TrailerSequence(Trailer(internal_key_)); }

 private:
  char inline_[240];
  std::string heap_;
  std::string_view internal_key_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_KEY_INTERNAL_KEY_H_
