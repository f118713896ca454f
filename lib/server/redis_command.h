// The commands of Redis that BanDB answers: on strings, keys, and connections.
//
// Each is a function over its arguments and a transaction, which writes its reply; by itself or
// within MULTI is the same. Replies and errors are those of Redis 7.0 but for what docs/redis.md
// names.
#ifndef BANDB_SERVER_REDIS_COMMAND_H_
#define BANDB_SERVER_REDIS_COMMAND_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/mutex.h"
#include "resp/reply_writer.h"
#include "server/session.h"
#include "server/slow_log.h"
#include "server/transaction.h"

namespace bandb::server {

// Where SCAN goes on: a key may be longer than the number that clients get. Bounded; where there is
// no room the oldest of the client that has most is forgotten, so that nobody loses theirs to
// another who makes many. Thread safety: any thread.
class RedisCursors {
 public:
  // `owner`: a user, or a connection where there are none. Never 0.
  uint64_t Add(std::string key, std::string_view owner = {}) ABSL_LOCKS_EXCLUDED(mutex_);
  // False: it is none, or was forgotten. Any client that has the number may use it, and again.
  bool Find(uint64_t cursor, std::string* key) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr size_t kCursorsMax = 4096;
  static constexpr size_t kBytesMax = 4 << 20;
  // Either limit is reached with the same weight.
  static constexpr size_t kWeightOfOne = kBytesMax / kCursorsMax;
  // Of one owner, while others have use for it.
  static constexpr size_t kFairShare = 64 * kWeightOfOne;

  struct Owner {
    std::deque<uint64_t> cursors;  // oldest first
    size_t weight = 0;
  };
  using Owners = std::map<std::string, Owner, std::less<>>;
  struct Cursor {
    std::string key;
    Owners::iterator owner;
  };

  void SetWeight(Owners::iterator owner, size_t weight) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetOne() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  base::Mutex mutex_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of the keys
  std::map<uint64_t, Cursor> cursors_ ABSL_GUARDED_BY(mutex_);
  Owners owners_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<size_t, std::string_view>> by_weight_ ABSL_GUARDED_BY(mutex_);  // views of the owners' names
};

// Of a command on many keys, between two steps.
struct RedisKeyCount final : WalkState {
  size_t next = 1;  // the argument to go on with
  int64_t count = 0;
  bool headed = false;  // the reply has begun
};

// What all connections share. Thread safety: any thread.
struct RedisEnvironment {
  size_t value_bytes_max = 0;  // of a bulk string
  size_t reply_bytes_max = 0;
  bool sync = true;
  std::function<std::string()> stats;  // lines "name value"
  std::function<int64_t()> now_ms;
  UserRegistry* users = nullptr;  // null: there are none
  bool keys_are_final = true;     // no hook puts another key in the place of a client's
  SlowLog* slow_log = nullptr;    // null: there is none
  // HOST:PORT of the listeners, once there is one.
  std::string address;
  std::string tls_address;
  std::atomic<int> port{0};
  int clients_max = 0;
  int64_t started_ms = 0;
  mutable std::atomic<uint64_t> clients{0};  // that there ever were
  mutable std::atomic<int64_t> clients_open{0};
  mutable RedisCursors cursors;
};

// Of a connection, what commands may show.
struct RedisClient {
  uint64_t id = 0;
  int version = 2;  // of the protocol
  std::string name;
  std::string user{};  // empty: there are none

  // Whose share of what all have it counts for.
  std::string Owner() const { return user.empty() ? std::to_string(id) : "user " + user; }
};

// One command while it runs.
struct RedisCall {
  absl::Span<const std::string> arguments;  // the first is its name
  std::string_view name;                    // in small letters, as in error texts
  Transaction* data = nullptr;
  resp::ReplyWriter* reply = nullptr;
  const RedisEnvironment* environment = nullptr;
  const RedisClient* client = nullptr;
  int64_t now_ms = 0;
  uint64_t work = 0;  // that was done besides copying, counted as Transaction::Spend

