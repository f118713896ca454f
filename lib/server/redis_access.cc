// What is refused of Redis' protocol: what is malformed, or what a user may not run, and what is
// asked of those not known.
#include <fmt/format.h>

#include <memory>
#include <utility>

#include "server/redis_codec.h"

namespace bandb::server {

namespace {

// Until a client has logged in, where that is asked for.
constexpr resp::ParserLimits kRestrictedLimits{.bulk_bytes_max = 4 << 10,
                                               .arguments_max = 10,
                                               .request_bytes_max = 4 << 10,
                                               .line_bytes_max = 4 << 10,
                                               .wrong = "unauthenticated"};

// Of a command that runs on the loop, whatever it does with them.
constexpr int kQuickArgumentsMax = 1024;

constexpr std::string_view kDone = "administration";

constexpr std::string_view kHelloNotKnown =
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option "
    "can be used to authenticate the client and select the RESP protocol version at the same time";

}  // namespace

void RedisCodec::ChooseLimits() {
  if (has_small_limits_ == restricted()) return;
  has_small_limits_ = restricted();
  parser_.SetLimits(has_small_limits_ ? kRestrictedLimits : limits_);
}

std::string RedisCodec::UnknownCommand() const {
  const std::vector<std::string_view>& arguments = parser_.arguments();
  if (IsForeignRedisCommand(arguments[0])) {
    return fmt::format("ERR BanDB holds strings, and has no command '{}'", arguments[0]);
  }
  std::string shown;
  for (size_t i = 1; i < arguments.size() && shown.size() < 128; ++i) {
    const std::string_view text = arguments[i].substr(0, arguments[i].find('\0'));
    shown += fmt::format("'{}' ", text.substr(0, 128 - shown.size()));
  }
  const std::string_view command = arguments[0].substr(0, arguments[0].find('\0'));
  return fmt::format("ERR unknown command '{}', with args beginning with: {}", command.substr(0, 128), shown);
}

std::string RedisCodec::Refused(const RedisCommand* command) {
  if (command == nullptr) return UnknownCommand();
  std::string why = Malformed(*command);
  return why.empty() ? Denied(*command) : why;
}

std::string RedisCodec::Malformed(const RedisCommand& command) const {
  const auto count = static_cast<int>(parser_.arguments().size());
  const auto fits = [count](int arity) { return arity > 0 ? count == arity : count >= -arity; };
  constexpr std::string_view kWrongCount = "ERR wrong number of arguments for '{}' command";
  if (!fits(command.arity)) return fmt::format(kWrongCount, command.name);
  if (command.Has(RedisCommand::kNoData) && count > kQuickArgumentsMax) {
    return fmt::format("ERR more than {} arguments for '{}' command", kQuickArgumentsMax, command.name);
  }
  if (count == 1 || !HasRedisSubcommands(command.name)) return {};
  const std::string_view name = parser_.arguments()[1];
  const RedisSubcommand* const sub = Subcommand();
  if (sub == nullptr) {
    return fmt::format("ERR unknown subcommand '{}'. Try {} HELP.", name.substr(0, 128), ToUpper(command.name));
  }
  const std::string full = fmt::format("{}|{}", sub->command, sub->name);
  if (!fits(sub->arity)) return fmt::format(kWrongCount, full);
  if (!sub->Has(RedisSubcommand::kKnown)) return fmt::format("ERR BanDB has no command '{}'", full);
  return sub->Has(RedisSubcommand::kAlone) && in_multi_ ? std::string(kNotInMulti) : std::string();
}

std::string RedisCodec::ToRefusal(const RedisCommand* command, std::string_view why) {
  if (command == nullptr || command->name != "exec") {
    multi_failed_ = multi_failed_ || in_multi_;
    return std::string(why);
  }
  EndMulti();
  constexpr std::string_view kPlain = "ERR ";
  if (!why.starts_with(kPlain)) return std::string(why);
  why.remove_prefix(kPlain.size());
  return fmt::format("EXECABORT Transaction discarded because of: {}", why);
}

void RedisCodec::OnRefused() {
  // Of a header nothing is known, but there is none within MULTI.
  if (!in_multi_) return;
  multi_failed_ = true;
  if (EqualsIgnoringCase(name(), "exec")) EndMulti();
}

bool RedisCodec::NeedsNoMemory() const {
  for (const std::string_view freely : {"discard", "multi", "reset", "unwatch"}) {
    if (EqualsIgnoringCase(name(), freely)) return true;
  }
  return false;
}

bool RedisCodec::MayAccessKeys(const RedisCommand& command, const Grants& grants) const {
  const bool writes = command.Has(RedisCommand::kWrites);
  const std::vector<std::string_view>& arguments = parser_.arguments();
  for (const size_t at : command.ReadKeys(arguments)) {
    if (!grants.Cover(Access::kRead, arguments[at])) return false;
  }
  for (const size_t at : command.Keys(arguments.size())) {
    const bool is_source = (command.name == "copy" && at == 1) || (command.name == "bitop" && at > 2);
    if (writes && !is_source && !grants.Cover(Access::kWrite, arguments[at])) return false;
  }
  return true;
}

// Keys are looked at again as they are after hooks, and as the command runs.
std::string RedisCodec::Denied(const RedisCommand& command) {
  if (!session().has_users() || command.Has(RedisCommand::kUnknown)) {
    const bool logs_in = session().has_users() && (command.name == "auth" || command.name == "hello");
    return logs_in && in_multi_ ? std::string(kNotInMulti) : std::string();
  }
  std::string why;
  if (!session().Knows()) {
    why = kNotKnown;
  } else if (const RedisSubcommand* const sub = Subcommand(); sub != nullptr && sub->Has(RedisSubcommand::kAdmin)) {
    if (!session().user()->grants.may_administer()) {
      why = fmt::format("NOPERM this user has no permissions to run the '{}|{}' command", sub->command, sub->name);
    }
  } else if (!command.Has(RedisCommand::kNoData)) {
    const Grants& grants = session().user()->grants;
    const bool writes = command.Has(RedisCommand::kWrites);
    const bool reads = command.Has(RedisCommand::kReads) || (writes && !command.Has(RedisCommand::kBlind));
    const bool clears = writes && command.first_key == 0;
    if ((writes && !grants.Has(Access::kWrite)) || (reads && !clears && !grants.Has(Access::kRead)) ||
        (clears && !grants.CoverPrefix(Access::kWrite, {}))) {
      why = fmt::format("NOPERM this user has no permissions to run the '{}' command", command.name);
    } else if (environment_->keys_are_final && !MayAccessKeys(command, grants)) {
      why = kKeyDenied;
    }
  }
  return why;
}

void RedisCodec::NoteDenial(std::string_view why) {
  session().CountDenial();
  const bool is_for_operators = last_subcommand_ != nullptr && last_subcommand_->Has(RedisSubcommand::kAdmin);
  if (is_for_operators && why.starts_with("NOPERM")) event_ = "administration denied";
}

AuditEvent RedisCodec::TakeEvent() {
  if (event_.empty()) return {};
  const bool is_done = event_ == kDone;
  return {.what = std::string(std::exchange(event_, {})), .detail = LastOperation(0) + (is_done ? ": done" : "")};
}

void RedisCodec::NoteDone() {
  if (last_subcommand_ != nullptr && last_subcommand_->Has(RedisSubcommand::kChanges)) event_ = kDone;
}

Command RedisCodec::LogIn(const RedisCommand& command) {
  const auto arguments = CopyArguments();
  ReadyCommand ready;
  resp::ReplyWriter writer(&ready.reply, client_.version);
  RedisCall call{*arguments, command.name, nullptr, &writer, environment_, &client_, environment_->now_ms()};
  RedisChange change;
  RedisLogin login;
  RunRedisLogin(call, &change, &login);
  const bool wrong = ready.reply[0] == '-';
  if (wrong) return ready;
  if (login.user.empty()) {
    if (!session().Knows()) return SayError(kHelloNotKnown);
    Apply(change);
    return ready;
  }
  const auto answer = [this, reply = std::move(ready.reply), change](bool right) {
    Outcome outcome;
    if (right) Apply(change);
    outcome.answer = EntriesAnswer{right ? reply : SayError(kWrongPassword).reply};
    return outcome;
  };
  return LoginCommand{std::move(login.user), std::move(login.token), answer};
}

}  // namespace bandb::server
