#include "server/redis_clients.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "resp/request_parser.h"
#include "server/redis_codec.h"

namespace bandb::server {

namespace {

using Rows = std::vector<RedisClientRow>;

// Kinds of clients that Redis knows. False: it knows no such kind; of all but one there is nobody.
bool TakeKind(std::string_view kind, RedisClientFilter* filter) {
  if (EqualsIgnoringCase(kind, "normal")) return true;
  filter->nobody = true;
  constexpr std::string_view kOthers[] = {"master", "slave", "replica", "pubsub"};
  return std::any_of(std::begin(kOthers), std::end(kOthers),
                     [kind](std::string_view other) { return EqualsIgnoringCase(kind, other); });
}

std::string NoSuchKind(std::string_view kind) { return fmt::format("ERR Unknown client type '{}'", kind); }

// What is wrong with the arguments, or nothing.
std::string ParseList(const std::vector<std::string_view>& arguments, RedisClientFilter* filter) {
  if (arguments.size() == 2) return {};
  if (arguments.size() == 4 && EqualsIgnoringCase(arguments[2], "type")) {
    return TakeKind(arguments[3], filter) ? std::string() : NoSuchKind(arguments[3]);
  }
  if (arguments.size() == 3 || !EqualsIgnoringCase(arguments[2], "id")) return std::string(kSyntaxError);
  for (size_t i = 3; i < arguments.size(); ++i) {
    int64_t id = 0;
    if (!resp::ParseNumber(arguments[i], &id)) return "ERR Invalid client ID";
    filter->ids.push_back(static_cast<uint64_t>(id));
  }
  return {};
}

// One option of CLIENT KILL and its value. What is wrong with it, or nothing.
std::string TakeOption(std::string_view option, std::string_view value, ClientsCommand* command) {
  RedisClientFilter& filter = command->filter;
  if (EqualsIgnoringCase(option, "id")) {
    int64_t id = 0;
    if (!resp::ParseNumber(value, &id) || id < 1) return "ERR client-id should be greater than 0";
    filter.ids = {static_cast<uint64_t>(id)};
  } else if (EqualsIgnoringCase(option, "type")) {
    if (!TakeKind(value, &filter)) return NoSuchKind(value);
  } else if (EqualsIgnoringCase(option, "addr")) {
    filter.address = value;
  } else if (EqualsIgnoringCase(option, "laddr")) {
    filter.local_address = value;
  } else if (EqualsIgnoringCase(option, "user")) {
    filter.user = value;
  } else if (EqualsIgnoringCase(option, "skipme")) {
    command->skip_me = EqualsIgnoringCase(value, "yes");
    if (!command->skip_me && !EqualsIgnoringCase(value, "no")) return std::string(kSyntaxError);
  } else {
    return std::string(kSyntaxError);
  }
  return {};
}

std::string ParseKill(const std::vector<std::string_view>& arguments, ClientsCommand* command) {
  // The old form: an address, the client's own as well.
  if (arguments.size() == 3) {
    command->filter.address = arguments[2];
    return {};
  }
  command->skip_me = true;
  for (size_t i = 2; i < arguments.size(); i += 2) {
    if (i + 1 == arguments.size()) return std::string(kSyntaxError);
    if (std::string wrong = TakeOption(arguments[i], arguments[i + 1], command); !wrong.empty()) return wrong;
  }
  return {};
}

std::string ReplyLines(const Rows& rows, const RedisClientFilter& filter, int version) {
  std::string lines;
  const auto add = [&lines](const RedisClientRow& row) { lines += ToLine(row) + "\n"; };
  if (filter.ids.empty()) std::for_each(rows.begin(), rows.end(), add);
  // In the order in which they were named.
  for (const uint64_t id : filter.ids) {
    const auto found = std::find_if(rows.begin(), rows.end(), [id](const RedisClientRow& row) { return row.id == id; });
    if (found != rows.end()) add(*found);
  }
  std::string reply;
  resp::ReplyWriter(&reply, version).Verbatim("txt", lines);
  return reply;
}

// `no_such_user`: the one that is named and is no user; one that was removed may have connections
// still.
std::string ReplyKilled(const Rows& rows, bool old_form, const std::optional<std::string>& no_such_user, int version) {
  std::string reply;
  resp::ReplyWriter writer(&reply, version);
  if (rows.empty() && no_such_user.has_value()) {
    writer.Error(fmt::format("ERR No such user '{}'", *no_such_user));
  } else if (!old_form) {
    writer.Integer(static_cast<int64_t>(rows.size()));
  } else if (rows.empty()) {
    writer.Error("ERR No such client");
  } else {
    writer.Ok();
  }
  return reply;
}

}  // namespace

std::string ToLine(const RedisClientRow& row) {
  // What BanDB has nothing of is told as Redis tells that there is none.
  return fmt::format(
      "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 multi={} qbuf={} "
      "qbuf-free=0 argv-mem=0 multi-mem={} rbs=0 rbp=0 obl=0 oll=0 omem={} tot-mem={} events={} cmd={} user={} "
      "redir=-1 resp={}",
      row.id, row.address, row.local_address, row.name, row.age_seconds, row.idle_seconds,
      row.queued.has_value() ? "x" : "N", row.queued.has_value() ? static_cast<int64_t>(*row.queued) : -1,
      row.request_bytes + row.held_bytes - std::min(row.held_bytes, row.queued_bytes), row.queued_bytes,
      row.output_bytes, row.held_bytes + row.output_bytes, row.output_bytes > 0 ? "rw" : "r",
      row.command.empty() ? "NULL" : row.command, row.user.empty() ? kDefaultUser : row.user, row.version);
}

bool RedisClientFilter::Matches(const RedisClientRow& row) const {
  return !nobody && (ids.empty() || std::find(ids.begin(), ids.end(), row.id) != ids.end()) &&
         (!address.has_value() || *address == row.address) &&
         (!local_address.has_value() || *local_address == row.local_address) &&
         (!user.has_value() || *user == (row.user.empty() ? kDefaultUser : row.user));
}

std::string RedisCodec::LastOperation(uint32_t) const {
  if (last_command_ == nullptr) return "unknown";
  if (last_subcommand_ == nullptr) return std::string(last_command_->name);
  return fmt::format("{}|{}", last_subcommand_->command, last_subcommand_->name);
}

void RedisCodec::Describe(RedisClientRow* row) const {
  row->id = client_.id;
  row->name = client_.name;
  row->user = user();
  row->command = last_command_ == nullptr ? std::string() : LastOperation(0);
  row->version = client_.version;
  if (in_multi_) row->queued = queued_.size();
  row->queued_bytes = queued_bytes_;
  row->held_bytes = held_bytes();
  row->request_bytes = request_bytes_;
}

Command RedisCodec::AskForClients() {
  const std::vector<std::string_view>& arguments = parser_.arguments();
  ClientsCommand command;
  command.reply_bytes_max = environment_->reply_bytes_max;
  std::string wrong;
  if (EqualsIgnoringCase(arguments[1], "list")) {
    command.action = ClientsCommand::Action::kList;
    wrong = ParseList(arguments, &command.filter);
  } else if (EqualsIgnoringCase(arguments[1], "kill")) {
    command.action = ClientsCommand::Action::kKill;
    wrong = ParseKill(arguments, &command);
  }
  if (!wrong.empty()) return SayError(wrong);
  if (command.action == ClientsCommand::Action::kKill) {
    std::optional<std::string> no_such_user = command.filter.user;
    if (no_such_user.has_value()) {
      const UserRegistry* const users = environment_->users;
      const bool known = users == nullptr ? *no_such_user == kDefaultUser : users->Find(*no_such_user) != nullptr;
      if (known) no_such_user.reset();
    }
    command.reply = [old_form = arguments.size() == 3, no_such_user = std::move(no_such_user),
                     version = client_.version](const Rows& rows) {
      return ReplyKilled(rows, old_form, no_such_user, version);
    };
  } else {
    command.reply = [filter = command.filter, version = client_.version](const Rows& rows) {
      return ReplyLines(rows, filter, version);
    };
  }
  return command;
}

}  // namespace bandb::server