  std::string_view Argument(size_t at) const { return arguments[at]; }
  size_t count() const { return arguments.size(); }
};

struct RedisCommand {
  enum Flag : uint32_t {
    kReads = 1,      // shows what is stored
    kWrites = 2,     // may write
    kWalks = 4,      // over many keys
    kFast = 8,       // as COMMAND tells it
    kNoData = 16,    // has nothing to do with what is stored
    kSession = 32,   // changes the state of its connection: its codec runs it
    kUnqueued = 64,  // runs within MULTI, too
    kBlind = 128,    // writes without telling anything of what is stored
    kUnknown = 256,  // also of clients that have not logged in
  };
  std::string_view name;
  int arity = 0;  // with the name; negative: at least so many
  uint32_t flags = 0;
  // Which arguments are keys: from, to (negative: from the end), and each how many.
  int first_key = 0, last_key = 0, key_step = 0;
  void (*run)(RedisCall& call) = nullptr;

  bool Has(Flag flag) const { return (flags & flag) != 0; }
  // The places of its keys.
  std::vector<size_t> Keys(size_t arguments) const;
  // Of these the keys of which it tells something, or whose values it copies.
  std::vector<size_t> ReadKeys(absl::Span<const std::string_view> arguments) const;
};

// By name, in letters of any case; null: there is none.
const RedisCommand* FindRedisCommand(std::string_view name);
absl::Span<const RedisCommand> RedisCommands();
// Those of CLIENT, CONFIG and so on that Redis 7.0 has.
struct RedisSubcommand {
  std::string_view command;
  std::string_view name;
  int arity = 0;
  uint32_t flags = 0;

  enum Flag : uint32_t {
    kKnown = 1,     // to BanDB
    kAdmin = 2,     // needs the right to administer
    kClients = 4,   // asks all loops about their clients
    kAlone = 8,     // not within MULTI
    kChanges = 16,  // what operators change with it is recorded
  };
  bool Has(Flag flag) const { return (flags & flag) != 0; }
};
bool HasRedisSubcommands(std::string_view command);
absl::Span<const RedisSubcommand> RedisSubcommands();
const RedisSubcommand* FindRedisSubcommand(std::string_view command, std::string_view name);
// Whether Redis 7.0 has such a command, that BanDB does not.
bool IsForeignRedisCommand(std::string_view name);

char LowerCase(char c);
std::string ToLower(std::string_view text);
std::string ToUpper(std::string_view text);
bool EqualsIgnoringCase(std::string_view a, std::string_view b);

// Errors that many commands give.
inline constexpr std::string_view kSyntaxError = "ERR syntax error";
inline constexpr std::string_view kNotKnown = "NOAUTH Authentication required.";
inline constexpr std::string_view kWrongPassword = "WRONGPASS invalid username-password pair or user is disabled.";
inline constexpr std::string_view kKeyDenied =
    "NOPERM this user has no permissions to access one of the keys used as arguments";
inline constexpr std::string_view kNotInMulti = "ERR Command not allowed inside a transaction";
// The user that everybody is where there are no users.
inline constexpr std::string_view kDefaultUser = "default";
inline constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";
inline constexpr std::string_view kNoSuchDatabase = "ERR DB index is out of range";
inline constexpr std::string_view kSameObjects = "ERR source and destination objects are the same";
void ReplyWrongArity(std::string_view name, resp::ReplyWriter* reply);
void ReplyWrongSubcommand(RedisCall& call);
// The subcommands that there are of the call's command.
void ReplyHelp(RedisCall& call);
// False, with the error replied: it is no number.
bool TakeInteger(RedisCall& call, std::string_view text, int64_t* number);
// False, with the error replied: it is not the number of the one database.
bool TakeDatabase(RedisCall& call, std::string_view text);
// Refuses what would be too long, as Redis does.
bool FitsInValue(RedisCall& call, uint64_t bytes);

// Options of SET that make it a put and nothing else: what the quick way takes. False: it is not,
// or they are wrong.
bool IsPlainSet(absl::Span<const std::string_view> arguments, absl::Duration* time_to_live);

// What every key begins with that a pattern matches.
std::string_view LiteralPrefix(std::string_view pattern);
// Matches as Redis does: *, ?, [a-z], [^a], \. It takes as many steps as the lengths of both,
// multiplied, at worst; `steps` counts them.
bool MatchesPattern(std::string_view pattern, std::string_view text, uint64_t* steps);
inline bool MatchesPattern(std::string_view pattern, std::string_view text) {
  uint64_t steps = 0;
  return MatchesPattern(pattern, text, &steps);
}

// A pattern against many keys, which must not hold up a thread for longer than the keys themselves
// would.
class PatternWalk {
 public:
  explicit PatternWalk(std::string_view pattern) : pattern_(pattern) {}
  bool Matches(std::string_view key) {
    bytes_ += key.size();
    return MatchesPattern(pattern_, key, &steps_);
  }
  // Steps since this was last asked.
  uint64_t TakeSteps() { return steps_ - std::exchange(taken_steps_, steps_); }
  // It has cost far more than what was looked at: no more keys.
  bool spent() const { return steps_ > kStepsMax + kStepsPerByte * bytes_; }

