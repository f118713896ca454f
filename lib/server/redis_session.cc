#include "server/redis_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "resp/request_parser.h"

namespace bandb::server {

namespace {

constexpr std::string_view kBadName = "ERR Client names cannot contain spaces, newlines or special characters.";

// A connection keeps it for as long as it lives.
constexpr size_t kClientNameBytesMax = 1024;

// Else says so.
bool IsName(RedisCall& call, std::string_view name) {
  if (name.size() > kClientNameBytesMax) {
    call.reply->Error(fmt::format("ERR Client names cannot be longer than {} bytes.", kClientNameBytesMax));
    return false;
  }
  const bool ok = std::all_of(name.begin(), name.end(), [](char c) { return c >= '!' && c <= '~'; });
  if (!ok) call.reply->Error(kBadName);
  return ok;
}

// Without users there is one, which needs no password.
bool KnowsUser(std::string_view user) { return user == kDefaultUser; }

void Auth(RedisCall& call) {
  if (call.count() > 3) return call.reply->Error(kSyntaxError);
  if (call.count() == 2) {
    return call.reply->Error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?");
  }
  KnowsUser(call.Argument(1)) ? call.reply->Ok() : call.reply->Error(kWrongPassword);
}

void ReplyHello(RedisCall& call, int version) {
  std::string text;
  resp::ReplyWriter writer(&text, version);
  writer.MapHead(7);
  const auto pair = [&](std::string_view name, std::string_view value) {
    writer.Bulk(name);
    writer.Bulk(value);
  };
  pair("server", "redis");
  pair("version", "7.0.15");
  writer.Bulk("proto");
  writer.Integer(version);
  writer.Bulk("id");
  writer.Integer(static_cast<int64_t>(call.client->id));
  pair("mode", "standalone");
  pair("role", "master");
  writer.Bulk("modules");
  writer.ArrayHead(0);
  call.reply->Raw(text);
}

void Hello(RedisCall& call, RedisChange* change, RedisLogin* login) {
  int64_t version = call.client->version;
  RedisChange wanted;
  if (call.count() >= 2 && !resp::ParseNumber(call.Argument(1), &version)) {
    return call.reply->Error("ERR Protocol version is not an integer or out of range");
  }
  if (version < 2 || version > 3) return call.reply->Error("NOPROTO unsupported protocol version");
  for (size_t i = 2; i < call.count(); ++i) {
    const size_t more = call.count() - 1 - i;
    if (more >= 2 && EqualsIgnoringCase(call.Argument(i), "auth")) {
      if (login != nullptr) {
        *login = {std::string(call.Argument(i + 1)), std::string(call.Argument(i + 2))};
      } else if (!KnowsUser(call.Argument(i + 1))) {
        return call.reply->Error(kWrongPassword);
      }
      i += 2;
    } else if (more >= 1 && EqualsIgnoringCase(call.Argument(i), "setname")) {
      if (!IsName(call, call.Argument(i + 1))) return;
      wanted.name = call.arguments[++i];
    } else {
      return call.reply->Error(fmt::format("ERR Syntax error in HELLO option '{}'", call.Argument(i)));
    }
  }
  wanted.version = static_cast<int>(version);
  *change = std::move(wanted);
  ReplyHello(call, static_cast<int>(version));
}

void Select(RedisCall& call) {
  if (TakeDatabase(call, call.Argument(1))) call.reply->Ok();
}

void ClientReply(RedisCall& call, RedisChange* change) {
  if (EqualsIgnoringCase(call.Argument(2), "on")) {
    change->replies = RedisChange::Replies::kOn;
    call.reply->Ok();
  } else if (EqualsIgnoringCase(call.Argument(2), "off")) {
    change->replies = RedisChange::Replies::kOff;
  } else if (EqualsIgnoringCase(call.Argument(2), "skip")) {
    change->replies = RedisChange::Replies::kSkip;
  } else {
    call.reply->Error(kSyntaxError);
  }
}

// Nobody waits for anything that could be let go.
void ClientUnblock(RedisCall& call) {
  if (call.count() > 4) return ReplyWrongSubcommand(call);
  const bool knows_reason = call.count() == 3 || EqualsIgnoringCase(call.Argument(3), "timeout") ||
                            EqualsIgnoringCase(call.Argument(3), "error");
  if (!knows_reason) return call.reply->Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  int64_t id = 0;
  if (TakeInteger(call, call.Argument(2), &id)) call.reply->Integer(0);
}

// What clients read is not tracked, so that they could be told of changes.
void ClientTracking(RedisCall& call, std::string_view what) {
  if (what == "getredir") return call.reply->Integer(-1);
  if (what == "caching") {
    return call.reply->Error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled");
  }
  if (what == "tracking") {
    if (EqualsIgnoringCase(call.Argument(2), "on")) return call.reply->Error("ERR BanDB does not track what is read");
    const bool off = call.count() == 3 && EqualsIgnoringCase(call.Argument(2), "off");
    return off ? call.reply->Ok() : call.reply->Error(kSyntaxError);
  }
  call.reply->MapHead(3);
  call.reply->Bulk("flags");
  call.reply->SetHead(1);
  call.reply->Bulk("off");
  call.reply->Bulk("redirect");
  call.reply->Integer(-1);
  call.reply->Bulk("prefixes");
  call.reply->ArrayHead(0);
}

// Which there are, and how many arguments each takes, is known by now.
void Client(RedisCall& call, RedisChange* change) {
  const std::string what = ToLower(call.Argument(1));
  if (what == "id") {
    call.reply->Integer(static_cast<int64_t>(call.client->id));
  } else if (what == "getname") {
    call.client->name.empty() ? call.reply->Null() : call.reply->Bulk(call.client->name);
  } else if (what == "setname") {
    if (!IsName(call, call.Argument(2))) return;
    change->name = call.arguments[2];
    call.reply->Ok();
  } else if (what == "reply") {
    ClientReply(call, change);
  } else if (what == "help") {
    ReplyHelp(call);
  } else if (what == "unblock") {
    ClientUnblock(call);
  } else if (what == "getredir" || what == "caching" || what.starts_with("tracking")) {
    ClientTracking(call, what);
  } else {
    const bool known = EqualsIgnoringCase(call.Argument(2), "on") || EqualsIgnoringCase(call.Argument(2), "off");
    known ? call.reply->Ok() : call.reply->Error(kSyntaxError);
  }
}

}  // namespace

void RunRedisLogin(RedisCall& call, RedisChange* change, RedisLogin* login) {
  if (call.name == "hello") return Hello(call, change, login);
  if (call.count() > 3) return call.reply->Error(kSyntaxError);
  // A password alone is that of the user "default".
  const bool named = call.count() == 3;
  *login = {std::string(named ? call.Argument(1) : kDefaultUser), std::string(call.Argument(named ? 2 : 1))};
  call.reply->Ok();
}

void RunRedisSession(RedisCall& call, RedisChange* change) {
  if (call.name == "auth") return Auth(call);
  if (call.name == "hello") return Hello(call, change, nullptr);
  if (call.name == "client") return Client(call, change);
  if (call.name == "select") return Select(call);
  // UNWATCH; within MULTI it comes too late to matter.
  call.reply->Ok();
}

}  // namespace bandb::server
