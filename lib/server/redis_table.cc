// The table of commands, and what all of them share.
#include <algorithm>
#include <array>
#include <cctype>
#include <initializer_list>
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
// Of another database, which there is not: it is refused without a look at what is stored.
constexpr uint32_t kNowhere = F::kWrites | F::kBlind | F::kNoData;

// By name.
constexpr RedisCommand kCommands[] = {
    {"acl", -2, F::kNoData, 0, 0, 0, redis::Acl},
    {"append", 3, kQuickWrite, 1, 1, 1, redis::Append},
    {"auth", -2, F::kUnknown | F::kNoData | F::kSession | F::kFast, 0, 0, 0, nullptr},
    {"bitcount", -2, F::kReads, 1, 1, 1, redis::BitCount},
    {"bitop", -4, kWrite, 2, -1, 1, redis::BitOp},
    {"bitpos", -3, F::kReads, 1, 1, 1, redis::BitPos},
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
    {"function", -2, F::kNoData, 0, 0, 0, redis::Function},
    {"get", 2, kRead, 1, 1, 1, redis::Get},
    {"getbit", 3, kRead, 1, 1, 1, redis::GetBit},
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
    {"lcs", -3, F::kReads, 1, 2, 1, redis::Lcs},
    {"memory", -2, F::kReads, 2, 2, 1, redis::Memory},
    {"mget", -2, kRead, 1, -1, 1, redis::MGet},
    {"move", 3, kNowhere | F::kFast, 1, 1, 1, redis::Move},
    {"mset", -3, F::kBlind | kWrite, 1, -1, 2, redis::MSet},
    {"msetnx", -3, kWrite, 1, -1, 2, redis::MSetNx},
    {"multi", 1, F::kNoData | F::kSession | F::kUnqueued | F::kFast, 0, 0, 0, nullptr},
    {"object", -2, F::kReads, 2, 2, 1, redis::Object},
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
    {"role", 1, F::kNoData | F::kFast, 0, 0, 0, redis::Role},
    {"scan", -2, F::kReads | F::kWalks, 0, 0, 0, redis::Scan},
    {"script", -2, F::kNoData, 0, 0, 0, redis::Script},
    {"select", 2, F::kNoData | F::kSession | F::kFast, 0, 0, 0, nullptr},
    {"set", -3, F::kBlind | kWrite, 1, 1, 1, redis::Set},
    {"setbit", 4, kWrite, 1, 1, 1, redis::SetBit},
    {"setex", 4, F::kBlind | kWrite, 1, 1, 1, redis::SetEx},
    {"setnx", 3, kQuickWrite, 1, 1, 1, redis::SetNx},
    {"setrange", 4, kWrite, 1, 1, 1, redis::SetRange},
    {"slowlog", -2, F::kNoData, 0, 0, 0, redis::Slowlog},
    {"strlen", 2, kRead, 1, 1, 1, redis::StrLen},
    {"substr", 4, F::kReads, 1, 1, 1, redis::GetRange},
    {"swapdb", 3, kNowhere | F::kFast, 0, 0, 0, redis::SwapDb},
    {"time", 1, F::kNoData | F::kFast, 0, 0, 0, redis::Time},
    {"touch", -2, kRead, 1, -1, 1, redis::Exists},
    {"ttl", 2, kRead, 1, 1, 1, redis::Ttl},
    {"type", 2, kRead, 1, 1, 1, redis::Type},
    {"unlink", -2, kQuickWrite, 1, -1, 1, redis::Del},
    {"unwatch", 1, F::kNoData | F::kSession | F::kFast, 0, 0, 0, nullptr},
    {"wait", 3, F::kNoData, 0, 0, 0, redis::Wait},
    {"watch", -2, F::kSession | F::kReads | F::kUnqueued | F::kFast, 1, -1, 1, nullptr},
};

// Of Redis 7.0, with a blank on both sides of each.
constexpr std::string_view kForeign =
    " "
    "asking bgrewriteaof bgsave bitfield bitfield_ro blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax "
    "bzpopmin cluster debug dump eval eval_ro evalsha evalsha_ro failover fcall fcall_ro geoadd geodist "
    "geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch geosearchstore "
    "hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx "
    "hstrlen hvals lastsave latency lindex linsert llen lmove lmpop lolwut lpop lpos lpush lpushx lrange lrem "
    "lset ltrim migrate module monitor pfadd pfcount pfdebug pfmerge pfselftest psubscribe psync publish "
    "pubsub punsubscribe readonly readwrite replconf replicaof restore restore-asking rpop rpoplpush rpush "
    "rpushx sadd save scard sdiff sdiffstore shutdown sinter sintercard sinterstore sismember slaveof "
    "smembers smismember smove sort sort_ro spop spublish srandmember srem sscan ssubscribe subscribe sunion "
    "sunionstore sunsubscribe sync unsubscribe xack xadd xautoclaim xclaim xdel xgroup xinfo xlen xpending "
    "xrange xread xreadgroup xrevrange xsetid xtrim zadd zcard zcount zdiff zdiffstore zincrby zinter "
    "zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex "
    "zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange "
    "zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore ";

