#include "watch_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "arguments.h"
#include "bandb/iterator.h"
#include "base/status.h"
#include "change_feed.h"
#include "client/client.h"
#include "feed_place.h"
#include "interrupt_gate.h"
#include "interrupt_watch.h"
#include "processes/piped_command.h"
#include "quoting.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"
#include "transfer/change_writer.h"
#include "transfer/entry.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;
using standard_streams::Write;

// So long one request waits for changes; well within the patience of a client for a reply.
constexpr uint32_t kWaitMs = 5000;
constexpr uint32_t kCommitsPerReply = 1000;
// How often, and how many times, a member that has just started is asked for a cursor again.
constexpr int64_t kStartRetryNanos = 200'000'000;
constexpr int kStartTriesMax = 300;
// So long an interruption waits for what is being printed.
constexpr int64_t kEndNanos = int64_t{5} * 1'000'000'000;

constexpr const char* kFooter =
    "Every change is a line: put, delete or delete-range, the key in double quotes, and the value or the end of the "
    "range.\n"
    "With --json it is an object with kind (put, delete, delete_range), key, value or limit, expires (milliseconds "
    "since\n"
    "1970) where it does, and sequence and time of its commit; bytes that are not UTF-8 as {\"base64\": ...}.\n"
    "With --exec the lines of each commit are the standard input of CMD, which the shell runs once for each, with\n"
    "BANDB_SEQUENCE, BANDB_TIME and BANDB_CHANGES (how many lines) in its environment. If it fails, so does the "
    "watch.\n"
    "With --cursor what was printed, or taken by CMD, is acknowledged, so that the next watch goes on after it. "
    "Without,\n"
    "it says at its end from where to go on. Any member of a cluster goes on from what another one said. One that has\n"
    "just started is asked for a cursor for up to a minute.\n"
    "\n"
    "Exit codes: 0 done; 1 there is no such cursor; 2 usage; 3 server or connection error, what comes next is not kept "
    "any\n"
    "more, or the output could not be written.\n"
    "\n"
    "Examples:\n"
    "  bandb watch\n"
    "  bandb watch user: --from oldest --json\n"
    "  bandb watch --cursor mail --exec 'jq -r .key | mail -s changed ops'\n"
    "  bandb watch --cursor part0 --part 0/2\n"
    "  bandb cursors create indexer && bandb watch --cursor indexer --json | indexer";

struct Flags {
  std::string prefix;
  std::string from = "now";
  std::string cursor;
  std::string part = "0/1";
  std::string command;
  bool undurable = false;
  bool json = false;
  std::optional<uint64_t> count;
};

// Prints commits until there were enough of them, or it is interrupted: then between two replies,
// so that what was printed has been acknowledged.
class Watch {
 public:
  Watch(client::Target target, Flags flags, uint32_t part, uint32_t parts, FeedPlaceText place)
      : target_(std::move(target)),
        part_(part),
        parts_(parts),
        flags_(std::move(flags)),
        limit_(PrefixLimit(flags_.prefix)),
        place_(std::move(place)) {}

  absl::Status Run() {
    BANDB_ASSIGN_OR_RETURN(client_, client::Client::Connect(target_));
    while (!flags_.count.has_value() || commits_ < *flags_.count) {
      const uint64_t left = flags_.count.has_value() ? *flags_.count - commits_ : kCommitsPerReply;
      // What a command has taken is acknowledged before it gets more.
      const uint64_t most = flags_.command.empty() ? kCommitsPerReply : 1;
      const proto::Changes changes{.from = place_.place(),
                                   .undurable = flags_.undurable,
                                   .part = part_,
                                   .parts = parts_,
                                   .wait_ms = kWaitMs,
                                   .commits_max = static_cast<uint32_t>(std::min(left, most)),
                                   .skip = skip_,
                                   .begin = flags_.prefix,
                                   .limit = limit_};
      const absl::StatusOr<std::string> body = AskForChanges(client_.get(), changes, owed_);
      if (!body.ok() && MayBeKnownLater(body.status())) continue;
      BANDB_RETURN_IF_ERROR(body.status());
      if (!gate_.Enter()) return absl::OkStatus();
      const absl::Status taken = Take(*body);
      gate_.Leave();
      BANDB_RETURN_IF_ERROR(taken);
    }
    return absl::OkStatus();
  }

