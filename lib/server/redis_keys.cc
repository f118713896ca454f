// Commands on keys, whatever they hold.
#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "resp/request_parser.h"
#include "server/redis_command.h"

namespace bandb::server::redis {

namespace {

constexpr int64_t kScanCountDefault = 10;
// Of RANDOMKEY: it chooses among so many keys at most, in a row.
constexpr size_t kRandomKeysMax = 1000;

// What cannot be sent is not collected either.
bool HasRoom(const RedisCall& call, size_t bytes) { return bytes <= call.environment->reply_bytes_max; }

void ReplyTooLong(RedisCall& call) { call.reply->Error("ERR the reply would be longer than this server allows"); }

// The number that chooses, from what differs each time.
uint64_t Mixed(int64_t seed) {
  auto mixed = static_cast<uint64_t>(seed) * 0x9e3779b97f4a7c15;
  mixed ^= mixed >> 29;
  return mixed * 0xbf58476d1ce4e5b9 >> 16;
}

void Move(RedisCall& call, bool only_if_absent) {
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  if (entry == nullptr) return call.reply->Error("ERR no such key");
  const auto done = [&](bool moved) { only_if_absent ? call.reply->Integer(moved ? 1 : 0) : call.reply->Ok(); };
  if (call.Argument(1) == call.Argument(2)) return done(false);
  if (only_if_absent && call.data->Get(call.Argument(2)) != nullptr) return done(false);
  StoredEntry kept = *entry;
  // First, since hooks may make one key of the two.
  call.data->Delete(call.Argument(1));
  call.data->Put(call.Argument(2), std::move(kept.value), kept.expiry_ms);
  done(true);
}

}  // namespace

void Del(RedisCall& call) {
  auto& keys = call.data->Remember<RedisKeyCount>();
  for (; keys.next < call.count(); ++keys.next) {
    if (call.data->Yield()) return;
    if (call.data->Get(call.Argument(keys.next)) == nullptr) continue;
    call.data->Delete(call.Argument(keys.next));
    ++keys.count;
  }
  call.reply->Integer(keys.count);
}

void Exists(RedisCall& call) {
  auto& keys = call.data->Remember<RedisKeyCount>();
  for (; keys.next < call.count(); ++keys.next) {
    if (call.data->Yield()) return;
    if (call.data->Get(call.Argument(keys.next)) != nullptr) ++keys.count;
  }
  call.reply->Integer(keys.count);
}

void Type(RedisCall& call) { call.reply->Simple(call.data->Get(call.Argument(1)) == nullptr ? "none" : "string"); }

void Rename(RedisCall& call) { Move(call, false); }

void RenameNx(RedisCall& call) { Move(call, true); }

void Copy(RedisCall& call) {
  bool replace = false;
  for (size_t i = 3; i < call.count(); ++i) {
    if (EqualsIgnoringCase(call.Argument(i), "replace")) {
      replace = true;
    } else if (EqualsIgnoringCase(call.Argument(i), "db") && i + 1 < call.count()) {
      if (!TakeDatabase(call, call.Argument(++i))) return;
    } else {
      return call.reply->Error(kSyntaxError);
    }
  }
  if (call.Argument(1) == call.Argument(2)) return call.reply->Error(kSameObjects);
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  if (entry == nullptr) return call.reply->Integer(0);
  if (!replace && call.data->Get(call.Argument(2)) != nullptr) return call.reply->Integer(0);
  call.data->Put(call.Argument(2), entry->value, entry->expiry_ms);
  call.reply->Integer(1);
}

namespace {

// One of the keys that were seen, each with the same chance.
struct RandomChoice final : WalkState {
  explicit RandomChoice(uint64_t chance) : chance(chance) {}

  bool See(std::string_view seen_key) {
    chance = Mixed(static_cast<int64_t>(chance + 1));
    if (chance % ++seen == 0) key = seen_key;
    return seen < kRandomKeysMax;
  }

  uint64_t chance;
  size_t seen = 0;
  bool from_first = false;  // there are few keys after the place
  std::string key;
};

struct FoundKeys final : WalkState {
  explicit FoundKeys(std::string_view pattern) : walk(pattern) {}

