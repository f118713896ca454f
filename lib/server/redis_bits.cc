// Commands on the bits of strings: the first bit is the highest of the first byte.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "resp/request_parser.h"
#include "server/redis_command.h"

namespace bandb::server::redis {

namespace {

constexpr int64_t kBitsPerByte = 8;

unsigned ByteAt(std::string_view bytes, size_t at) { return static_cast<unsigned char>(bytes[at]); }

bool BitAt(std::string_view bytes, uint64_t bit) {
  return bit / 8 < bytes.size() && ((ByteAt(bytes, bit / 8) >> (7 - bit % 8)) & 1) != 0;
}

bool TakeBitOffset(RedisCall& call, std::string_view text, uint64_t* offset) {
  int64_t number = 0;
  const bool fits = resp::ParseNumber(text, &number) && number >= 0 &&
                    static_cast<uint64_t>(number) / 8 < call.environment->value_bytes_max;
  if (!fits) call.reply->Error("ERR bit offset is not an integer or out of range");
  *offset = static_cast<uint64_t>(number);
  return fits;
}

// From the first bit to the last; there is none if that comes before.
struct BitRange {
  int64_t first = 0, last = -1;
  bool empty() const { return first > last; }
  int64_t size() const { return last - first + 1; }
};

// Ends may be counted from the back, and what is beyond the value is cut off. Of units, `unit_bits`
// each.
BitRange RangeOf(int64_t start, int64_t end, size_t bytes, int64_t unit_bits) {
  const int64_t units = static_cast<int64_t>(bytes) * (kBitsPerByte / unit_bits);
  if (start < 0) start = std::max<int64_t>(0, start + units);
  if (end < 0) end = std::max<int64_t>(0, end + units);
  end = std::min(end, units - 1);
  if (start > end) return {};
  return {start * unit_bits, (end + 1) * unit_bits - 1};
}

// BYTE or BIT. Else says so.
bool TakeUnit(RedisCall& call, std::string_view text, int64_t* unit_bits) {
  *unit_bits = EqualsIgnoringCase(text, "bit") ? 1 : kBitsPerByte;
  if (*unit_bits == 1 || EqualsIgnoringCase(text, "byte")) return true;
  call.reply->Error(kSyntaxError);
  return false;
}

uint64_t WordAt(std::string_view bytes, size_t at) {
  uint64_t word = 0;
  std::memcpy(&word, bytes.data() + at, sizeof(word));
  return word;
}

int64_t CountBits(std::string_view bytes, BitRange range) {
  int64_t count = 0;
  while (!range.empty() && range.first % kBitsPerByte != 0) {
    count += BitAt(bytes, static_cast<uint64_t>(range.first++)) ? 1 : 0;
  }
  while (!range.empty() && (range.last + 1) % kBitsPerByte != 0) {
    count += BitAt(bytes, static_cast<uint64_t>(range.last--)) ? 1 : 0;
  }
  auto at = static_cast<size_t>(range.first / kBitsPerByte);
  const auto end = range.empty() ? at : static_cast<size_t>((range.last + 1) / kBitsPerByte);
  for (; end - at >= sizeof(uint64_t); at += sizeof(uint64_t)) count += __builtin_popcountll(WordAt(bytes, at));
  for (; at < end; ++at) count += __builtin_popcount(ByteAt(bytes, at));
  return count;
}

// A word of them counts as a byte that is copied.
void SpendOnBits(RedisCall& call, int64_t bits) { call.data->Spend(static_cast<uint64_t>(bits) / 64); }

// The first that is `bit`; -1: none is.
int64_t FindBit(std::string_view bytes, const BitRange& range, bool bit) {
  const uint64_t others = bit ? 0 : UINT64_MAX;
  for (int64_t at = range.first; at <= range.last;) {
    const auto byte = static_cast<size_t>(at / kBitsPerByte);
    const bool whole = at % kBitsPerByte == 0;
    if (whole && bytes.size() - byte >= sizeof(uint64_t) && WordAt(bytes, byte) == others) {
      at += 64;
    } else if (BitAt(bytes, static_cast<uint64_t>(at)) == bit) {
      return at;
    } else {
      ++at;
    }
  }
  return -1;
}

enum class BitOperation : uint8_t { kAnd, kOr, kXor, kNot };

std::optional<BitOperation> BitOperationOf(std::string_view name) {
  if (EqualsIgnoringCase(name, "and")) return BitOperation::kAnd;
  if (EqualsIgnoringCase(name, "or")) return BitOperation::kOr;
  if (EqualsIgnoringCase(name, "xor")) return BitOperation::kXor;
  if (EqualsIgnoringCase(name, "not")) return BitOperation::kNot;
  return std::nullopt;
}

// What BITOP has made of the keys that it has looked at.
struct CombinedBits final : WalkState {
  size_t next = 3;  // the argument to go on with
  std::string bits;
};

// The shorter one goes on with zeros.
void Combine(BitOperation operation, std::string_view other, std::string* bits) {
  if (bits->size() < other.size()) bits->resize(other.size(), '\0');
  const auto change = [&](auto make) {
    for (size_t i = 0; i < other.size(); ++i) (*bits)[i] = static_cast<char>(make(ByteAt(*bits, i), ByteAt(other, i)));
  };
  switch (operation) {
    case BitOperation::kAnd:
      change([](unsigned a, unsigned b) { return a & b; });
      std::fill(bits->begin() + static_cast<ptrdiff_t>(other.size()), bits->end(), '\0');
      break;
    case BitOperation::kOr:
      change([](unsigned a, unsigned b) { return a | b; });
      break;
    case BitOperation::kXor:
      change([](unsigned a, unsigned b) { return a ^ b; });
      break;
    case BitOperation::kNot:
      change([](unsigned, unsigned b) { return ~b; });
      break;
  }
}

}  // namespace

void SetBit(RedisCall& call) {
  constexpr std::string_view kNoBit = "ERR bit is not an integer or out of range";
  uint64_t offset = 0;
  int64_t bit = 0;
  if (!TakeBitOffset(call, call.Argument(2), &offset)) return;
  if (!resp::ParseNumber(call.Argument(3), &bit) || (bit != 0 && bit != 1)) return call.reply->Error(kNoBit);
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  const std::string_view before = entry == nullptr ? std::string_view() : entry->value;
  const size_t at = offset / 8;
  const bool was = BitAt(before, offset);
  if (!call.data->HasTimeFor(std::max(at + 1, before.size()))) return;
  if (at >= before.size() || was != (bit == 1)) {
    std::string value(before);
    if (at >= value.size()) value.resize(at + 1, '\0');
    const unsigned mask = 1U << (7 - offset % 8);
    value[at] = static_cast<char>(bit == 1 ? ByteAt(value, at) | mask : ByteAt(value, at) & ~mask);
    call.data->Put(call.Argument(1), std::move(value), entry == nullptr ? kNeverExpires : entry->expiry_ms);
  }
  call.reply->Integer(was ? 1 : 0);
}

void GetBit(RedisCall& call) {
  uint64_t offset = 0;
  if (!TakeBitOffset(call, call.Argument(2), &offset)) return;
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  call.reply->Integer(entry != nullptr && BitAt(entry->value, offset) ? 1 : 0);
}

void BitCount(RedisCall& call) {
  // Of a key that there is not, nothing else is looked at.
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  if (entry == nullptr) return call.reply->Integer(0);
  int64_t start = 0, end = -1, unit_bits = kBitsPerByte;
  if (call.count() == 3 || call.count() > 5) return call.reply->Error(kSyntaxError);
  if (call.count() > 3) {
    if (!TakeInteger(call, call.Argument(2), &start) || !TakeInteger(call, call.Argument(3), &end)) return;
    if (start < 0 && end < 0 && start > end) return call.reply->Integer(0);
    if (call.count() == 5 && !TakeUnit(call, call.Argument(4), &unit_bits)) return;
  }
  const BitRange range = RangeOf(start, end, entry->value.size(), unit_bits);
  SpendOnBits(call, range.size());
  call.reply->Integer(CountBits(entry->value, range));
}

void BitPos(RedisCall& call) {
  int64_t bit = 0, start = 0, end = -1, unit_bits = kBitsPerByte;
  if (!TakeInteger(call, call.Argument(2), &bit)) return;
  if (bit != 0 && bit != 1) return call.reply->Error("ERR The bit argument must be 1 or 0.");
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  if (entry == nullptr) return call.reply->Integer(bit == 1 ? -1 : 0);
  if (call.count() > 6) return call.reply->Error(kSyntaxError);
  if (call.count() > 3 && !TakeInteger(call, call.Argument(3), &start)) return;
  if (call.count() == 6 && !TakeUnit(call, call.Argument(5), &unit_bits)) return;
  if (call.count() > 4 && !TakeInteger(call, call.Argument(4), &end)) return;
  const BitRange range = RangeOf(start, end, entry->value.size(), unit_bits);
  int64_t found = FindBit(entry->value, range, bit == 1);
  SpendOnBits(call, found < 0 ? range.size() : found - range.first);
  // Without an end there are zeros after the value.
  if (found < 0 && bit == 0 && call.count() < 5 && !range.empty()) found = range.last + 1;
  call.reply->Integer(found);
}

void BitOp(RedisCall& call) {
  const std::optional<BitOperation> operation = BitOperationOf(call.Argument(1));
  if (!operation.has_value()) return call.reply->Error(kSyntaxError);
  if (operation == BitOperation::kNot && call.count() != 4) {
    return call.reply->Error("ERR BITOP NOT must be called with a single source key.");
  }
  auto& combined = call.data->Remember<CombinedBits>();
  for (; combined.next < call.count(); ++combined.next) {
    if (call.data->Yield()) return;
    const StoredEntry* entry = call.data->Get(call.Argument(combined.next));
    const std::string_view value = entry == nullptr ? std::string_view() : entry->value;
    if (value.size() > combined.bits.size()) call.data->Keep(value.size() - combined.bits.size());
    if (!call.data->status().ok()) return;
    call.data->Spend(std::max(value.size(), combined.bits.size()));
    // The first is taken as it is.
    const bool is_first = combined.next == 3 && operation != BitOperation::kNot;
    Combine(is_first ? BitOperation::kOr : *operation, value, &combined.bits);
  }
  const size_t bytes = combined.bits.size();
  if (bytes == 0) {
    call.data->Delete(call.Argument(2));
  } else {
    call.data->Put(call.Argument(2), std::move(combined.bits));
  }
  call.reply->Integer(static_cast<int64_t>(bytes));
}

}  // namespace bandb::server::redis
