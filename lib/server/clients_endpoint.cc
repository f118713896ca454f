#include "server/clients_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "base/status.h"

namespace bandb::server {

namespace {

// Of all loops, so that none is held up, and a reply is bounded.
constexpr size_t kRowsMax = 10'000;

int64_t BytesOf(const RedisClientRow& row) {
  return static_cast<int64_t>(sizeof(row) + row.address.size() + row.local_address.size() + row.name.size() +
                              row.user.size() + row.command.size());
}

absl::Status TooLong() {
  return base::Error(absl::StatusCode::kResourceExhausted, "the reply would be longer than this server allows");
}

bool Kills(const ClientsCommand& command) { return command.action == ClientsCommand::Action::kKill; }

}  // namespace

absl::Status ClientTally::Add(const RedisClientRow& row) {
  if (rows_.fetch_add(1) >= limits_.rows_max) {
    return base::Error(absl::StatusCode::kResourceExhausted, "there are more than {} clients: name some by ID",
                       limits_.rows_max);
  }
  const int64_t bytes = BytesOf(row);
  quota_->AddMemory(bytes);
  if (static_cast<size_t>(bytes_.fetch_add(bytes) + bytes) > limits_.bytes_max) return TooLong();
  if (quota_->memory_bytes.load(std::memory_order_relaxed) >= limits_.memory_bytes_max) {
    return base::Error(absl::StatusCode::kUnavailable, "the server is short of memory");
  }
  return absl::OkStatus();
}

// What an inquiry is to the loops that it asks; shared with those that may come to it late.
struct ClientsEndpoint::Question {
  Question(ClientsCommand asked, const Origin& origin, size_t loops, net::Quota* quota,
           const ClientTally::Limits& limits)
      : command(std::move(asked)),
        connection(origin.connection),
        user(origin.user),
        address(origin.peer),
        tally(quota, limits),
        steps_(loops) {}

  // On that loop. False: nobody waits for it any more.
  bool Begin(size_t loop) {
    Step asked = Step::kAsked;
    return steps_[loop].compare_exchange_strong(asked, Step::kBegun);
  }
  // What was not begun is never done. Of how many loops.
  size_t GiveUp() {
    return static_cast<size_t>(std::count_if(steps_.begin(), steps_.end(), [](std::atomic<Step>& step) {
      Step asked = Step::kAsked;
      return step.compare_exchange_strong(asked, Step::kGivenUp);
    }));
  }
  // The clients that it means besides its own. True: that, too.
  bool TakeOwn(std::vector<RedisClientRow>* rows) const {
    return std::erase_if(*rows, [this](const RedisClientRow& row) { return row.connection == connection; }) > 0;
  }

  const ClientsCommand command;
  const uint64_t connection;  // of the client that it is for
  const std::string user;     // likewise
  const std::string address;
  ClientTally tally;

