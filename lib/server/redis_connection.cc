// Commands that have nothing to do with what is stored, and change nothing.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "resp/request_parser.h"
#include "server/redis_command.h"

namespace bandb::server::redis {

namespace {

std::vector<std::pair<std::string, std::string>> Settings(const RedisEnvironment& environment) {
  return {
      {"appendfsync", environment.sync ? "always" : "no"},
      {"appendonly", "yes"},
      {"databases", "1"},
      {"maxclients", std::to_string(environment.clients_max)},
      {"maxmemory", "0"},
      {"maxmemory-policy", "noeviction"},
      {"notify-keyspace-events", ""},
      {"port", std::to_string(environment.port.load())},
      {"proto-max-bulk-len", std::to_string(environment.value_bytes_max)},
      {"save", ""},
      {"timeout", "0"},
  };
}

constexpr std::string_view kImmutable = "can't set immutable config";

// Of what is matched on the loop: some tenths of a millisecond.
constexpr uint64_t kQuickStepsMax = 256 << 10;
constexpr std::string_view kSlowPatterns = "ERR the patterns take too long to match";

void ReplyCommandInfo(const RedisCommand& command, resp::ReplyWriter* reply) {
  reply->ArrayHead(10);
  reply->Bulk(command.name);
  reply->Integer(command.arity);
  // Of a command that has subcommands, what it does and its keys are theirs.
  const bool is_container = HasRedisSubcommands(command.name);
  std::vector<std::string_view> flags;
  if (command.Has(RedisCommand::kWrites)) {
    flags.push_back("write");
  } else if (command.Has(RedisCommand::kReads) && !is_container) {
    flags.push_back("readonly");
  }
  if (command.Has(RedisCommand::kFast)) flags.push_back("fast");
  reply->SetHead(flags.size());
  for (const std::string_view flag : flags) reply->Simple(flag);
  reply->Integer(is_container ? 0 : command.first_key);
  reply->Integer(is_container ? 0 : command.last_key);
  reply->Integer(is_container ? 0 : command.key_step);
  // Categories, tips, key specifications and subcommands are not told.
  reply->SetHead(0);
  for (int i = 0; i < 3; ++i) reply->ArrayHead(0);
}

void ReplyKeys(RedisCall& call) {
  const RedisCommand* command = call.count() < 3 ? nullptr : FindRedisCommand(call.Argument(2));
  if (command == nullptr) return call.reply->Error("ERR Invalid command specified");
  const auto count = static_cast<int>(call.count()) - 2;
  if ((command->arity > 0 && count != command->arity) || count < -command->arity) {
    return call.reply->Error("ERR Invalid number of arguments specified for command");
  }
  const std::vector<size_t> keys = command->Keys(call.count() - 2);
  if (keys.empty()) return call.reply->Error("ERR The command has no key arguments");
  call.reply->ArrayHead(keys.size());
  for (const size_t at : keys) call.reply->Bulk(call.Argument(at + 2));
}

}  // namespace

void Ping(RedisCall& call) {
  if (call.count() > 2) return ReplyWrongArity(call.name, call.reply);
  call.count() == 1 ? call.reply->Simple("PONG") : call.reply->Bulk(call.Argument(1));
}

void Echo(RedisCall& call) { call.reply->Bulk(call.Argument(1)); }

void Time(RedisCall& call) {
  call.reply->ArrayHead(2);
  call.reply->Bulk(std::to_string(call.now_ms / 1000));
  call.reply->Bulk(std::to_string(call.now_ms % 1000 * 1000));
}

namespace {

// As people read it.
std::string BytesText(uint64_t bytes) {
  constexpr std::string_view kUnits = "BKMGTP";
  auto number = static_cast<double>(bytes);
  size_t unit = 0;
  for (; number >= 1024 && unit + 1 < kUnits.size(); ++unit) number /= 1024;
  return unit == 0 ? fmt::format("{}B", bytes) : fmt::format("{:.2f}{}", number, kUnits[unit]);
}

// What a server counts, one by one: lines "name value".
class CounterLines {
 public:
  explicit CounterLines(const std::string& lines) : left_(lines) {}

  bool Next(std::string_view* name, std::string_view* value) {
    if (left_.empty()) return false;
    const std::string_view line = left_.substr(0, left_.find('\n'));
    left_.remove_prefix(std::min(left_.size(), line.size() + 1));
    const size_t blank = std::min(line.find(' '), line.size());
    *name = line.substr(0, blank);
    *value = line.substr(std::min(line.size(), blank + 1));
    return true;
  }

