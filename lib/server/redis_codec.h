// The protocol and the sessions of Redis: requests to commands, with MULTI and WATCH.
//
// What a command needs decides its class, known before it starts: whether it may overlap with
// those before it. A plain GET or SET is a get or put as those of BanDB's own protocol, grouped
// with them; everything else that touches keys is a transaction.
#ifndef BANDB_SERVER_REDIS_CODEC_H_
#define BANDB_SERVER_REDIS_CODEC_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bandb/server.h"
#include "net/protocol.h"
#include "net/router.h"
#include "resp/request_parser.h"
#include "server/codec.h"
#include "server/commands.h"
#include "server/redis_command.h"
#include "server/redis_session.h"

namespace bandb::server {

// What BanNet routes by.
enum class RedisClass : uint32_t {
  kReady = 1,   // touches nothing
  kGet = 2,     // reads that may overlap
  kPut = 3,     // writes that may overlap
  kRead = 4,    // alone on its connection
  kWrite = 5,   // likewise
  kChange = 6,  // changes the session: likewise
};
inline constexpr RedisClass kRedisClasses[] = {RedisClass::kReady, RedisClass::kGet,   RedisClass::kPut,
                                               RedisClass::kRead,  RedisClass::kWrite, RedisClass::kChange};
net::Lane LaneOf(RedisClass redis_class);
bool IsGated(RedisClass redis_class);

class RedisCodec final : public Codec {
 public:
  RedisCodec(const RedisEnvironment* environment, size_t request_bytes_max, uint64_t id);
  ~RedisCodec() override { environment_->clients_open--; }
  RedisCodec(const RedisCodec&) = delete;
  RedisCodec& operator=(const RedisCodec&) = delete;

  ClientProtocol protocol() const override { return ClientProtocol::kRedis; }
  std::string_view client_name() const override { return client_.name; }
  // "get", or "client|list".
  std::string LastOperation(uint32_t) const override;
  net::Cut Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) override;
  size_t payload_bytes_max() const override { return request_bytes_max_; }
  void Skipped() override { parser_.Restart(); }
  void OnRefused() override;
  bool NeedsNoMemory() const override;
  size_t held_bytes() const override {
    const size_t room = queued_arguments_.capacity() - queued_arguments_.size();
    return parser_.held_bytes() + watched_bytes_ + queued_bytes_ + queued_.capacity() * sizeof(Queued) +
           room * sizeof(std::string);
  }
  void AppendError(uint16_t code, std::string_view message, std::string* to) const override;
  uint16_t CodeOf(net::Refusal refusal) const override;
  std::string_view MessageOf(net::Refusal refusal) const override;
  std::string_view OkReply() const override { return "+OK\r\n"; }

  Failure Decode(uint32_t message_id, std::string_view payload, Command* command) override;
  net::Reply Encode(Outcome* outcome, net::Quota* quota, std::string* bytes) override;

  // For what transactions do to the session once they have succeeded.
  void Apply(const RedisChange& change);
  void Watch(EntryMap watched);
  // What is to be recorded of the request, once for each: that its user was not allowed a command
  // of operators, "client|kill" for one, or has changed something by one. Else its `what` is empty.
  AuditEvent TakeEvent();
  // What it knows of its connection.
  void Describe(RedisClientRow* row) const;

 private:
  struct Queued {
    const RedisCommand* command = nullptr;
    size_t first = 0, count = 0;  // of its arguments among all
  };
  struct Exec;

  std::string_view name() const { return parser_.arguments()[0]; }
  RedisClass Classify();
  RedisClass ClassOf(const RedisCommand& command) const;
  // Why it cannot run, as an error; empty: it can.
  std::string Refused(const RedisCommand* command);
  std::string Malformed(const RedisCommand& command) const;
  // What the client is told; it discards the transaction, at once if the command is EXEC.
  std::string ToRefusal(const RedisCommand* command, std::string_view why);
  // Likewise, for want of rights.
  std::string Denied(const RedisCommand& command);
  // Counts it, and keeps it for TakeEvent.
  void NoteDenial(std::string_view why);
  // Keeps it, if it is to be recorded that it was done.
  void NoteDone();
  bool MayAccessKeys(const RedisCommand& command, const Grants& grants) const;
  void ChooseLimits();
  Command LogIn(const RedisCommand& command);
  std::string UnknownCommand() const;
  Command Queue(const RedisCommand* command);
  Command RunNow(const RedisCommand& command);
  Command ChangeSession(const RedisCommand& command);
  Command Transact(const RedisCommand& command);
  Command StartWatch(const RedisCommand& command);
  Command RunExec();
  // CLIENT INFO, LIST and KILL.
  Command AskForClients();
  // Of the request; null: it has none.
  const RedisSubcommand* Subcommand() const;
  void EndMulti();
  void Unwatch();
  bool TakePlain(Command* command) const;
  static ReadyCommand Say(std::string_view line);
  ReadyCommand SayError(std::string_view text) const;
  std::shared_ptr<std::vector<std::string>> CopyArguments() const;
  // As it is now.
  const RedisClient& Client() {
    client_.user = session().name();
    return client_;
  }

  const RedisEnvironment* const environment_;
  const size_t request_bytes_max_;
  const resp::ParserLimits limits_;
  resp::RequestParser parser_;
  bool has_small_limits_ = false;
  RedisClient client_;
  std::string protocol_error_;
  std::string_view event_;  // AuditEvent::what

  const RedisCommand* last_command_ = nullptr;
  const RedisSubcommand* last_subcommand_ = nullptr;
  size_t request_bytes_ = 0;  // of the last one, until something is answered
  bool in_multi_ = false;
  bool multi_failed_ = false;
  std::vector<Queued> queued_;
  std::vector<std::string> queued_arguments_;
  size_t queued_bytes_ = 0;
  EntryMap watched_;
  size_t watched_bytes_ = 0;

  bool silent_ = false;  // CLIENT REPLY OFF
  int skips_ = 0;        // replies that CLIENT REPLY SKIP leaves out
};

// Lifetime: the environment must outlive it.
class RedisProtocol final : public net::Protocol {
 public:
  RedisProtocol(const RedisEnvironment* environment, size_t request_bytes_max)
      : environment_(environment), request_bytes_max_(request_bytes_max) {}
  std::unique_ptr<net::Codec> NewCodec() const override {
    return std::make_unique<RedisCodec>(environment_, request_bytes_max_, ++environment_->clients);
  }

 private:
  const RedisEnvironment* const environment_;
  const size_t request_bytes_max_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_REDIS_CODEC_H_