  // On the thread that is told of an interruption.
  void Interrupt() {
    gate_.Close(kEndNanos, [this](bool is_idle) {
      std::fflush(stdout);
      if (is_idle) TellPlace();
    });
  }

  // From where to go on, if no cursor knows it.
  void TellPlace() const {
    if (owed_.ms != 0) {
      Print(stderr, "to go on: --from {}\n", owed_.ms);
      std::fflush(stderr);
    } else if (flags_.cursor.empty() && !token_.empty()) {
      Print(stderr, "to go on: --from {}\n", ShowToken(token_));
      std::fflush(stderr);
    }
  }

 private:
  // Of what a server has refused: whether it is asked again. Waits before. A member that has just
  // started does not know its cursors yet.
  bool MayBeKnownLater(const absl::Status& status) {
    const bool from_server = client_->last_error_code() != 0;
    if (flags_.cursor.empty() || !token_.empty() || !from_server || !absl::IsUnavailable(status)) return false;
    if (++start_tries_ > kStartTriesMax) return false;
    // An interruption ends the process meanwhile.
    gate_.Rest(kStartRetryNanos);
    return true;
  }

  absl::Status Take(const std::string& body) {
    proto::ChangesBodyReader reader(body);
    proto::CommitHead head;
    uint64_t commits = 0;
    const bool at_time = place_.from == proto::FeedFrom::kTime;
    while (reader.NextCommit(&head)) {
      if (!at_time && owed_.PassesOver(head.time_ms)) continue;
      for (proto::BatchOperation change; reader.NextChange(&change);) lines_ += FormatChange(head, change, flags_.json);
      changes_ += head.changes;
      ++commits;
    }
    if (!reader.Complete()) {
      return base::Error(absl::StatusCode::kDataLoss, "the reply to a CHANGES does not add up");
    }
    // A command gets a commit whole.
    if (!reader.cut() || flags_.command.empty()) BANDB_RETURN_IF_ERROR(HandOn(head));
    // Known once the first commit has come.
    if (at_time && head.first_sequence == 0) owed_.ms = place_.time_ms;
    const bool moved = token_ != reader.token();
    token_ = reader.token();
    // A time is a place of its own: the token of before a commit that goes on may be before others
    // that are of before that time.
    if (!reader.cut() || !at_time) {
      place_ = {.from = proto::FeedFrom::kToken, .text = token_};
    }
    if (reader.cut()) {
      skip_ += head.changes;
      return absl::OkStatus();
    }
    skip_ = 0;
    commits_ += commits;
    if (flags_.cursor.empty() || !moved) return absl::OkStatus();
    return client_->Acknowledge(flags_.cursor, token_);
  }

  // What has come, up to this commit.
  absl::Status HandOn(const proto::CommitHead& last) {
    const std::string lines = std::exchange(lines_, {});
    const uint64_t changes = std::exchange(changes_, 0);
    if (flags_.command.empty()) {
      Write(stdout, lines);
      if (standard_streams::Arrived()) return absl::OkStatus();
      return base::Error(absl::StatusCode::kInternal, "standard output could not be written");
    }
    if (changes == 0) return absl::OkStatus();
    BANDB_ASSIGN_OR_RETURN(const int code,
                           processes::RunPiped(flags_.command, lines,
                                               {{"BANDB_SEQUENCE", fmt::format("{}", last.first_sequence)},
                                                {"BANDB_TIME", fmt::format("{}", last.time_ms)},
                                                {"BANDB_CHANGES", fmt::format("{}", changes)}}));
    if (code == 0) return absl::OkStatus();
    return base::Error(absl::StatusCode::kInternal,
                       "the command ended with exit code {} at the commit of sequence {}, which is not acknowledged",
                       code, last.first_sequence);
  }

