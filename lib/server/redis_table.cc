// The table of commands, and what all of them share.
#include <algorithm>
#include <array>
#include <cctype>
#include <iterator>
#include <string>
#include <utility>

#include "resp/request_parser.h"
#include "server/redis_command.h"

namespace bandb::server {

namespace {

using F = RedisCommand;
constexpr uint32_t kRead = F::kReads | F::kFast;
constexpr uint32_t kWrite = F::kWrites;
constexpr uint32_t kQuickWrite = F::kWrites | F::kFast;

// By name.
constexpr RedisCommand kCommands[] = {
    {"append", 3, kQuickWrite, 1, 1, 1, redis::Append},
    {"auth", -2, F::kUnknown | F::kNoData | F::kSession | F::kFast, 0, 0, 0, nullptr},
    {"client", -2, F::kNoData | F::kSession, 0, 0, 0, nullptr},
    {"command", -1, F::kNoData, 0, 0, 0, redis::Command},
    {"config", -2, F::kNoData, 0, 0, 0, redis::Config},
    {"copy", -3, kWrite, 1, 2, 1, redis::Copy},
    {"dbsize", 1, F::kReads | F::kWalks | F::kFast, 0, 0, 0, redis::DbSize},
    {"decr", 2, kQuickWrite, 1, 1, 1, redis::Decr},
    {"decrby", 3, kQuickWrite, 1, 1, 1, redis::DecrBy},
    {"del", -2, kWrite, 1, -1, 1, redis::Del},
    {"discard", 1, F::kNoData | F::kSession | F::kUnqueued | F::kFast, 0, 0, 0, nullptr},
    {"echo", 2, F::kNoData | F::kFast, 0, 0, 0, redis::Echo},
    {"exec", 1, F::kSession | F::kUnqueued, 0, 0, 0, nullptr},
    {"exists", -2, kRead, 1, -1, 1, redis::Exists},
    {"expire", -3, kQuickWrite, 1, 1, 1, redis::Expire},
    {"expireat", -3, kQuickWrite, 1, 1, 1, redis::ExpireAt},
    {"expiretime", 2, kRead, 1, 1, 1, redis::ExpireTime},
    {"flushall", -1, kWrite, 0, 0, 0, redis::FlushDb},
    {"flushdb", -1, kWrite, 0, 0, 0, redis::FlushDb},
    {"get", 2, kRead, 1, 1, 1, redis::Get},
    {"getdel", 2, kQuickWrite | F::kReads, 1, 1, 1, redis::GetDel},
    {"getex", -2, kQuickWrite | F::kReads, 1, 1, 1, redis::GetEx},
    {"getrange", 4, F::kReads, 1, 1, 1, redis::GetRange},
    {"getset", 3, kQuickWrite | F::kReads, 1, 1, 1, redis::GetSet},
    {"hello", -1, F::kUnknown | F::kNoData | F::kSession | F::kFast, 0, 0, 0, nullptr},
    {"incr", 2, kQuickWrite, 1, 1, 1, redis::Incr},
    {"incrby", 3, kQuickWrite, 1, 1, 1, redis::IncrBy},
    {"incrbyfloat", 3, kQuickWrite, 1, 1, 1, redis::IncrByFloat},
    {"info", -1, F::kNoData, 0, 0, 0, redis::Info},
    {"keys", 2, F::kReads | F::kWalks, 0, 0, 0, redis::Keys},
    {"mget", -2, kRead, 1, -1, 1, redis::MGet},
    {"mset", -3, F::kBlind | kWrite, 1, -1, 2, redis::MSet},
    {"msetnx", -3, kWrite, 1, -1, 2, redis::MSetNx},
    {"multi", 1, F::kNoData | F::kSession | F::kUnqueued | F::kFast, 0, 0, 0, nullptr},
    {"persist", 2, kQuickWrite, 1, 1, 1, redis::Persist},
    {"pexpire", -3, kQuickWrite, 1, 1, 1, redis::PExpire},
    {"pexpireat", -3, kQuickWrite, 1, 1, 1, redis::PExpireAt},
    {"pexpiretime", 2, kRead, 1, 1, 1, redis::PExpireTime},
    {"ping", -1, F::kNoData | F::kFast, 0, 0, 0, redis::Ping},
    {"psetex", 4, F::kBlind | kWrite, 1, 1, 1, redis::PSetEx},
    {"pttl", 2, kRead, 1, 1, 1, redis::PTtl},
    {"quit", -1, F::kUnknown | F::kNoData | F::kSession | F::kUnqueued | F::kFast, 0, 0, 0, nullptr},
    {"randomkey", 1, F::kReads | F::kWalks, 0, 0, 0, redis::RandomKey},
    {"rename", 3, kWrite, 1, 2, 1, redis::Rename},
    {"renamenx", 3, kQuickWrite, 1, 2, 1, redis::RenameNx},
    {"reset", 1, F::kUnknown | F::kNoData | F::kSession | F::kUnqueued | F::kFast, 0, 0, 0, nullptr},
    {"scan", -2, F::kReads | F::kWalks, 0, 0, 0, redis::Scan},
    {"select", 2, F::kNoData | F::kSession | F::kFast, 0, 0, 0, nullptr},
    {"set", -3, F::kBlind | kWrite, 1, 1, 1, redis::Set},
    {"setex", 4, F::kBlind | kWrite, 1, 1, 1, redis::SetEx},
    {"setnx", 3, kQuickWrite, 1, 1, 1, redis::SetNx},
    {"setrange", 4, kWrite, 1, 1, 1, redis::SetRange},
    {"strlen", 2, kRead, 1, 1, 1, redis::StrLen},
    {"substr", 4, F::kReads, 1, 1, 1, redis::GetRange},
    {"time", 1, F::kNoData | F::kFast, 0, 0, 0, redis::Time},
    {"touch", -2, kRead, 1, -1, 1, redis::Exists},
    {"ttl", 2, kRead, 1, 1, 1, redis::Ttl},
    {"type", 2, kRead, 1, 1, 1, redis::Type},
    {"unlink", -2, kQuickWrite, 1, -1, 1, redis::Del},
    {"unwatch", 1, F::kNoData | F::kSession | F::kFast, 0, 0, 0, nullptr},
    {"watch", -2, F::kSession | F::kReads | F::kUnqueued | F::kFast, 1, -1, 1, nullptr},
};

// Of Redis 7.0, with a blank on both sides of each.
constexpr std::string_view kForeign =
    " "
    "acl asking bgrewriteaof bgsave bitcount bitfield bitfield_ro bitop bitpos blmove blmpop blpop brpop "
    "brpoplpush bzmpop bzpopmax bzpopmin cluster debug dump eval eval_ro evalsha evalsha_ro failover fcall "
    "fcall_ro function geoadd geodist geohash geopos georadius georadius_ro georadiusbymember geosearch "
    "geosearchstore getbit hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield "
    "hscan hset hsetnx hstrlen hvals lastsave latency lcs lindex linsert llen lmove lmpop lolwut lpop lpos "
    "lpush lpushx lrange lrem lset ltrim memory migrate module monitor move object pfadd pfcount pfmerge "
    "psubscribe psync publish pubsub punsubscribe readonly readwrite replicaof restore role rpop rpoplpush "
    "rpush rpushx sadd save scard script sdiff sdiffstore setbit shutdown sinter sintercard sinterstore "
    "sismember slaveof slowlog smembers smismember smove sort sort_ro spop spublish srandmember srem sscan "
    "ssubscribe subscribe sunion sunionstore sunsubscribe swapdb sync unsubscribe wait xack xadd xautoclaim "
    "xclaim xdel xgroup xinfo xlen xpending xrange xread xreadgroup xrevrange xsetid xtrim zadd zcard zcount "
    "zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin "
    "zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank "
    "zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore ";

constexpr RedisSubcommand kSubcommands[] = {
    {"client", "caching", 3, false},   {"client", "getname", 2, true},
    {"client", "getredir", 2, false},  {"client", "help", 2, false},
    {"client", "id", 2, true},         {"client", "info", 2, true},
    {"client", "kill", -3, false},     {"client", "list", -2, false},
    {"client", "no-evict", 3, true},   {"client", "pause", -3, false},
    {"client", "reply", 3, true},      {"client", "setname", 3, true},
    {"client", "tracking", -3, false}, {"client", "trackinginfo", 2, false},
    {"client", "unblock", -3, false},  {"client", "unpause", 2, false},
    {"command", "count", 2, true},     {"command", "docs", -2, true},
    {"command", "getkeys", -4, true},  {"command", "getkeysandflags", -4, false},
    {"command", "help", 2, false},     {"command", "info", -2, true},
    {"command", "list", -2, true},     {"config", "get", -3, true},
    {"config", "help", 2, false},      {"config", "resetstat", 2, true},
    {"config", "rewrite", 2, false},   {"config", "set", -4, false},
};

}  // namespace

const RedisSubcommand* FindRedisSubcommand(std::string_view command, std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kSubcommands), std::end(kSubcommands),
                   [&](const RedisSubcommand& s) { return s.command == command && EqualsIgnoringCase(s.name, name); });
  return found == std::end(kSubcommands) ? nullptr : found;
}

