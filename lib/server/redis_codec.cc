#include "server/redis_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "proto/message_id.h"
#include "server/frame_codec.h"
#include "server/message_table.h"

namespace bandb::server {

namespace {

// What an argument takes besides its bytes.
constexpr size_t kArgumentBytes = 32;

// A hello of TLS, which is no beginning of a request; as a line it might never end.
bool BeginsTls(std::string_view bytes) { return bytes.substr(0, 2) == "\x16\x03"; }

// Runs a step of one command; `change` is what it does to the session.
void RunCommand(const RedisCommand& command, RedisCall& call, RedisChange* change) {
  if (command.Has(RedisCommand::kSession)) return RunRedisSession(call, change);
  command.run(call);
  call.data->Spend(call.work);
  if (!call.data->paused()) call.data->Forget();
}

void AddReads(const RedisCommand& command, size_t first, size_t count, TransactionCommand* to) {
  const std::vector<size_t> keys = command.Keys(count);
  // The command itself takes time, too.
  to->steps += 1 + keys.size();
  if (keys.size() > 1) to->many = true;
  const auto begin = to->arguments->begin() + static_cast<ptrdiff_t>(first);
  const std::vector<std::string_view> own(begin, begin + static_cast<ptrdiff_t>(count));
  for (const size_t at : command.ReadKeys(own)) {
    to->read_arguments.push_back(first + at);
    to->reads.push_back({.kind = OperationKind::kGet, .key = (*to->arguments)[first + at]});
  }
}

size_t ArgumentBytes(const TransactionCommand& transaction) {
  size_t bytes = 0;
  for (const std::string& argument : *transaction.arguments) bytes += argument.size();
  return bytes;
}

// What it keeps until it is done, but for what its body does.
size_t BytesOf(const TransactionCommand& transaction) {
  return ArgumentBytes(transaction) + transaction.arguments->size() * kArgumentBytes +
         transaction.reads.size() * (sizeof(Operation) + sizeof(size_t));
}

}  // namespace

net::Lane LaneOf(RedisClass redis_class) {
  switch (redis_class) {
    case RedisClass::kReady:
      return net::kLaneFree;
    case RedisClass::kGet:
      return kReadLane;
    case RedisClass::kPut:
      return kWriteLane;
    default:
      return net::kLaneExclusive;
  }
}

bool IsGated(RedisClass redis_class) { return redis_class == RedisClass::kPut || redis_class == RedisClass::kWrite; }

RedisCodec::RedisCodec(const RedisEnvironment* environment, size_t request_bytes_max, uint64_t id)
    : Codec(environment->users),
      environment_(environment),
      request_bytes_max_(request_bytes_max),
      limits_({.bulk_bytes_max = environment->value_bytes_max,
               .arguments_max = request_bytes_max / kArgumentBytes,
               .request_bytes_max = request_bytes_max}),
      parser_(limits_) {
  client_.id = id;
  environment_->clients_open++;
}

net::Cut RedisCodec::Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) {
  ChooseLimits();
  switch (parser_.Parse(bytes, frame_bytes)) {
    case resp::Parsed::kNothing:
      return net::Cut::kNothing;
    case resp::Parsed::kIncomplete:
      if (BeginsTls(bytes)) {
        protocol_error_ = "Protocol error: this address is not for TLS";
        return net::Cut::kTooLong;
      }
      // Whether it is left out, or ends a transaction, is not known before it is complete.
      if (parser_.announced_bytes() == 0 || in_multi_ || silent_ || skips_ > 0) return net::Cut::kIncomplete;
      *frame = {static_cast<uint32_t>(RedisClass::kWrite), {}};
      *frame_bytes = parser_.announced_bytes();
      return net::Cut::kHeader;
    case resp::Parsed::kError:
      protocol_error_ = parser_.error();
      return net::Cut::kTooLong;
    case resp::Parsed::kRequest:
      break;
  }
  if (EqualsIgnoringCase(name(), "quit")) return net::Cut::kGoodbye;
  *frame = {static_cast<uint32_t>(Classify()), bytes.substr(0, *frame_bytes)};
  return net::Cut::kFrame;
}

void RedisCodec::AppendError(uint16_t, std::string_view message, std::string* to) const {
  resp::ReplyWriter(to, client_.version).Error(fmt::format("ERR {}", message));
}

uint16_t RedisCodec::CodeOf(net::Refusal refusal) const { return ToFailure(refusal).code; }

