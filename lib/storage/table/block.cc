#include "storage/table/block.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "base/assert.h"

namespace bandb::storage {

namespace {

// True if the restart entry comes before the internal key.
bool RestartIsBefore(const Block& block, uint32_t restart, std::string_view spaced_key, uint64_t trailer) {
  const BlockEntry entry = block.entry(block.restart(restart).entry_at);
  const size_t shorter = std::min<size_t>(entry.unshared, spaced_key.size());
  const size_t agree = CommonPrefixBytes(entry.delta, spaced_key.data(), shorter);
  if (agree < shorter) {
    return static_cast<uint8_t>(entry.delta[agree]) < static_cast<uint8_t>(spaced_key[agree]);
  }
  if (entry.unshared != spaced_key.size()) return entry.unshared < spaced_key.size();
  return entry.trailer() > trailer;
}

// The last restart before the internal key; 0 if there is none.
uint32_t FindRestart(const Block& block, std::string_view spaced_key, uint64_t trailer) {
  uint32_t low = 0;
  uint32_t high = block.restart_count();
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    if (RestartIsBefore(block, middle, spaced_key, trailer)) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// Reads the lengths of an entry; false unless each takes as few bytes as it can: entry() relies on
// five being enough.
inline bool ReadLengths(base::ByteReader* reader, uint32_t* shared, uint32_t* unshared, uint32_t* value_bytes) {
  if (reader->remaining() > sizeof(uint32_t)) [[likely]] {
    const auto head = base::LoadFixed<uint32_t>(reader->rest().data());
    if ((head & 0x808080) == 0) [[likely]] {
      *shared = head & 0x7f;
      *unshared = head >> 8 & 0x7f;
      *value_bytes = head >> 16 & 0x7f;
      return reader->Skip(3);
    }
  }
  const size_t before = reader->remaining();
  if (!reader->ReadVarint32(shared) || !reader->ReadVarint32(unshared) || !reader->ReadVarint32(value_bytes)) {
    return false;
  }
  const int lengths_bytes =
      base::VarintLength(*shared) + base::VarintLength(*unshared) + base::VarintLength(*value_bytes);
  return before - reader->remaining() == static_cast<size_t>(lengths_bytes);
}

// The key before an entry, put together so that the next one can be compared with it.
class KeyOrder {
 public:
  // False if the entry does not come after the one that was taken before it, or shares fewer bytes
  // with it than it could: searches rely on both.
  bool Take(const BlockEntry& entry, bool is_restart) {
    const uint64_t trailer = entry.trailer();
    if (has_before_ && !IsAfter(entry, trailer, is_restart)) return false;
    bytes_ = entry.shared;
    Append(entry.delta, entry.unshared);
    trailer_ = trailer;
    has_before_ = true;
    return true;
  }
  size_t before_bytes() const { return bytes_; }

 private:
  bool IsAfter(const BlockEntry& entry, uint64_t trailer, bool is_restart) const {
    const std::string_view rest(before_ + entry.shared, bytes_ - entry.shared);
    if (!is_restart && !rest.empty()) {
      return entry.unshared != 0 && static_cast<uint8_t>(*entry.delta) > static_cast<uint8_t>(rest.front());
    }
    const int order = CompareSpacedKeys(rest, std::string_view(entry.delta, entry.unshared));
    return order < 0 || (order == 0 && trailer_ > trailer);
  }

  // Reads up to seven bytes past the delta: its trailer.
  void Append(const char* delta, size_t delta_bytes) {
    if (bytes_ + delta_bytes > capacity_) [[unlikely]] {
      Grow(bytes_ + delta_bytes);
    }
    for (size_t copied = 0; copied < delta_bytes; copied += sizeof(uint64_t)) {
      std::memcpy(before_ + bytes_ + copied, delta + copied, sizeof(uint64_t));
    }
    bytes_ += delta_bytes;
  }
  void Grow(size_t bytes) {
    capacity_ = std::max(bytes, 2 * capacity_);
    std::unique_ptr<char[]> larger(new char[capacity_ + sizeof(uint64_t)]);
    std::memcpy(larger.get(), before_, bytes_);
    heap_ = std::move(larger);
    before_ = heap_.get();
  }

  size_t capacity_ = 128;
  char inline_[128 + sizeof(uint64_t)];
  std::unique_ptr<char[]> heap_;
  char* before_ = inline_;
  size_t bytes_ = 0;
  uint64_t trailer_ = 0;
  bool has_before_ = false;
};

bool TrailerFits(Block::Trailers trailers, uint64_t trailer, uint32_t value_bytes) {
  if (trailers == Block::Trailers::kSeparators) return true;
  if ((trailer & 0xff) > kKindMax) return false;
  if (trailers == Block::Trailers::kInternalKeys) return true;
  const Kind kind = TrailerKind(trailer);
  if (kind == Kind::kRangeDelete) return false;
  return !HasExpiry(kind) || value_bytes >= sizeof(uint64_t);
}

}  // namespace

std::optional<Block> Block::Parse(std::string_view payload, Trailers trailers) {
  if (payload.size() < sizeof(uint32_t) || payload.size() > UINT32_MAX) return std::nullopt;
  const auto restart_count = base::LoadFixed<uint32_t>(payload.data());
  if (restart_count > (payload.size() - sizeof(uint32_t)) / sizeof(Restart)) return std::nullopt;
  const Block block(payload);
  if (block.entries_end_ < block.entries_at() || block.entries_end_ > payload.size()) return std::nullopt;
  if (!block.CheckEntries(payload.size(), trailers)) return std::nullopt;
  return block;
}

bool Block::CheckEntries(uint64_t payload_bytes, Trailers trailers) const {
  base::ByteReader reader(std::string_view(data_ + entries_at(), entries_end_ - entries_at()));
  uint64_t value_at = entries_end_;
  uint64_t entries = 0;
  KeyOrder order;
  while (!reader.empty()) {
    const auto entry_at = static_cast<uint32_t>(entries_end_ - reader.remaining());
    uint32_t shared = 0, unshared = 0, value_bytes = 0;
    if (!ReadLengths(&reader, &shared, &unshared, &value_bytes)) return false;
    const bool is_restart = entries % kRestartInterval == 0;
    if (is_restart) {
      const uint64_t number = entries / kRestartInterval;
      if (number >= restart_count_ || shared != 0) return false;
      const Restart expected = restart(static_cast<uint32_t>(number));
      if (expected.entry_at != entry_at || expected.value_at != value_at) return false;
    }
    if (shared > order.before_bytes()) return false;
    const uint64_t key_bytes = uint64_t{shared} + unshared;
    const BlockEntry entry{shared, unshared, value_bytes, reader.rest().data()};
    if (key_bytes < kSpaceBytes || key_bytes > kSpacedKeyBytesMax || !reader.Skip(unshared)) return false;
    uint64_t trailer = 0;
    if (!reader.ReadFixed(&trailer) || !TrailerFits(trailers, trailer, value_bytes)) return false;
    if (!order.Take(entry, is_restart)) return false;
    if (value_bytes > payload_bytes - value_at) return false;
    value_at += value_bytes;
    ++entries;
  }
  return value_at == payload_bytes && (entries + kRestartInterval - 1) / kRestartInterval == restart_count_;
}

std::string_view Block::FirstKey() const {
  const BlockEntry first = entry(entries_at());
  return std::string_view(first.delta, first.unshared + kTrailerBytes);
}

std::string Block::LastKey() const {
  std::string key;
  for (uint32_t at = restart(restart_count_ - 1).entry_at; at < entries_end_;) {
    const BlockEntry entry = this->entry(at);
    key.resize(entry.shared);
    key.append(entry.delta, entry.unshared + kTrailerBytes);
    at = static_cast<uint32_t>(entry.end() - data_);
  }
  return key;
}

BlockMatch SeekInBlock(const Block& block, std::string_view internal_key) {
  BANDB_ASSERT(internal_key.size() >= kTrailerBytes);
  BlockMatch match;
  if (block.empty()) return match;
  const std::string_view target = SpacedKey(internal_key);
  const uint64_t target_trailer = Trailer(internal_key);
  const Block::Restart start = block.restart(FindRestart(block, target, target_trailer));
  match.entry_at = start.entry_at;
  match.value_at = start.value_at;
  // How many bytes the entry before this one has in common with the target. It is before the
  // target.
  size_t agree = 0;
  while (match.entry_at < block.entries_end()) {
    match.entry = block.entry(match.entry_at);
    const BlockEntry& entry = match.entry;
    // A restart shares nothing even where it could, so what its predecessor agrees in says nothing.
    if (entry.shared == 0) agree = 0;
    if (entry.shared <= agree) {
      match.found = true;
      if (entry.shared < agree) return match;
      const size_t shorter = std::min<size_t>(entry.unshared, target.size() - agree);
      const size_t more = CommonPrefixBytes(entry.delta, target.data() + agree, shorter);
      agree += more;
      if (more < shorter) {
        if (static_cast<uint8_t>(entry.delta[more]) > static_cast<uint8_t>(target[agree])) return match;
      } else if (more < entry.unshared) {
        return match;
      } else if (agree == target.size() && entry.trailer() <= target_trailer) {
        match.same_key = true;
        return match;
      }
      match.found = false;
    }
    match.value_at += entry.value_bytes;
    match.entry_at = static_cast<uint32_t>(entry.end() - block.data());
  }
  return match;
}

}  // namespace bandb::storage
