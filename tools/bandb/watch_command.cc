#include "watch_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "arguments.h"
#include "base/mutex.h"
#include "base/status.h"
#include "client/client.h"
#include "feed_place.h"
#include "interrupt_watch.h"
#include "quoting.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"
#include "transfer/entry.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;
using standard_streams::Write;

// So long one request waits for changes; well within the patience of a client for a reply.
constexpr uint32_t kWaitMs = 5000;
constexpr uint32_t kCommitsPerReply = 1000;
// So long an interruption waits for what is being printed.
constexpr int64_t kEndNanos = int64_t{5} * 1'000'000'000;

constexpr const char* kFooter =
    "Every change is a line: put, delete or delete-range, the key in double quotes, and the value or the end of the "
    "range.\n"
    "With --json it is an object with kind (put, delete, delete_range), key, value or limit, expires (milliseconds "
    "since\n"
    "1970) where it does, and sequence and time of its commit; bytes that are not UTF-8 as {\"base64\": ...}.\n"
    "With --cursor what was printed is acknowledged, so that the next watch goes on after it. Without, it says at its "
    "end\n"
    "from where to go on. Any member of a cluster goes on from what another one said; it keeps no cursors yet.\n"
    "\n"
    "Exit codes: 0 done; 1 there is no such cursor; 2 usage; 3 server or connection error, what comes next is not kept "
    "any\n"
    "more, or the output could not be written.\n"
    "\n"
    "Examples:\n"
    "  bandb watch\n"
    "  bandb watch user: --from oldest --json\n"
    "  bandb cursors create indexer && bandb watch --cursor indexer --json | indexer";

struct Flags {
  std::string prefix;
  std::string from = "now";
  std::string cursor;
  bool json = false;
  std::optional<uint64_t> count;
};

// Prints commits until there were enough of them, or it is interrupted: then between two replies,
// so that what was printed has been acknowledged.
class Watch {
 public:
  Watch(client::Target target, Flags flags, FeedPlaceText place)
      : target_(std::move(target)),
        flags_(std::move(flags)),
        limit_(transfer::AfterPrefix(flags_.prefix)),
        place_(std::move(place)) {}

  absl::Status Run() {
    BANDB_ASSIGN_OR_RETURN(client_, client::Client::Connect(target_));
    while (!flags_.count.has_value() || commits_ < *flags_.count) {
      const uint64_t left = flags_.count.has_value() ? *flags_.count - commits_ : kCommitsPerReply;
      const proto::Changes changes{.from = place_.place(),
                                   .wait_ms = kWaitMs,
                                   .commits_max = static_cast<uint32_t>(std::min<uint64_t>(left, kCommitsPerReply)),
                                   .skip = skip_,
                                   .begin = flags_.prefix,
                                   .limit = limit_};
      BANDB_ASSIGN_OR_RETURN(const std::string body, client_->Changes(changes));
      if (!Enter()) return absl::OkStatus();
      const absl::Status taken = Take(body);
      Leave();
      BANDB_RETURN_IF_ERROR(taken);
    }
    return absl::OkStatus();
  }

  // On the thread that is told of an interruption.
  void Interrupt() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    over_ = true;
    if (busy_) idle_.WaitFor(&mutex_, kEndNanos);
    std::fflush(stdout);
    if (!busy_) TellPlace();
  }

  // From where to go on, if no cursor knows it.
  void TellPlace() const {
    if (flags_.cursor.empty() && !token_.empty()) {
      Print(stderr, "to go on: --from {}\n", ShowToken(token_));
      std::fflush(stderr);
    }
  }

 private:
  bool Enter() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    busy_ = !over_;
    return busy_;
  }

  void Leave() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    busy_ = false;
    idle_.SignalAll();
  }

  absl::Status Take(const std::string& body) {
    proto::ChangesBodyReader reader(body);
    std::string lines;
    proto::CommitHead head;
    uint64_t commits = 0;
    while (reader.NextCommit(&head)) {
      for (proto::BatchOperation change; reader.NextChange(&change);) lines += FormatChange(head, change, flags_.json);
      commits++;
    }
    if (!reader.Complete()) {
      return base::Error(absl::StatusCode::kDataLoss, "the reply to a CHANGES does not add up");
    }
    Write(stdout, lines);
    if (!standard_streams::Arrived())
      return base::Error(absl::StatusCode::kInternal, "standard output could not be written");
    const bool moved = token_ != reader.token();
    token_ = reader.token();
    // A time is a place of its own: the token of before a commit that goes on may be before others
    // that are of before that time.
    if (!reader.cut() || place_.from != proto::FeedFrom::kTime) {
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

  const client::Target target_;
  const Flags flags_;
  const std::string limit_;
  FeedPlaceText place_;
  std::unique_ptr<client::Client> client_;
  uint64_t commits_ = 0;
  uint32_t skip_ = 0;
  // After what was printed whole. Written while busy.
  std::string token_;
  base::Mutex mutex_;
  base::CondVar idle_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
};

void Declare(CLI::App* app, Flags* flags) {
  app->add_option("PREFIX", flags->prefix, "of the keys whose changes are printed; all by default")->type_name("");
  CLI::Option* const from =
      app->add_option("--from", flags->from, fmt::format("where to begin: {} [now]", kFeedPlaceHelp))
          ->type_name("PLACE");
  app->add_option("--cursor", flags->cursor, "go on after what was acknowledged for this cursor, and acknowledge")
      ->excludes(from)
      ->type_name("NAME");
  app->add_flag("--json", flags->json, "print JSON objects");
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
    std::string line = fmt::format("{{\"kind\": \"{}\", \"key\": ", is_put     ? "put"
                                                                    : is_range ? "delete_range"
                                                                               : "delete");
    transfer::AppendJsonBytes(transfer::Encoding::kUtf8, change.key, &line);
    if (is_put || is_range) {
      line += is_put ? ", \"value\": " : ", \"limit\": ";
      transfer::AppendJsonBytes(transfer::Encoding::kUtf8, change.value, &line);
    }
    if (expires) line += fmt::format(", \"expires\": {}", change.expires_ms);
    return line + fmt::format(", \"sequence\": {}, \"time\": {}}}\n", commit.first_sequence, commit.time_ms);
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
  Watch watch(target, std::move(flags), std::move(place));
  absl::Status status;
  {
    // It ends the process as the signal would have.
    const InterruptWatch interrupts([&watch] { watch.Interrupt(); });
    status = watch.Run();
  }
  if (status.ok()) return kDone;
  Print(stderr, "(error) {}\n", base::Message(status));
  watch.TellPlace();
  return absl::IsNotFound(status) ? kNotFound : kServerError;
}

}  // namespace bandb::cli
