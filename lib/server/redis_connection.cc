// Commands that have nothing to do with what is stored, and change nothing.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

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
  std::vector<std::pair<std::string, std::string>> found;
  for (auto& setting : Settings(*call.environment)) {
    const bool asked = std::any_of(call.arguments.begin() + 2, call.arguments.end(), [&](const std::string& pattern) {
      return MatchesPattern(ToLower(pattern), setting.first);
    });
    if (asked) found.push_back(std::move(setting));
  }
  call.reply->MapHead(found.size());
  for (const auto& [name, value] : found) {
    call.reply->Bulk(name);
    call.reply->Bulk(value);
  }
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
      command == nullptr ? call.reply->NullArray() : ReplyCommandInfo(*command, call.reply);
    }
    return;
  }
  call.reply->ArrayHead(commands.size());
  for (const RedisCommand& command : commands) {
    what == "list" ? call.reply->Bulk(command.name) : ReplyCommandInfo(command, call.reply);
  }
}

}  // namespace bandb::server::redis