 private:
  enum class Step : uint8_t { kAsked, kBegun, kGivenUp };
  std::vector<std::atomic<Step>> steps_;  // of each loop
};

struct ClientsEndpoint::Inquiry {
  Pending pending;
  std::shared_ptr<Question> question;
  int64_t deadline_nanos = 0;
  size_t unanswered = 0;
  Part all{};
  bool is_late = false;
};

ClientsEndpoint::ClientsEndpoint(base::EventLoop* loop, const RequestContext& context, const ClientRoster* roster,
                                 LoopClients* own, Logger* logger)
    : loop_(loop), context_(context), roster_(roster), own_(own), logger_(logger) {}

ClientsEndpoint::~ClientsEndpoint() = default;

void ClientsEndpoint::Run(Request& request, ClientsCommand* command) {
  const Origin origin = request.origin();
  if (command->action == ClientsCommand::Action::kInfo) {
    std::vector<RedisClientRow> rows(1);
    if (!own_->FindRedisClient(origin.connection, rows.data())) rows.clear();
    return request.Answer({.answer = EntriesAnswer{command->reply(rows)}});
  }
  // To end clients is possible also where memory is short.
  ClientTally::Limits limits;
  if (!Kills(*command)) limits = {kRowsMax, command->reply_bytes_max, context_.memory_bytes_max};
  const size_t id_bytes = command->filter.ids.size() * sizeof(command->filter.ids[0]);
  auto inquiry = std::make_unique<Inquiry>();
  inquiry->question = std::make_shared<Question>(
      std::move(*command), origin, roster_ == nullptr ? 1 : roster_->members().size(), context_.quota, limits);
  // Its reply has the ids as well.
  inquiry->pending = request.Defer(sizeof(Inquiry) + sizeof(Question) + 2 * id_bytes);
  inquiry->deadline_nanos = loop_->NowNanos() + kLoopPatienceNanos;
  waiting_.push_back(std::move(inquiry));
  StartNext();
}

void ClientsEndpoint::StartNext() {
  // An answer may bring the next request of its client.
  if (starting_) return;
  starting_ = true;
  while (current_ == nullptr && !waiting_.empty()) {
    current_ = std::move(waiting_.front());
    waiting_.pop_front();
    absl::Status& status = current_->all.status;
    if (closed_) {
      status = base::Error(absl::StatusCode::kCancelled, "the server is ending");
    } else if (loop_->NowNanos() >= current_->deadline_nanos) {
      status = LoopIsSilent();
    } else if (roster_ == nullptr) {
      current_->all = Ask(own_, current_->question.get());
    } else {
      AskLoops();
      break;
    }
    Finish();
  }
  starting_ = false;
}

void ClientsEndpoint::AskLoops() {
  const std::vector<ClientRoster::Member>& members = roster_->members();
  current_->unanswered = members.size();
  timer_ = loop_->After(current_->deadline_nanos - loop_->NowNanos(), [this] { OnTimer(); });
  for (size_t i = 0; i < members.size(); ++i) {
    members[i].loop->Post([this, i, question = current_->question, clients = members[i].clients] {
      if (!question->Begin(i)) return;
      loop_->Post([this, question, part = Ask(clients, question.get())]() mutable { Take(question, std::move(part)); });
    });
  }
}

ClientsEndpoint::Part ClientsEndpoint::Ask(LoopClients* clients, Question* question) {
  Part part;
  const ClientsCommand& command = question->command;
  const bool kills = Kills(command);
  clients->ForEachRedisClient([&](const RedisClientRow& row) {
    const bool is_meant = command.filter.Matches(row) && !(command.skip_me && row.connection == question->connection);
    if (!is_meant || !part.status.ok()) return;
    // Of those that end no more is told.
    RedisClientRow kept = row;
    if (kills) kept = {.id = row.id, .connection = row.connection, .address = row.address};
    part.status = question->tally.Add(kept);
    if (part.status.ok()) part.rows.push_back(std::move(kept));
  });
  // Its own comes last, after the reply.
  for (const RedisClientRow& row : part.rows) {
    if (kills && row.connection != question->connection) clients->KillClient(row.connection);
  }
  // The loop that asked may have ended, and then nobody takes what is found here.
  question->tally.GiveBackIfEnded();
  return part;
}

void ClientsEndpoint::Take(const std::shared_ptr<Question>& question, Part part) {
  if (current_ == nullptr || current_->question != question) {
    // It had begun when it was given up.
    question->TakeOwn(&part.rows);
    return RecordKilled(*question, part.rows);
  }
  Part& all = current_->all;
  all.status.Update(part.status);
  std::move(part.rows.begin(), part.rows.end(), std::back_inserter(all.rows));
  if (--current_->unanswered > 0) return;
  Finish();
  StartNext();
}

void ClientsEndpoint::OnTimer() {
  timer_ = base::kNoTimer;
  Inquiry& inquiry = *current_;
  inquiry.unanswered -= inquiry.question->GiveUp();
  inquiry.all.status.Update(LoopIsSilent());
  // What has begun is waited for once more.
  if (inquiry.unanswered > 0 && !std::exchange(inquiry.is_late, true)) {
    timer_ = loop_->After(kLoopPatienceNanos, [this] { OnTimer(); });
    return;
  }
  Finish();
  StartNext();
}

void ClientsEndpoint::Finish() {
  loop_->Cancel(std::exchange(timer_, base::kNoTimer));
  const std::unique_ptr<Inquiry> inquiry = std::move(current_);
  Question& question = *inquiry->question;
  std::vector<RedisClientRow>& rows = inquiry->all.rows;
  absl::Status status = inquiry->all.status;
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  Outcome outcome;
  if (status.ok()) {
    std::string reply = question.command.reply(rows);
    if (!Kills(question.command) && reply.size() > question.command.reply_bytes_max) status = TooLong();
    outcome.answer = EntriesAnswer{std::move(reply)};
  }
  bool kills_itself = false;
  if (Kills(question.command)) {
    if (status.ok()) RecordKilled(question, rows);
    kills_itself = question.TakeOwn(&rows) && status.ok();
    if (!status.ok()) {
      RecordKilled(question, rows);
      status = base::Error(status.code(), "{}: {} clients were closed, {}", base::Message(status), rows.size(),
                           inquiry->unanswered > 0 ? "and others are being closed" : "and no others will be");
    }
  }
  if (!status.ok()) outcome = {.failure = ToFailureOfAll(status)};
  Complete(context_, inquiry->pending, &outcome);
  question.tally.End();
  // By then its reply has been written.
  if (kills_itself) loop_->Post([this, id = question.connection] { own_->KillClient(id); });
}

void ClientsEndpoint::RecordKilled(const Question& question, const std::vector<RedisClientRow>& rows) const {
  if (!Kills(question.command) || rows.empty()) return;
  const std::string closed = fmt::format("{} clients of Redis, {} from {} the first, by CLIENT KILL", rows.size(),
                                         rows[0].connection, rows[0].address);
  if (logger_ != nullptr) logger_->Log(LogSeverity::kInfo, fmt::format("closed {}", closed));
  context_.Record({.what = "clients closed", .user = question.user, .address = question.address, .detail = closed});
}

void ClientsEndpoint::Close() {
  closed_ = true;
  if (current_ != nullptr) {
    current_->unanswered -= current_->question->GiveUp();
    current_->all.status.Update(base::Error(absl::StatusCode::kCancelled, "the server is ending"));
    Finish();
  }
  StartNext();
}

}  // namespace bandb::server