std::string_view RedisCodec::MessageOf(net::Refusal refusal) const {
  switch (refusal) {
    case net::Refusal::kFrameTooLong:
      return protocol_error_.empty() ? "the request exceeds the limit" : std::string_view(protocol_error_);
    case net::Refusal::kTooManyConnections:
      return "max number of clients reached";
    case net::Refusal::kOverloaded:
      return "the server is short of memory: not done, try again later";
    case net::Refusal::kOutcomeUnknown:
      return "closed: the server is short of memory, and this connection held most of it";
    case net::Refusal::kNotKnownInTime:
      return "no user logged in in time";
    case net::Refusal::kFrameTimedOut:
      return "the request was not completed in time";
    case net::Refusal::kShuttingDown:
      return "the server is shutting down";
    case net::Refusal::kUnknownMessage:
    case net::Refusal::kHookFailed:
      break;
  }
  return "a hook failed";
}

RedisClass RedisCodec::ClassOf(const RedisCommand& command) const {
  if (command.name == "watch") return RedisClass::kRead;
  if (command.name == "exec") return RedisClass::kWrite;
  if (command.Has(RedisCommand::kSession)) return RedisClass::kChange;
  if (command.Has(RedisCommand::kNoData)) return RedisClass::kReady;
  return command.Has(RedisCommand::kWrites) ? RedisClass::kWrite : RedisClass::kRead;
}

RedisClass RedisCodec::Classify() {
  const RedisCommand* const command = FindRedisCommand(name());
  RedisClass chosen = RedisClass::kReady;
  const bool runs = command != nullptr && (!in_multi_ || command->Has(RedisCommand::kUnqueued));
  if (runs && Refused(command).empty()) {
    chosen = ClassOf(*command);
    Command plain;
    if (!in_multi_ && TakePlain(&plain)) {
      chosen = chosen == RedisClass::kRead ? RedisClass::kGet : RedisClass::kPut;
    }
  }
  // Which reply is left out must be known when it is there.
  return chosen != RedisClass::kWrite && skips_ > 0 ? RedisClass::kChange : chosen;
}

const RedisSubcommand* RedisCodec::Subcommand() const {
  const std::vector<std::string_view>& arguments = parser_.arguments();
  return arguments.size() < 2 ? nullptr : FindRedisSubcommand(ToLower(arguments[0]), arguments[1]);
}

ReadyCommand RedisCodec::Say(std::string_view line) { return {std::string(line)}; }

ReadyCommand RedisCodec::SayError(std::string_view text) const {
  ReadyCommand ready;
  resp::ReplyWriter(&ready.reply, client_.version).Error(text);
  return ready;
}

bool RedisCodec::TakePlain(Command* command) const {
  const std::vector<std::string_view>& arguments = parser_.arguments();
  if (arguments.size() == 2 && EqualsIgnoringCase(name(), "get")) {
    *command = SingleCommand{{.kind = OperationKind::kGet, .key = arguments[1]}};
    return true;
  }
  absl::Duration time_to_live;
  if (EqualsIgnoringCase(name(), "set") && arguments.size() >= 3 && IsPlainSet(arguments, &time_to_live)) {
    *command = SingleCommand{
        {.kind = OperationKind::kPut, .key = arguments[1], .value = arguments[2], .time_to_live = time_to_live}};
    return true;
  }
  return false;
}

Failure RedisCodec::Decode(uint32_t, std::string_view payload, Command* command) {
  request_bytes_ = payload.size();
  const RedisCommand* const found = FindRedisCommand(name());
  last_command_ = found;
  last_subcommand_ = Subcommand();
  if (const std::string why = Refused(found); !why.empty()) {
    if (why.starts_with("NO")) NoteDenial(why);
    *command = SayError(ToRefusal(found, why));
  } else if (in_multi_ && !found->Has(RedisCommand::kUnqueued)) {
    *command = Queue(found);
  } else if (found->name == "watch") {
    *command = StartWatch(*found);
  } else if (found->name == "exec") {
    *command = RunExec();
  } else if (found->Has(RedisCommand::kSession)) {
    *command = ChangeSession(*found);
  } else if (found->Has(RedisCommand::kNoData)) {
    *command = RunNow(*found);
  } else if (!TakePlain(command)) {
    *command = Transact(*found);
  }
  if (auto* transaction = std::get_if<TransactionCommand>(command)) {
    transaction->argument_bytes = ArgumentBytes(*transaction);
    transaction->bytes += BytesOf(*transaction);
  }
  return {};
}

std::shared_ptr<std::vector<std::string>> RedisCodec::CopyArguments() const {
  return std::make_shared<std::vector<std::string>>(parser_.arguments().begin(), parser_.arguments().end());
}

Command RedisCodec::Queue(const RedisCommand* command) {
  size_t bytes = 0;
  for (const std::string_view argument : parser_.arguments()) bytes += argument.size() + kArgumentBytes;
  if (queued_bytes_ + bytes > request_bytes_max_) {
    multi_failed_ = true;
    return SayError("ERR the transaction exceeds the limit on requests");
  }
  queued_bytes_ += bytes;
  queued_.push_back({command, queued_arguments_.size(), parser_.arguments().size()});
  queued_arguments_.insert(queued_arguments_.end(), parser_.arguments().begin(), parser_.arguments().end());
  return Say("+QUEUED\r\n");
}