  std::vector<std::string> keys;
  size_t bytes = 0;
  PatternWalk walk;
};

struct CountedKeys final : WalkState {
  int64_t count = 0;
};

}  // namespace

void RandomKey(RedisCall& call) {
  // From a place that nothing but chance chooses, or from the first key if there is none after it.
  const uint64_t chance = Mixed(call.now_ms * 1000 + static_cast<int64_t>(call.client->id % 1000));
  const std::string place(1, static_cast<char>(chance & 0xff));
  auto& choice = call.data->Remember<RandomChoice>(chance);
  const auto see = [&choice](std::string_view key) { return choice.See(key); };
  if (!choice.from_first && !call.data->Walk(place, see)) return;
  choice.from_first = true;
  if (choice.seen < kRandomKeysMax && !call.data->Walk({}, see)) return;
  choice.seen == 0 ? call.reply->Null() : call.reply->Bulk(choice.key);
}

void Keys(RedisCall& call) {
  const std::string_view pattern = call.Argument(1);
  if (!FitsAsPattern(call, pattern)) return;
  const std::string_view literal = LiteralPrefix(pattern);
  auto& found = call.data->Remember<FoundKeys>(pattern);
  const bool ended = call.data->WalkPrefix(literal, literal, [&](std::string_view key) {
    const bool matches = found.walk.Matches(key);
    call.data->Spend(found.walk.TakeSteps() * kWorkPerMatchStep);
    if (!matches) return !found.walk.spent();
    constexpr size_t kHeadBytes = 16;
    found.keys.emplace_back(key);
    found.bytes += key.size() + kHeadBytes;
    if (!HasRoom(call, found.bytes)) return false;
    call.data->Keep(key.size() + kHeadBytes);
    return call.data->status().ok() && !found.walk.spent();
  });
  if (!ended) return;
  if (found.walk.spent()) return call.reply->Error("ERR the pattern takes too long to match with these keys; use SCAN");
  if (!HasRoom(call, found.bytes)) return ReplyTooLong(call);
  call.reply->ArrayHead(found.keys.size());
  for (const std::string& key : found.keys) call.reply->Bulk(key);
}

namespace {

struct ScanOptions {
  int64_t count = kScanCountDefault;
  std::string_view pattern = "*";
  bool other_type = false;
};

bool ParseScan(RedisCall& call, ScanOptions* options) {
  for (size_t i = 2; i < call.count(); i += 2) {
    const bool has_value = i + 1 < call.count();
    if (has_value && EqualsIgnoringCase(call.Argument(i), "count")) {
      if (!TakeInteger(call, call.Argument(i + 1), &options->count)) return false;
      if (options->count < 1) {
        call.reply->Error(kSyntaxError);
        return false;
      }
    } else if (has_value && EqualsIgnoringCase(call.Argument(i), "match")) {
      options->pattern = call.Argument(i + 1);
      if (!FitsAsPattern(call, options->pattern)) return false;
    } else if (has_value && EqualsIgnoringCase(call.Argument(i), "type")) {
      options->other_type = !EqualsIgnoringCase(call.Argument(i + 1), "string");
    } else {
      call.reply->Error(kSyntaxError);
      return false;
    }
  }
  return true;
}

}  // namespace

void Scan(RedisCall& call) {
  const std::string_view text = call.Argument(1);
  uint64_t cursor = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), cursor);
  std::string begin;
  ScanOptions options;
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
    return call.reply->Error("ERR invalid cursor");
  }
  if (!ParseScan(call, &options)) return;
  if (cursor != 0 && !call.environment->cursors.Find(cursor, &begin)) {
    return call.reply->Error("ERR invalid cursor");
  }
  std::vector<std::string> keys;
  int64_t looked = 0;
  size_t bytes = 0;
  std::optional<std::string> next;
  const std::string_view literal = LiteralPrefix(options.pattern);
  PatternWalk walk(options.pattern);
  const auto look = [&](std::string_view key) {
    if (looked == options.count || walk.spent() || !HasRoom(call, bytes)) {
      next = key;
      return false;
    }
    ++looked;
    if (!options.other_type && walk.Matches(key)) keys.emplace_back(key);
    call.data->Spend(walk.TakeSteps() * kWorkPerMatchStep);
    bytes += key.size() + 16;
    return true;
  };
  // However many it is to look at, it ends with the step.
  call.data->WalkSome(std::max<std::string_view>(begin, literal), literal, look, &next);
  if (!call.data->status().ok()) return;
  call.reply->ArrayHead(2);
  call.reply->Bulk(
      next.has_value() ? std::to_string(call.environment->cursors.Add(*std::move(next), call.client->Owner())) : "0");
  call.reply->ArrayHead(keys.size());
  for (const std::string& key : keys) call.reply->Bulk(key);
}