constexpr uint32_t kKnown = RedisSubcommand::kKnown;
constexpr uint32_t kForAdmins = RedisSubcommand::kKnown | RedisSubcommand::kAdmin;
constexpr RedisSubcommand kSubcommands[] = {
    {"acl", "cat", -2, 0},
    {"acl", "deluser", -3, 0},
    {"acl", "dryrun", -4, 0},
    {"acl", "genpass", -2, 0},
    {"acl", "getuser", 3, 0},
    {"acl", "help", 2, kKnown},
    {"acl", "list", 2, 0},
    {"acl", "load", 2, 0},
    {"acl", "log", -2, 0},
    {"acl", "save", 2, 0},
    {"acl", "setuser", -3, 0},
    {"acl", "users", 2, 0},
    {"acl", "whoami", 2, kKnown},
    {"client", "caching", 3, kKnown},
    {"client", "getname", 2, kKnown},
    {"client", "getredir", 2, kKnown},
    {"client", "help", 2, kKnown},
    {"client", "id", 2, kKnown},
    {"client", "info", 2, kKnown | RedisSubcommand::kClients | RedisSubcommand::kAlone},
    {"client", "kill", -3, kForAdmins | RedisSubcommand::kClients | RedisSubcommand::kAlone},
    {"client", "list", -2, kForAdmins | RedisSubcommand::kClients | RedisSubcommand::kAlone},
    {"client", "no-evict", 3, kKnown},
    {"client", "pause", -3, 0},
    {"client", "reply", 3, kKnown},
    {"client", "setname", 3, kKnown},
    {"client", "tracking", -3, kKnown},
    {"client", "trackinginfo", 2, kKnown},
    {"client", "unblock", -3, kKnown},
    {"client", "unpause", 2, 0},
    {"command", "count", 2, kKnown},
    {"command", "docs", -2, kKnown},
    {"command", "getkeys", -4, kKnown},
    {"command", "getkeysandflags", -4, 0},
    {"command", "help", 2, kKnown},
    {"command", "info", -2, kKnown},
    {"command", "list", -2, kKnown},
    {"config", "get", -3, kKnown},
    {"config", "help", 2, kKnown},
    {"config", "resetstat", 2, kKnown},
    {"config", "rewrite", 2, 0},
    {"config", "set", -4, kKnown},
    {"function", "delete", 3, 0},
    {"function", "dump", 2, 0},
    {"function", "flush", -2, kKnown},
    {"function", "help", 2, kKnown},
    {"function", "kill", 2, 0},
    {"function", "list", -2, kKnown},
    {"function", "load", -3, 0},
    {"function", "restore", -3, 0},
    {"function", "stats", 2, 0},
    {"memory", "doctor", 2, 0},
    {"memory", "help", 2, kKnown},
    {"memory", "malloc-stats", 2, 0},
    {"memory", "purge", 2, 0},
    {"memory", "stats", 2, 0},
    {"memory", "usage", -3, kKnown},
    {"object", "encoding", 3, kKnown},
    {"object", "freq", 3, kKnown},
    {"object", "help", 2, kKnown},
    {"object", "idletime", 3, kKnown},
    {"object", "refcount", 3, kKnown},
    {"script", "debug", 3, 0},
    {"script", "exists", -3, kKnown},
    {"script", "flush", -2, kKnown},
    {"script", "help", 2, kKnown},
    {"script", "kill", 2, 0},
    {"script", "load", 3, 0},
    {"slowlog", "get", -2, kForAdmins | RedisSubcommand::kAlone},
    {"slowlog", "help", 2, kKnown},
    {"slowlog", "len", 2, kForAdmins | RedisSubcommand::kAlone},
    {"slowlog", "reset", 2, kForAdmins | RedisSubcommand::kAlone | RedisSubcommand::kChanges},
};

}  // namespace

const RedisSubcommand* FindRedisSubcommand(std::string_view command, std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kSubcommands), std::end(kSubcommands),
                   [&](const RedisSubcommand& s) { return s.command == command && EqualsIgnoringCase(s.name, name); });
  return found == std::end(kSubcommands) ? nullptr : found;
}

bool HasRedisSubcommands(std::string_view command) {
  return std::any_of(std::begin(kSubcommands), std::end(kSubcommands),
                     [command](const RedisSubcommand& one) { return one.command == command; });
}

uint64_t RedisCursors::Add(std::string key, std::string_view owner) {
  base::MutexLock lock(&mutex_);
  const uint64_t cursor = ++last_;
  const auto own = owners_.try_emplace(std::string(owner)).first;
  own->second.cursors.push_back(cursor);
  bytes_ += key.size();
  SetWeight(own, own->second.weight + kWeightOfOne + key.size());
  cursors_.emplace(cursor, Cursor{std::move(key), own});
  while (cursors_.size() > kCursorsMax || bytes_ > kBytesMax) ForgetOne();
  return cursor;
}