 private:
  std::string_view left_;
};

// What clients of Redis look for among what BanDB counts; empty: nothing is.
std::string_view RedisCounter(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"connections_accepted", "total_connections_received"},
      {"connections_refused", "rejected_connections"},
      {"bytes_read", "total_net_input_bytes"},
      {"bytes_written", "total_net_output_bytes"},
      {"frames_read", "total_commands_processed"},
      {"error_replies", "total_error_replies"},
  };
  const auto* const found =
      std::find_if(std::begin(kNames), std::end(kNames), [name](const auto& pair) { return pair.first == name; });
  return found == std::end(kNames) ? std::string_view() : found->second;
}

std::string ServerSection(const RedisCall& call) {
  const int64_t seconds = std::max<int64_t>(0, call.now_ms - call.environment->started_ms) / 1000;
  return fmt::format(
      "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nserver_name:bandb\r\ntcp_port:{}\r\n"
      "uptime_in_seconds:{}\r\nuptime_in_days:{}\r\n",
      call.environment->port.load(), seconds, seconds / 86'400);
}

std::string ClientsSection(const RedisCall& call) {
  return fmt::format("# Clients\r\nconnected_clients:{}\r\nmaxclients:{}\r\nblocked_clients:0\r\n",
                     call.environment->clients_open.load(), call.environment->clients_max);
}

std::string MemorySection(const std::string& stats) {
  uint64_t bytes = 0;
  std::string_view name, value;
  for (CounterLines counters(stats); counters.Next(&name, &value);) {
    if (name == "memory_bytes") std::from_chars(value.data(), value.data() + value.size(), bytes);
  }
  return fmt::format(
      "# Memory\r\nused_memory:{}\r\nused_memory_human:{}\r\nmaxmemory:0\r\nmaxmemory_human:0B\r\n"
      "maxmemory_policy:noeviction\r\n",
      bytes, BytesText(bytes));
}

std::string StatsSection(const std::string& stats) {
  std::string text = "# Stats\r\n", own;
  std::string_view name, value;
  for (CounterLines counters(stats); counters.Next(&name, &value);) {
    const std::string_view redis = RedisCounter(name);
    if (!redis.empty()) text += fmt::format("{}:{}\r\n", redis, value);
    own += fmt::format("{}:{}\r\n", name, value);
  }
  return text + own;
}

}  // namespace

void Info(RedisCall& call) {
  const auto wants = [&](std::string_view section) {
    if (call.count() == 1) return true;
    for (size_t i = 1; i < call.count(); ++i) {
      for (const std::string_view name :
           {section, std::string_view("all"), std::string_view("default"), std::string_view("everything")}) {
        if (EqualsIgnoringCase(call.Argument(i), name)) return true;
      }
    }
    return false;
  };
  std::string stats;
  if (wants("memory") || wants("stats")) {
    // All loops are asked.
    constexpr uint64_t kWorkOfStats = 64 << 10;
    call.work += kWorkOfStats;
    stats = call.environment->stats();
  }
  std::string text;
  const auto add = [&](std::string_view section, const auto& lines) {
    if (!wants(section)) return;
    if (!text.empty()) text += "\r\n";
    text += lines();
  };
  add("server", [&] { return ServerSection(call); });
  add("clients", [&] { return ClientsSection(call); });
  add("memory", [&] { return MemorySection(stats); });
  add("persistence", [] {
    return "# Persistence\r\nloading:0\r\nrdb_bgsave_in_progress:0\r\naof_enabled:1\r\n"
           "aof_rewrite_in_progress:0\r\n";
  });
  add("stats", [&] { return StatsSection(stats); });
  add("replication", [] { return "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_repl_offset:0\r\n"; });
  call.reply->Verbatim("txt", text);
}

namespace {

// Nothing can be set to what it is not: BanDB has a configuration of its own.
void SetConfig(RedisCall& call) {
  if (call.count() % 2 == 1) return call.reply->Error(kSyntaxError);
  const std::vector<std::pair<std::string, std::string>> settings = Settings(*call.environment);
  const auto failed = [&call](std::string_view name, std::string_view why) {
    call.reply->Error(fmt::format("ERR CONFIG SET failed (possibly related to argument '{}') - {}", name, why));
  };
  std::vector<std::string_view> seen;
  bool same = true;
  std::string_view changed;
  for (size_t i = 2; i < call.count(); i += 2) {
    const std::string_view name = call.Argument(i);
    const auto found = std::find_if(settings.begin(), settings.end(),
                                    [name](const auto& one) { return EqualsIgnoringCase(one.first, name); });
    if (found == settings.end()) {
      return call.reply->Error(
          fmt::format("ERR Unknown option or number of arguments for CONFIG SET - '{}'", name.substr(0, 128)));
    }
    if (found->first == "databases") return failed(name, kImmutable);
    if (std::find(seen.begin(), seen.end(), found->first) != seen.end()) return failed(name, "duplicate parameter");
    seen.push_back(found->first);
    if (!same || EqualsIgnoringCase(call.Argument(i + 1), found->second)) continue;
    same = false;
    changed = found->first;
  }
  same ? call.reply->Ok() : failed(changed, kImmutable);
}

}  // namespace

