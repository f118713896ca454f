// Commands that have nothing to do with what is stored, and change nothing.
#include <fmt/format.h>

#include <algorithm>
#include <array>
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
      {"maxmemory", "0"},
      {"maxmemory-policy", "noeviction"},
      {"port", std::to_string(environment.port.load())},
      {"proto-max-bulk-len", std::to_string(environment.value_bytes_max)},
      {"save", ""},
      {"timeout", "0"},
  };
}

void ReplyCommandInfo(const RedisCommand& command, resp::ReplyWriter* reply) {
  reply->ArrayHead(10);
  reply->Bulk(command.name);
  reply->Integer(command.arity);
  std::vector<std::string_view> flags;
  if (command.Has(RedisCommand::kWrites)) {
    flags.push_back("write");
  } else if (command.Has(RedisCommand::kReads)) {
    flags.push_back("readonly");
  }
  if (command.Has(RedisCommand::kFast)) flags.push_back("fast");
  reply->SetHead(flags.size());
  for (const std::string_view flag : flags) reply->Simple(flag);
  reply->Integer(command.first_key);
  reply->Integer(command.last_key);
  reply->Integer(command.key_step);
  // Categories, tips, key specifications and subcommands are not told.
  reply->SetHead(0);
  for (int i = 0; i < 3; i++) reply->ArrayHead(0);
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

void Info(RedisCall& call) {
  const auto wants = [&](std::string_view section) {
    if (call.count() == 1) return true;
    for (size_t i = 1; i < call.count(); i++) {
      for (const std::string_view name :
           {section, std::string_view("all"), std::string_view("default"), std::string_view("everything")}) {
        if (EqualsIgnoringCase(call.Argument(i), name)) return true;
      }
    }
    return false;
  };
  std::string text;
  const auto section = [&](std::string_view name) {
    if (!wants(name)) return false;
    if (!text.empty()) text += "\r\n";
    return true;
  };
  if (section("server")) {
    text +=
        fmt::format("# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nserver_name:bandb\r\ntcp_port:{}\r\n",
                    call.environment->port.load());
  }
  if (section("persistence")) text += "# Persistence\r\nloading:0\r\naof_enabled:1\r\n";
  if (section("replication")) text += "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n";
  if (section("stats")) {
    // All loops are asked.
    constexpr uint64_t kWorkOfStats = 64 << 10;
    call.work += kWorkOfStats;
    text += "# Stats\r\n";
    std::string_view left;
    const std::string stats = call.environment->stats();
    left = stats;
    while (!left.empty()) {
      const std::string_view line = left.substr(0, left.find('\n'));
      left.remove_prefix(std::min(left.size(), line.size() + 1));
      const size_t blank = line.find(' ');
      if (blank != std::string_view::npos)
        text += fmt::format("{}:{}\r\n", line.substr(0, blank), line.substr(blank + 1));
    }
  }
  call.reply->Verbatim("txt", text);
}

// Which subcommands there are, and how many arguments each takes, is known by now.
void Config(RedisCall& call) {
  if (!EqualsIgnoringCase(call.Argument(1), "get")) return call.reply->Ok();
  for (size_t i = 2; i < call.count(); i++) {
    if (!FitsAsPattern(call, call.Argument(i))) return;
  }
  // Some tenths of a millisecond.
  constexpr uint64_t kStepsMax = 256 << 10;
  std::vector<std::pair<std::string, std::string>> settings = Settings(*call.environment);
  std::vector<std::pair<std::string, std::string>> found;
  uint64_t steps = 0;
  for (size_t i = 2; i < call.count() && steps <= kStepsMax; i++) {
    const std::string pattern = ToLower(call.Argument(i));
    const auto asked = [&](const auto& setting) { return MatchesPattern(pattern, setting.first, &steps); };
    const auto others = std::stable_partition(settings.begin(), settings.end(), std::not_fn(asked));
    std::move(others, settings.end(), std::back_inserter(found));
    settings.erase(others, settings.end());
  }
  call.work += steps * kWorkPerMatchStep;
  if (steps > kStepsMax) return call.reply->Error("ERR the patterns take too long to match");
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
  if (EqualsIgnoringCase(call.Argument(1), "reset")) {
    if (log != nullptr) log->Clear();
    return call.reply->Ok();
  }
  const bool wants_count = EqualsIgnoringCase(call.Argument(1), "len");
  int64_t count = 10;
  if (call.count() > 3) {
    return call.reply->Error(fmt::format(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try SLOWLOG HELP.", call.Argument(1)));
  }
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

void Command(RedisCall& call) {
  const absl::Span<const RedisCommand> commands = RedisCommands();
  const std::string what = call.count() == 1 ? "info" : ToLower(call.Argument(1));
  if (what == "count") return call.reply->Integer(static_cast<int64_t>(commands.size()));
  // What commands are for, BanDB leaves to Redis' own documents.
  if (what == "docs") return call.reply->MapHead(0);
  if (what == "getkeys") return ReplyKeys(call);
  if (what == "info" && call.count() > 2) {
    call.reply->ArrayHead(call.count() - 2);
    for (size_t i = 2; i < call.count(); i++) {
      const RedisCommand* command = FindRedisCommand(call.Argument(i));
      command == nullptr ? call.reply->Null() : ReplyCommandInfo(*command, call.reply);
    }
    return;
  }
  call.reply->ArrayHead(commands.size());
  for (const RedisCommand& command : commands) {
    what == "list" ? call.reply->Bulk(command.name) : ReplyCommandInfo(command, call.reply);
  }
}

}  // namespace bandb::server::redis