void RedisCursors::SetWeight(Owners::iterator owner, size_t weight) {
  by_weight_.erase({owner->second.weight, owner->first});
  owner->second.weight = weight;
  if (weight != 0) by_weight_.emplace(weight, owner->first);
}

void RedisCursors::ForgetOne() {
  // The heaviest owner pays if it holds more than a fair share; else the oldest of all goes, never
  // what was just added.
  auto owner = owners_.find(by_weight_.rbegin()->second);
  if (owner->second.weight <= kFairShare || owner->second.cursors.size() == 1) owner = cursors_.begin()->second.owner;
  const auto oldest = cursors_.find(owner->second.cursors.front());
  owner->second.cursors.pop_front();
  const size_t key_bytes = oldest->second.key.size();
  bytes_ -= key_bytes;
  SetWeight(owner, owner->second.weight - kWeightOfOne - key_bytes);
  cursors_.erase(oldest);
  if (owner->second.cursors.empty()) owners_.erase(owner);
}

bool RedisCursors::Find(uint64_t cursor, std::string* key) {
  base::MutexLock lock(&mutex_);
  const auto found = cursors_.find(cursor);
  if (found == cursors_.end()) return false;
  *key = found->second.key;
  return true;
}

char LowerCase(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string ToLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = LowerCase(c);
  return lower;
}

std::string ToUpper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return upper;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return LowerCase(x) == LowerCase(y); });
}

absl::Span<const RedisCommand> RedisCommands() { return kCommands; }

absl::Span<const RedisSubcommand> RedisSubcommands() { return kSubcommands; }

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

std::vector<size_t> RedisCommand::ReadKeys(absl::Span<const std::string_view> arguments) const {
  std::vector<size_t> keys = Keys(arguments.size());
  const auto has_option = [arguments](size_t from, std::initializer_list<std::string_view> options) {
    return std::any_of(arguments.begin() + static_cast<ptrdiff_t>(std::min(from, arguments.size())), arguments.end(),
                       [options](std::string_view argument) {
                         return std::any_of(options.begin(), options.end(), [argument](std::string_view option) {
                           return EqualsIgnoringCase(argument, option);
                         });
                       });
  };
  if (Has(kBlind)) {
    if (name != "set" || !has_option(3, {"nx", "xx", "get", "keepttl"})) keys.clear();
  } else if (name == "rename" || (name == "copy" && has_option(3, {"replace"}))) {
    // What the other one holds is replaced, and nothing is told of it.
    keys.resize(std::min<size_t>(keys.size(), 1));
  } else if (name == "bitop" && !keys.empty()) {
    keys.erase(keys.begin());
  }
  return keys;
}

void ReplyHelp(RedisCall& call) {
  const auto is_of_it = [&call](const RedisSubcommand& sub) {
    return sub.command == call.name && sub.Has(RedisSubcommand::kKnown);
  };
  const std::string upper = ToUpper(call.name);
  const auto count = std::count_if(std::begin(kSubcommands), std::end(kSubcommands), is_of_it);
  call.reply->ArrayHead(static_cast<size_t>(count) + 1);
  call.reply->Simple("BanDB has of " + upper + ":");
  for (const RedisSubcommand& sub : kSubcommands) {
    if (is_of_it(sub)) call.reply->Simple(upper + " " + ToUpper(sub.name));
  }
}

void ReplyWrongSubcommand(RedisCall& call) {
  call.reply->Error("ERR unknown subcommand or wrong number of arguments for '" +
                    std::string(call.Argument(1).substr(0, 128)) + "'. Try " + ToUpper(call.name) + " HELP.");
}

void ReplyWrongArity(std::string_view name, resp::ReplyWriter* reply) {
  reply->Error("ERR wrong number of arguments for '" + std::string(name) + "' command");
}

bool TakeInteger(RedisCall& call, std::string_view text, int64_t* number) {
  if (resp::ParseNumber(text, number)) return true;
  call.reply->Error(kNotAnInteger);
  return false;
}

bool TakeDatabase(RedisCall& call, std::string_view text) {
  int64_t database = 0;
  if (!TakeInteger(call, text, &database)) return false;
  if (database < INT32_MIN || database > INT32_MAX) {
    call.reply->Error("ERR value is out of range, value must between -2147483648 and 2147483647");
  } else if (database != 0) {
    call.reply->Error(kNoSuchDatabase);
  } else {
    return true;
  }
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

// A set in brackets, from after the opening one; `at` is then at its last character.
bool MatchesSet(std::string_view pattern, size_t* at, char c) {
  size_t i = *at;
  const bool inverted = i < pattern.size() && pattern[i] == '^';
  if (inverted) ++i;
  bool found = false;
  while (true) {
    if (i < pattern.size() && pattern[i] == '\\' && i + 1 < pattern.size()) {
      ++i;
      found = found || pattern[i] == c;
    } else if (i < pattern.size() && pattern[i] == ']') {
      break;
    } else if (i >= pattern.size()) {
      // Without its end it ends with the pattern.
      --i;
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
    ++i;
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
      ++t;
      continue;
    }
    if (star == std::string_view::npos) return false;
    p = star + 1;
    t = ++taken;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace bandb::server