void DbSize(RedisCall& call) {
  // Beyond this it is a lower bound.
  constexpr int64_t kCountMax = 10'000'000;
  auto& counted = call.data->Remember<CountedKeys>();
  const bool ended = call.data->Walk({}, [&](std::string_view) { return ++counted.count < kCountMax; });
  if (ended) call.reply->Integer(counted.count);
}

void FlushDb(RedisCall& call) {
  const bool known = call.count() == 1 || (call.count() == 2 && (EqualsIgnoringCase(call.Argument(1), "sync") ||
                                                                 EqualsIgnoringCase(call.Argument(1), "async")));
  if (!known) return call.reply->Error(kSyntaxError);
  call.data->DeleteAll();
  call.reply->Ok();
}

void Move(RedisCall& call) {
  if (TakeDatabase(call, call.Argument(2))) call.reply->Error(kSameObjects);
}

void SwapDb(RedisCall& call) {
  bool there = true;
  for (size_t i = 1; i <= 2; ++i) {
    int64_t database = 0;
    if (!resp::ParseNumber(call.Argument(i), &database) || database < INT32_MIN || database > INT32_MAX) {
      return call.reply->Error(i == 1 ? "ERR invalid first DB index" : "ERR invalid second DB index");
    }
    there = there && database == 0;
  }
  there ? call.reply->Ok() : call.reply->Error(kNoSuchDatabase);
}

namespace {

// As Redis would keep it, had it just been set.
std::string_view EncodingOf(std::string_view value) {
  constexpr size_t kNumberBytesMax = 20;
  constexpr size_t kEmbeddedBytesMax = 44;
  int64_t number = 0;
  if (value.size() <= kNumberBytesMax && resp::ParseNumber(value, &number)) return "int";
  return value.size() <= kEmbeddedBytesMax ? "embstr" : "raw";
}

}  // namespace

void Object(RedisCall& call) {
  const std::string what = ToLower(call.Argument(1));
  if (what == "help") return ReplyHelp(call);
  const StoredEntry* entry = call.data->Get(call.Argument(2));
  if (entry == nullptr) return call.reply->Null();
  if (what == "encoding") return call.reply->Bulk(EncodingOf(entry->value));
  if (what == "refcount") return call.reply->Integer(1);
  if (what == "idletime") return call.reply->Error("ERR BanDB does not keep when a key was last used");
  call.reply->Error(
      "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
      "between policies at runtime LRU and LFU data will take some time to adjust.");
}

void Memory(RedisCall& call) {
  if (EqualsIgnoringCase(call.Argument(1), "help")) return ReplyHelp(call);
  for (size_t i = 3; i < call.count(); i += 2) {
    int64_t samples = 0;
    if (!EqualsIgnoringCase(call.Argument(i), "samples") || i + 1 == call.count()) {
      return call.reply->Error(kSyntaxError);
    }
    if (!TakeInteger(call, call.Argument(i + 1), &samples)) return;
    if (samples < 0) return call.reply->Error(kSyntaxError);
  }
  const StoredEntry* entry = call.data->Get(call.Argument(2));
  if (entry == nullptr) return call.reply->Null();
  call.reply->Integer(static_cast<int64_t>(call.Argument(2).size() + entry->value.size()));
}

}  // namespace bandb::server::redis