bool HasRedisSubcommands(std::string_view command) {
  return command == "client" || command == "command" || command == "config";
}

uint64_t RedisCursors::Add(std::string key) {
  base::MutexLock lock(&mutex_);
  const uint64_t cursor = ++last_;
  bytes_ += key.size();
  while (cursor - oldest_ >= kCursorsMax || bytes_ > kBytesMax) ForgetOldest();
  cursors_[cursor % kCursorsMax] = {cursor, std::move(key)};
  return cursor;
}

void RedisCursors::ForgetOldest() {
  auto& [cursor, key] = cursors_[oldest_ % kCursorsMax];
  bytes_ -= key.size();
  cursor = 0;
  std::string().swap(key);
  oldest_++;
}

bool RedisCursors::Find(uint64_t cursor, std::string* key) {
  base::MutexLock lock(&mutex_);
  const auto& found = cursors_[cursor % kCursorsMax];
  if (cursor == 0 || found.first != cursor) return false;
  *key = found.second;
  return true;
}

char LowerCase(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string ToLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = LowerCase(c);
  return lower;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return LowerCase(x) == LowerCase(y); });
}

absl::Span<const RedisCommand> RedisCommands() { return kCommands; }

const RedisCommand* FindRedisCommand(std::string_view name) {
  constexpr size_t kNameBytesMax = 16;
  if (name.size() > kNameBytesMax) return nullptr;
  const std::string lower = ToLower(name);
  const auto* const found = std::lower_bound(std::begin(kCommands), std::end(kCommands), lower,
                                             [](const RedisCommand& c, const std::string& n) { return c.name < n; });
  return found == std::end(kCommands) || found->name != lower ? nullptr : found;
}