Command RedisCodec::RunNow(const RedisCommand& command) {
  const auto arguments = CopyArguments();
  ReadyCommand ready;
  resp::ReplyWriter writer(&ready.reply, client_.version);
  RedisCall call{*arguments, command.name, nullptr, &writer, environment_, &Client(), environment_->now_ms()};
  command.run(call);
  NoteDone();
  return ready;
}

Command RedisCodec::ChangeSession(const RedisCommand& command) {
  if (command.name == "multi") {
    if (in_multi_) return SayError("ERR MULTI calls can not be nested");
    in_multi_ = true;
    return Say(OkReply());
  }
  if (command.name == "discard") {
    if (!in_multi_) return SayError("ERR DISCARD without MULTI");
    EndMulti();
    return Say(OkReply());
  }
  if (command.name == "reset") {
    EndMulti();
    client_.version = 2;
    client_.name.clear();
    silent_ = false;
    skips_ = 0;
    session().LogOut();
    return Say("+RESET\r\n");
  }
  if (command.name == "unwatch") Unwatch();
  if (session().has_users() && (command.name == "auth" || command.name == "hello")) return LogIn(command);
  if (const RedisSubcommand* const sub = Subcommand(); sub != nullptr && sub->Has(RedisSubcommand::kClients)) {
    return AskForClients();
  }
  const auto arguments = CopyArguments();
  ReadyCommand ready;
  resp::ReplyWriter writer(&ready.reply, client_.version);
  RedisCall call{*arguments, command.name, nullptr, &writer, environment_, &client_, environment_->now_ms()};
  RedisChange change;
  RunRedisSession(call, &change);
  Apply(change);
  return ready;
}

void RedisCodec::Apply(const RedisChange& change) {
  change.ApplyTo(&client_);
  if (!change.replies.has_value()) return;
  silent_ = change.replies == RedisChange::Replies::kOff;
  // Its own, and that of the next.
  skips_ = change.replies == RedisChange::Replies::kSkip ? 2 : 0;
}

Command RedisCodec::Transact(const RedisCommand& command) {
  TransactionCommand transaction;
  transaction.arguments = CopyArguments();
  AddReads(command, 0, transaction.arguments->size(), &transaction);
  transaction.writes = command.Has(RedisCommand::kWrites);
  transaction.walks = command.Has(RedisCommand::kWalks);
  transaction.body = [arguments = transaction.arguments, command = &command, environment = environment_,
                      client = Client()](Transaction* data, std::string* reply) {
    resp::ReplyWriter writer(reply, client.version);
    RedisCall call{*arguments, command->name, data, &writer, environment, &client, data->now_ms()};
    RunCommand(*command, call, nullptr);
  };
  return transaction;
}

Command RedisCodec::StartWatch(const RedisCommand& command) {
  if (in_multi_) return SayError("ERR WATCH inside MULTI is not allowed");
  TransactionCommand transaction;
  transaction.arguments = CopyArguments();
  AddReads(command, 0, transaction.arguments->size(), &transaction);
  auto watched = std::make_shared<EntryMap>();
  transaction.body = [arguments = transaction.arguments, watched](Transaction* data, std::string* reply) {
    auto& looked = data->Remember<RedisKeyCount>();
    if (!data->resumed()) watched->clear();
    for (; looked.next < arguments->size() && !data->Yield(); ++looked.next) {
      const std::string_view key = data->StoredName((*arguments)[looked.next]);
      const StoredEntry* entry = data->GetStored(key);
      watched->emplace(key, entry == nullptr ? EntryState() : EntryState(*entry));
    }
    if (!data->paused()) reply->assign("+OK\r\n");
  };
  transaction.done = [watched](Codec* codec) { static_cast<RedisCodec*>(codec)->Watch(std::move(*watched)); };
  return transaction;
}

void RedisCodec::Watch(EntryMap watched) {
  // Watched twice, the first time counts.
  watched_bytes_ += BytesOf(watched);
  watched_.merge(watched);
  watched_bytes_ -= BytesOf(watched);
}

void RedisCodec::Unwatch() {
  watched_.clear();
  watched_bytes_ = 0;
}

void RedisCodec::EndMulti() {
  in_multi_ = multi_failed_ = false;
  // With their room, which may be that of hundreds of thousands.
  std::vector<Queued>().swap(queued_);
  std::vector<std::string>().swap(queued_arguments_);
  queued_bytes_ = 0;
  Unwatch();
}