// Which subcommands there are, and how many arguments each takes, is known by now.
void Config(RedisCall& call) {
  if (EqualsIgnoringCase(call.Argument(1), "help")) return ReplyHelp(call);
  if (EqualsIgnoringCase(call.Argument(1), "set")) return SetConfig(call);
  // RESETSTAT
  if (!EqualsIgnoringCase(call.Argument(1), "get")) return call.reply->Ok();
  for (size_t i = 2; i < call.count(); ++i) {
    if (!FitsAsPattern(call, call.Argument(i))) return;
  }
  std::vector<std::pair<std::string, std::string>> settings = Settings(*call.environment);
  std::vector<std::pair<std::string, std::string>> found;
  uint64_t steps = 0;
  for (size_t i = 2; i < call.count() && steps <= kQuickStepsMax; ++i) {
    const std::string pattern = ToLower(call.Argument(i));
    const auto asked = [&](const auto& setting) { return MatchesPattern(pattern, setting.first, &steps); };
    const auto others = std::stable_partition(settings.begin(), settings.end(), std::not_fn(asked));
    std::move(others, settings.end(), std::back_inserter(found));
    settings.erase(others, settings.end());
  }
  call.work += steps * kWorkPerMatchStep;
  if (steps > kQuickStepsMax) return call.reply->Error(kSlowPatterns);
  std::sort(found.begin(), found.end());
  call.reply->MapHead(found.size());
  for (const auto& [name, value] : found) {
    call.reply->Bulk(name);
    call.reply->Bulk(value);
  }
}

namespace {

// As a client of Redis would have sent it, as far as that is kept.
void ReplySlowRequest(const SlowRequest& request, resp::ReplyWriter* reply) {
  reply->ArrayHead(6);
  reply->Integer(static_cast<int64_t>(request.number));
  reply->Integer(absl::ToUnixSeconds(request.time));
  reply->Integer(absl::ToInt64Microseconds(request.duration));
  reply->ArrayHead(request.key_bytes == 0 ? 1 : 2);
  const bool is_set = request.protocol == "redis" && request.operation == "put";
  reply->Bulk(is_set ? std::string_view("set") : std::string_view(request.operation));
  if (request.key_bytes != 0) reply->Bulk(request.key);
  reply->Bulk(request.address);
  reply->Bulk(request.client_name);
}

}  // namespace

void Slowlog(RedisCall& call) {
  SlowLog* const log = call.environment->slow_log;
  if (EqualsIgnoringCase(call.Argument(1), "help")) return ReplyHelp(call);
  if (EqualsIgnoringCase(call.Argument(1), "reset")) {
    if (log != nullptr) log->Clear();
    return call.reply->Ok();
  }
  const bool wants_count = EqualsIgnoringCase(call.Argument(1), "len");
  int64_t count = 10;
  if (call.count() > 3) return ReplyWrongSubcommand(call);
  if (call.count() == 3 && (!resp::ParseNumber(call.Argument(2), &count) || count < -1)) {
    return call.reply->Error("ERR count should be greater than or equal to -1");
  }
  const size_t count_max = count == -1 || wants_count ? SIZE_MAX : static_cast<size_t>(count);
  std::vector<SlowRequest> requests;
  if (log != nullptr) requests = log->List(count_max, call.environment->users, call.client->user);
  if (wants_count) return call.reply->Integer(static_cast<int64_t>(requests.size()));
  call.reply->ArrayHead(requests.size());
  for (const SlowRequest& request : requests) ReplySlowRequest(request, call.reply);
}