bool IsForeignRedisCommand(std::string_view name) {
  if (name.empty() || name.find(' ') != std::string_view::npos) return false;
  return kForeign.find(" " + ToLower(name) + " ") != std::string_view::npos;
}

std::vector<size_t> RedisCommand::Keys(size_t arguments) const {
  std::vector<size_t> keys;
  if (first_key == 0) return keys;
  const auto count = static_cast<int>(arguments);
  const int last = last_key < 0 ? count + last_key : last_key;
  for (int at = first_key; at <= last && at < count; at += key_step) keys.push_back(static_cast<size_t>(at));
  return keys;
}

void ReplyWrongArity(std::string_view name, resp::ReplyWriter* reply) {
  reply->Error("ERR wrong number of arguments for '" + std::string(name) + "' command");
}

bool TakeInteger(RedisCall& call, std::string_view text, int64_t* number) {
  if (resp::ParseNumber(text, number)) return true;
  call.reply->Error(kNotAnInteger);
  return false;
}

bool FitsInValue(RedisCall& call, uint64_t bytes) {
  if (bytes <= call.environment->value_bytes_max) return true;
  call.reply->Error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
  return false;
}

bool FitsAsPattern(RedisCall& call, std::string_view pattern) {
  if (pattern.size() <= kPatternBytesMax) return true;
  call.reply->Error("ERR the pattern is longer than " + std::to_string(kPatternBytesMax) + " bytes");
  return false;
}

namespace {

// A set in brackets, from behind the opening one; `at` is then at its last character.
bool MatchesSet(std::string_view pattern, size_t* at, char c) {
  size_t i = *at;
  const bool inverted = i < pattern.size() && pattern[i] == '^';
  if (inverted) i++;
  bool found = false;
  while (true) {
    if (i < pattern.size() && pattern[i] == '\\' && i + 1 < pattern.size()) {
      i++;
      found = found || pattern[i] == c;
    } else if (i < pattern.size() && pattern[i] == ']') {
      break;
    } else if (i >= pattern.size()) {
      // Without its end it ends with the pattern.
      i--;
      break;
    } else if (i + 2 < pattern.size() && pattern[i + 1] == '-') {
      auto low = static_cast<unsigned char>(pattern[i]), high = static_cast<unsigned char>(pattern[i + 2]);
      if (low > high) std::swap(low, high);
      i += 2;
      const auto byte = static_cast<unsigned char>(c);
      found = found || (byte >= low && byte <= high);
    } else {
      found = found || pattern[i] == c;
    }
    i++;
  }
  *at = i;
  return found != inverted;
}

// One character of the text against one element of the pattern, which is not "*".
bool MatchesOne(std::string_view pattern, size_t* at, char c) {
  switch (pattern[*at]) {
    case '?':
      return true;
    case '[':
      ++*at;
      return MatchesSet(pattern, at, c);
    case '\\':
      if (*at + 1 < pattern.size()) ++*at;
      return pattern[*at] == c;
    default:
      return pattern[*at] == c;
  }
}

}  // namespace

std::string_view LiteralPrefix(std::string_view pattern) { return pattern.substr(0, pattern.find_first_of("*?[\\")); }

bool MatchesPattern(std::string_view pattern, std::string_view text, uint64_t* steps) {
  // Redis looks at a pattern only as long as there is text, but for the one that everything
  // matches.
  if (text.empty()) return pattern.empty() || pattern == "*";
  // Where to go back to: the last "*", and how much of the text it took.
  size_t star = std::string_view::npos, taken = 0;
  size_t p = 0, t = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = t;
      continue;
    }
    size_t at = p;
    const bool matches = p < pattern.size() && MatchesOne(pattern, &at, text[t]);
    // A set in brackets is looked through.
    *steps += at - p + 1;
    if (matches) {
      p = at + 1;
      t++;
      continue;
    }
    if (star == std::string_view::npos) return false;
    p = star + 1;
    t = ++taken;
  }
  while (p < pattern.size() && pattern[p] == '*') p++;
  return p == pattern.size();
}

}  // namespace bandb::server