 private:
  static constexpr uint64_t kStepsMax = 20'000'000;
  static constexpr uint64_t kStepsPerByte = 8;

  const std::string_view pattern_;
  uint64_t steps_ = 0;
  uint64_t taken_steps_ = 0;
  uint64_t bytes_ = 0;
};

// What a step of a match counts as work.
inline constexpr uint64_t kWorkPerMatchStep = 4;

// Else says so.
inline constexpr size_t kPatternBytesMax = 1024;
bool FitsAsPattern(RedisCall& call, std::string_view pattern);

// The functions of the table, by file.
namespace redis {
void Get(RedisCall& call);
void Set(RedisCall& call);
void SetNx(RedisCall& call);
void SetEx(RedisCall& call);
void PSetEx(RedisCall& call);
void GetEx(RedisCall& call);
void GetDel(RedisCall& call);
void GetSet(RedisCall& call);
void MGet(RedisCall& call);
void MSet(RedisCall& call);
void MSetNx(RedisCall& call);
void Append(RedisCall& call);
void StrLen(RedisCall& call);
void GetRange(RedisCall& call);
void SetRange(RedisCall& call);
void Incr(RedisCall& call);
void Decr(RedisCall& call);
void IncrBy(RedisCall& call);
void DecrBy(RedisCall& call);
void IncrByFloat(RedisCall& call);
void Lcs(RedisCall& call);
void SetBit(RedisCall& call);
void GetBit(RedisCall& call);
void BitCount(RedisCall& call);
void BitPos(RedisCall& call);
void BitOp(RedisCall& call);

void Del(RedisCall& call);
void Exists(RedisCall& call);
void Type(RedisCall& call);
void Rename(RedisCall& call);
void RenameNx(RedisCall& call);
void Copy(RedisCall& call);
void RandomKey(RedisCall& call);
void Keys(RedisCall& call);
void Scan(RedisCall& call);
void DbSize(RedisCall& call);
void FlushDb(RedisCall& call);
void Move(RedisCall& call);
void SwapDb(RedisCall& call);
void Object(RedisCall& call);
void Memory(RedisCall& call);

void Ttl(RedisCall& call);
void PTtl(RedisCall& call);
void ExpireTime(RedisCall& call);
void PExpireTime(RedisCall& call);
void Expire(RedisCall& call);
void PExpire(RedisCall& call);
void ExpireAt(RedisCall& call);
void PExpireAt(RedisCall& call);
void Persist(RedisCall& call);

void Ping(RedisCall& call);
void Echo(RedisCall& call);
void Slowlog(RedisCall& call);
void Time(RedisCall& call);
void Info(RedisCall& call);
void Config(RedisCall& call);
void Command(RedisCall& call);
void Acl(RedisCall& call);
void Function(RedisCall& call);
void Script(RedisCall& call);
void Role(RedisCall& call);
void Wait(RedisCall& call);
}  // namespace redis

}  // namespace bandb::server

#endif  // BANDB_SERVER_REDIS_COMMAND_H_