namespace {

// COMMAND LIST, with the names of subcommands.
void ListCommands(RedisCall& call) {
  const bool filters = call.count() == 5 && EqualsIgnoringCase(call.Argument(2), "filterby");
  const std::string kind = filters ? ToLower(call.Argument(3)) : std::string();
  const bool known = kind == "module" || kind == "aclcat" || kind == "pattern";
  if (call.count() > 2 && !known) return call.reply->Error(kSyntaxError);
  const std::string pattern = filters ? ToLower(call.Argument(4)) : std::string("*");
  if (!FitsAsPattern(call, pattern)) return;
  uint64_t steps = 0;
  std::vector<std::string> found;
  const auto add = [&](std::string name) {
    // No command is of a module, or of a category that BanDB tells.
    const bool matches = kind == "pattern" && steps <= kQuickStepsMax && MatchesPattern(pattern, name, &steps);
    const bool fits = !filters || matches;
    if (fits) found.push_back(std::move(name));
  };
  for (const RedisCommand& command : RedisCommands()) {
    add(std::string(command.name));
    for (const RedisSubcommand& sub : RedisSubcommands()) {
      if (sub.command == command.name && sub.Has(RedisSubcommand::kKnown)) {
        add(fmt::format("{}|{}", sub.command, sub.name));
      }
    }
  }
  call.work += steps * kWorkPerMatchStep;
  if (steps > kQuickStepsMax) return call.reply->Error(kSlowPatterns);
  call.reply->ArrayHead(found.size());
  for (const std::string& name : found) call.reply->Bulk(name);
}

}  // namespace

void Command(RedisCall& call) {
  const absl::Span<const RedisCommand> commands = RedisCommands();
  const std::string what = call.count() == 1 ? "info" : ToLower(call.Argument(1));
  if (what == "help") return ReplyHelp(call);
  if (what == "list") return ListCommands(call);
  if (what == "count") return call.reply->Integer(static_cast<int64_t>(commands.size()));
  // What commands are for, BanDB leaves to Redis' own documents.
  if (what == "docs") return call.reply->MapHead(0);
  if (what == "getkeys") return ReplyKeys(call);
  if (what == "info" && call.count() > 2) {
    call.reply->ArrayHead(call.count() - 2);
    for (size_t i = 2; i < call.count(); ++i) {
      const RedisCommand* command = FindRedisCommand(call.Argument(i));
      command == nullptr ? call.reply->Null() : ReplyCommandInfo(*command, call.reply);
    }
    return;
  }
  call.reply->ArrayHead(commands.size());
  for (const RedisCommand& command : commands) ReplyCommandInfo(command, call.reply);
}

void Acl(RedisCall& call) {
  if (EqualsIgnoringCase(call.Argument(1), "help")) return ReplyHelp(call);
  call.reply->Bulk(call.client->user.empty() ? kDefaultUser : std::string_view(call.client->user));
}

namespace {

// Of functions and scripts, of which there are none.
void FlushNothing(RedisCall& call, std::string_view mistake) {
  const bool known = call.count() == 2 || (call.count() == 3 && (EqualsIgnoringCase(call.Argument(2), "sync") ||
                                                                 EqualsIgnoringCase(call.Argument(2), "async")));
  known ? call.reply->Ok() : call.reply->Error(mistake);
}

}  // namespace

void Function(RedisCall& call) {
  if (EqualsIgnoringCase(call.Argument(1), "help")) return ReplyHelp(call);
  if (EqualsIgnoringCase(call.Argument(1), "flush")) {
    if (call.count() > 3) return ReplyWrongSubcommand(call);
    return FlushNothing(call, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
  }
  bool with_code = false, of_one = false;
  for (size_t i = 2; i < call.count(); ++i) {
    if (!with_code && EqualsIgnoringCase(call.Argument(i), "withcode")) {
      with_code = true;
    } else if (!of_one && EqualsIgnoringCase(call.Argument(i), "libraryname")) {
      of_one = true;
      if (++i == call.count()) return call.reply->Error("ERR library name argument was not given");
    } else {
      return call.reply->Error(fmt::format("ERR Unknown argument {}", call.Argument(i).substr(0, 128)));
    }
  }
  call.reply->ArrayHead(0);
}

void Script(RedisCall& call) {
  if (EqualsIgnoringCase(call.Argument(1), "help")) return ReplyHelp(call);
  if (EqualsIgnoringCase(call.Argument(1), "flush")) {
    return FlushNothing(call, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
  }
  call.reply->ArrayHead(call.count() - 2);
  for (size_t i = 2; i < call.count(); ++i) call.reply->Integer(0);
}

void Role(RedisCall& call) {
  call.reply->ArrayHead(3);
  call.reply->Bulk("master");
  call.reply->Integer(0);
  call.reply->ArrayHead(0);
}

// There are no replicas as Redis has them; other nodes of a cluster have what was acknowledged.
void Wait(RedisCall& call) {
  int64_t replicas = 0, timeout = 0;
  if (!TakeInteger(call, call.Argument(1), &replicas)) return;
  if (!resp::ParseNumber(call.Argument(2), &timeout)) {
    return call.reply->Error("ERR timeout is not an integer or out of range");
  }
  timeout < 0 ? call.reply->Error("ERR timeout is negative") : call.reply->Integer(0);
}

}  // namespace bandb::server::redis