// What EXEC runs: all that was queued, if nothing that was watched has changed.
struct RedisCodec::Exec {
  std::shared_ptr<std::vector<std::string>> arguments;
  std::vector<Queued> queued;
  EntryMap watched;
  const RedisEnvironment* environment = nullptr;
  RedisClient client;
  RedisClient client_now;  // with what they have changed
  std::vector<RedisChange> changes;
  EntryMap::const_iterator compared;  // the first that was not yet
  bool begun = false;
  size_t next = 0;  // of those that were queued

  // Of the one that is next.
  bool IsUnchanged(Transaction* data) const {
    const StoredEntry* entry = data->GetStored(compared->first);
    return entry == nullptr ? !compared->second.has_value() : compared->second == *entry;
  }

  void Run(Transaction* data, std::string* reply) {
    if (!data->resumed()) {
      changes.clear();
      client_now = client;
      compared = watched.begin();
      begun = false;
      next = 0;
    }
    for (; compared != watched.end(); ++compared) {
      if (data->Yield()) return;
      if (!IsUnchanged(data)) return resp::ReplyWriter(reply, client.version).NullArray();
    }
    if (!std::exchange(begun, true)) resp::ReplyWriter(reply, client.version).ArrayHead(queued.size());
    while (next < queued.size() && !data->Yield()) {
      const Queued& one = queued[next];
      const absl::Span<const std::string> own = absl::MakeConstSpan(*arguments).subspan(one.first, one.count);
      resp::ReplyWriter writer(reply, client_now.version);
      RedisCall call{own, one.command->name, data, &writer, environment, &client_now, data->now_ms()};
      data->Spend(kWorkPerKey);
      RedisChange change;
      RunCommand(*one.command, call, &change);
      if (data->paused() || !data->HasRoomFor(writer.bytes())) return;
      change.ApplyTo(&client_now);
      changes.push_back(std::move(change));
      ++next;
    }
  }
};

Command RedisCodec::RunExec() {
  if (!in_multi_) return SayError("ERR EXEC without MULTI");
  if (multi_failed_) {
    EndMulti();
    return SayError("EXECABORT Transaction discarded because of previous errors.");
  }
  auto exec = std::make_shared<Exec>();
  exec->arguments = std::make_shared<std::vector<std::string>>(std::move(queued_arguments_));
  exec->queued = std::move(queued_);
  exec->watched = std::move(watched_);
  exec->environment = environment_;
  exec->client = Client();
  TransactionCommand transaction;
  // With what each may do to the session.
  transaction.bytes = watched_bytes_ + exec->queued.capacity() * (sizeof(Queued) + sizeof(RedisChange));
  EndMulti();
  transaction.arguments = exec->arguments;
  transaction.many = true;
  transaction.steps = exec->watched.size();
  for (const Queued& one : exec->queued) {
    AddReads(*one.command, one.first, one.count, &transaction);
    transaction.writes = transaction.writes || one.command->Has(RedisCommand::kWrites);
    transaction.walks = transaction.walks || one.command->Has(RedisCommand::kWalks);
  }
  transaction.body = [exec](Transaction* data, std::string* reply) { exec->Run(data, reply); };
  transaction.done = [exec](Codec* codec) {
    for (const RedisChange& change : exec->changes) static_cast<RedisCodec*>(codec)->Apply(change);
  };
  return transaction;
}

net::Reply RedisCodec::Encode(Outcome* outcome, net::Quota*, std::string* bytes) {
  request_bytes_ = 0;
  bytes->clear();
  net::Reply reply{.head = {}, .ok = outcome->ok(), .code = outcome->failure.code};
  resp::ReplyWriter writer(bytes, client_.version);
  std::string* text = bytes;
  if (outcome->failure.code == proto::ToCode(absl::StatusCode::kNotFound)) {
    writer.Null();
  } else if (outcome->failure.code == proto::ToCode(absl::StatusCode::kPermissionDenied)) {
    writer.Error(kKeyDenied);
  } else if (outcome->failure.code == proto::ToCode(absl::StatusCode::kUnauthenticated)) {
    writer.Error(kNotKnown);
  } else if (!outcome->ok()) {
    writer.Error(fmt::format("ERR {}", outcome->failure.message));
  } else if (const auto* value = std::get_if<PinnedValue>(&outcome->answer)) {
    bytes->reserve(value->value().size() + 32);
    writer.Bulk(value->value());
  } else if (auto* made = std::get_if<EntriesAnswer>(&outcome->answer)) {
    text = &made->reply;
    reply.ok = text->empty() || (*text)[0] != '-';
    if (!reply.ok) reply.code = proto::ToCode(absl::StatusCode::kInvalidArgument);
  } else {
    writer.Ok();
  }
  const bool skipped = skips_ > 0;
  if (skipped) --skips_;
  if (silent_ || skipped) return reply;
  if (text->size() > kCopyBytesMax) {
    reply.tail = net::OwnedBytes::Of(std::move(*text));
  } else {
    reply.head = *text;
  }
  return reply;
}

}  // namespace bandb::server