  const client::Target target_;
  const uint32_t part_;
  const uint32_t parts_;
  const Flags flags_;
  const std::string limit_;
  FeedPlaceText place_;
  OwedTime owed_;  // written while busy
  std::unique_ptr<client::Client> client_;
  int start_tries_ = 0;
  uint64_t commits_ = 0;
  uint32_t skip_ = 0;
  // What has come and was not handed on.
  std::string lines_;
  uint64_t changes_ = 0;
  // After what was printed whole. Written while busy.
  std::string token_;
  InterruptGate gate_;
};

void Declare(CLI::App* app, Flags* flags) {
  app->add_option("PREFIX", flags->prefix, "of the keys whose changes are printed; all by default")->type_name("");
  CLI::Option* const from =
      app->add_option("--from", flags->from, fmt::format("where to begin: {} [now]", kFeedPlaceHelp))
          ->type_name("PLACE");
  app->add_option("--cursor", flags->cursor, "go on after what was acknowledged for this cursor, and acknowledge")
      ->excludes(from)
      ->type_name("NAME");
  app->add_option("--part", flags->part, "of N parts, into which keys are dealt, only the one of number I, from 0")
      ->type_name("I/N");
  app->add_flag("--undurable", flags->undurable, "also what a loss of power may still take back");
  app->add_flag("--json", flags->json, "print JSON objects");
  app->add_option("--exec", flags->command, "print nothing; run this command of the shell with each commit")
      ->type_name("CMD");
  app->add_option("--count", flags->count, "end after N commits")
      ->check(CLI::Range(1.0, 1e15).description(""))
      ->type_name("N");
  app->footer(kFooter);
}

}  // namespace

std::string FormatChange(const proto::CommitHead& commit, const proto::BatchOperation& change, bool json) {
  const bool is_range = change.kind == proto::BatchKind::kRangeDelete;
  const bool is_put = !is_range && change.kind != proto::BatchKind::kDelete;
  const bool expires = change.kind == proto::BatchKind::kPutUntil;
  if (json) {
    const transfer::ChangeCommit head{commit.first_sequence, commit.last_sequence, commit.time_ms, {}};
    transfer::ChangeEntry entry{.kind = is_put     ? ChangeKind::kPut
                                        : is_range ? ChangeKind::kDeleteRange
                                                   : ChangeKind::kDelete,
                                .key = change.key};
    if (is_put) entry.value = change.value;
    if (is_range) entry.limit = change.value;
    if (expires) entry.expires_ms = change.expires_ms;
    std::string line;
    transfer::AppendChangeLine({}, head, entry, &line);
    return line;
  }
  if (is_range) return fmt::format("delete-range\t{}\t{}\n", Quote(change.key), Quote(change.value));
  if (!is_put) return fmt::format("delete\t{}\n", Quote(change.key));
  const std::string put = fmt::format("put\t{}\t{}", Quote(change.key), Quote(change.value));
  return expires ? fmt::format("{}\texpires {}\n", put, change.expires_ms) : put + "\n";
}

int RunWatch(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Prints what is written to the server, commit by commit, until it is interrupted.", "bandb watch");
  Flags flags;
  Declare(&app, &flags);
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  FeedPlaceText place{.from = proto::FeedFrom::kCursor, .text = flags.cursor};
  if (flags.cursor.empty() && !ParseFeedPlace(flags.from, &place)) {
    Print(stderr, "bandb watch: --from takes {}, not {}\n", kFeedPlaceHelp, flags.from);
    return kUsage;
  }
  uint32_t part = 0, parts = 1;
  if (!ParsePart(flags.part, &part, &parts)) {
    Print(stderr, "bandb watch: --part takes I/N, such as 0/4 to 3/4, and N up to 65536, not {}\n", flags.part);
    return kUsage;
  }
  Watch watch(target, std::move(flags), part, parts, std::move(place));
  absl::Status status;
  {
    // It ends the process as the signal would have.
    const InterruptWatch interrupts([&watch] { watch.Interrupt(); });
    status = watch.Run();
  }
  if (!status.ok()) Print(stderr, "(error) {}\n", base::Message(status));
  watch.TellPlace();
  if (status.ok()) return kDone;
  return absl::IsNotFound(status) ? kNotFound : kServerError;
}

}  // namespace bandb::cli
