#include "load.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "proto/message_id.h"
#include "proto/request.h"

namespace bandb::cli {

namespace {

constexpr size_t kWindowBytes = 4 << 20;
constexpr int64_t kBackOffFirstNanos = 50'000'000;
constexpr int64_t kBackOffMaxNanos = 1'000'000'000;
constexpr int64_t kReplyTimeoutMinNanos = 500'000'000;

// Errors after which sending the same line again may succeed. The outcome of a kUnknown put is
// settled by putting again.
bool WorthRetrying(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsUnknown(status);
}

// Errors of one line, not of the server.
bool ConcernsTheLine(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsAborted(status) || absl::IsPermissionDenied(status);
}

// What the server said, with the setting that limits it or the code of the hook that refused it.
std::string WithCause(const proto::Reply& reply) {
  if (reply.code == proto::ToCode(proto::ErrorCode::kTooLarge)) {
    return fmt::format("{} (server.frame_max in the configuration of the server)", reply.message);
  }
  if (reply.code >= proto::kFirstHookErrorCode) return fmt::format("code {} of a hook: {}", reply.code, reply.message);
  return std::string(reply.message);
}

}  // namespace

absl::Status Loader::Run(LineSource* source) {
  last_progress_nanos_ = clock_->MonotonicNanos();
  NoteSettled();
  BANDB_ASSIGN_OR_RETURN(client_, client::Client::Connect(options_.target, connection_options()));
  const bool looks = options_.delimiter.empty() && !options_.overwrite;
  while (true) {
    checking_ = looks && pending_.empty();
    if (checking_ || !looks) BANDB_RETURN_IF_ERROR(FillWindow(source));
    if (checking_ && !pending_.empty()) BANDB_RETURN_IF_ERROR(CheckKeys());
    NoteSettled();
    progress_->Show(summary_.acknowledged_lines, source->bytes_read());
    if (!pending_.empty()) {
      BANDB_RETURN_IF_ERROR(Advance());
    } else if (end_of_input_) {
      return absl::OkStatus();
    }
  }
}

void Loader::NoteSettled() {
  const uint64_t settled = pending_.empty() ? summary_.lines : pending_.front().line;
  settled_lines_.store(std::max(settled, options_.skip_lines), std::memory_order_relaxed);
}

client::ClientOptions Loader::connection_options() const {
  client::ClientOptions options;
  // A load that gives up soon does not wait long for one reply either.
  options.reply_timeout_nanos =
      std::clamp(options_.retry_for_nanos, kReplyTimeoutMinNanos, options.reply_timeout_nanos);
  return options;
}

absl::Status Loader::CheckKeys() {
  last_progress_nanos_ = clock_->MonotonicNanos();
  while (true) {
    const absl::Status status = CheckOnce();
    if (status.ok()) break;
    if (!WorthRetrying(status)) return status;
    last_failure_ = status;
    BANDB_RETURN_IF_ERROR(Connect());
  }
  checking_ = false;
  SendAgain();
  return absl::OkStatus();
}

absl::Status Loader::CheckOnce() {
  // Why a GET failed is to be known.
  BANDB_RETURN_IF_ERROR(client_->Greet());
  for (const Pending& pending : pending_) proto::AppendGet(client_->output(), pending.key);
  for (const Pending& pending : pending_) {
    proto::Reply stored;
    while (true) {
      BANDB_ASSIGN_OR_RETURN(const bool got, client_->Next(&stored));
      if (got) break;
      BANDB_RETURN_IF_ERROR(client_->Exchange());
    }
    BANDB_RETURN_IF_ERROR(CheckKey(pending, stored));
  }
  last_progress_nanos_ = clock_->MonotonicNanos();
  return absl::OkStatus();
}

absl::Status Loader::CheckKey(const Pending& pending, const proto::Reply& stored) const {
  if (!stored.ok) {
    const absl::Status status = stored.ToStatus();
    return absl::IsNotFound(status) ? absl::OkStatus() : status;
  }
  std::string_view value;
  if (!proto::DecodeValueBody(stored.body, &value)) {
    return base::Error(absl::StatusCode::kDataLoss, "a malformed reply to GET");
  }
  if (value == std::string_view(pending.frame).substr(pending.frame.size() - pending.value_bytes))
    return absl::OkStatus();
  const std::string stored_lines = summary_.acknowledged_lines == 0
                                       ? "nothing was stored"
                                       : fmt::format("nothing was stored from line {} on", pending_.front().line + 1);
  return base::Error(absl::StatusCode::kAlreadyExists,
                     "{} holds another value than line {}: {}. Choose keys that are free by --prefix or --first, or "
                     "replace what is there by --overwrite",
                     pending.key, pending.line + 1, stored_lines);
}

std::string Loader::HowToGoOn() const {
  // Enough to look at them in the file.
  constexpr size_t kNamed = 20;
  const uint64_t settled = settled_lines();
  std::vector<uint64_t> refused;
  {
    base::MutexLock lock(&mutex_);
    std::copy_if(refused_lines_.begin(), refused_lines_.end(), std::back_inserter(refused),
                 [settled](uint64_t line) { return line < settled; });
  }
  std::string text = fmt::format("--skip {}", settled);
  if (refused.empty()) return text;
  std::sort(refused.begin(), refused.end());
  text += "\nrefused before that, and not stored: lines";
  for (size_t i = 0; i < std::min(refused.size(), kNamed); ++i) text += fmt::format(" {}", refused[i] + 1);
  return refused.size() > kNamed ? text + " and others" : text;
}

absl::Status Loader::FillWindow(LineSource* source) {
  while (!end_of_input_ && !sending_again_ && pending_.size() < options_.window_lines &&
         pending_bytes_ < kWindowBytes) {
    // The next line may take long to be written: see to what is pending first.
    if (!pending_.empty() && !source->Ready()) return absl::OkStatus();
    std::string_view line;
    BANDB_ASSIGN_OR_RETURN(const LineSource::Found found, source->Next(&line));
    switch (found) {
      case LineSource::Found::kLine:
        AddLine(line);
        break;
      case LineSource::Found::kTooLong:
        RefuseLongLine();
        break;
      case LineSource::Found::kEnd:
        end_of_input_ = true;
        break;
    }
  }
  return absl::OkStatus();
}

void Loader::AddLine(std::string_view line) {
  const uint64_t number = summary_.lines++;
  if (number < options_.skip_lines) return;
  if (options_.crlf && line.ends_with('\r')) line.remove_suffix(1);
  std::string key;
  std::string_view value = line;
  if (options_.delimiter.empty()) {
    key = fmt::format("{}{:012}", options_.prefix, options_.first_number + number);
  } else {
    const size_t at = line.find(options_.delimiter);
    if (at == std::string_view::npos) return Refuse(number, "no delimiter");
    key = line.substr(0, at);
    value = line.substr(at + options_.delimiter.size());
  }
  if (value.size() + key.size() + 2 * sizeof(uint32_t) > proto::kFrameBytesHardMax) {
    return Refuse(number, "longer than any frame");
  }
  // Until it came there was nothing to make progress with.
  if (pending_.empty()) last_progress_nanos_ = clock_->MonotonicNanos();
  Pending pending{number, key, value.size(), {}};
  proto::AppendPut(&pending.frame, key, value);
  pending_bytes_ += pending.frame.size();
  if (!checking_) {
    client_->output()->append(pending.frame);
    ++outstanding_;
  }
  pending_.push_back(std::move(pending));
}

void Loader::RefuseLongLine() {
  const uint64_t number = summary_.lines++;
  if (number < options_.skip_lines) return;
  Refuse(number, fmt::format("longer than {} MiB", LineSource::kLineBytesMax >> 20));
}

void Loader::Refuse(uint64_t line, std::string_view why) {
  constexpr size_t kKept = 10'000;
  {
    base::MutexLock lock(&mutex_);
    if (refused_lines_.size() < kKept) refused_lines_.push_back(line);
  }
  if (summary_.refused_lines++ == 0) summary_.first_refusal = fmt::format("line {}: {}", line + 1, why);
}

absl::Status Loader::Advance() {
  absl::Status status = client_->Exchange();
  // What arrived before the connection broke still counts.
  const absl::Status taken = TakeReplies();
  if (status.ok()) status = taken;
  if (status.ok()) {
    if (!sending_again_ || outstanding_ > 0) return status;
    BANDB_RETURN_IF_ERROR(BackOff(last_failure_));
    SendAgain();
    return absl::OkStatus();
  }
  if (!absl::IsUnavailable(status) && !absl::IsUnknown(status)) return status;
  last_failure_ = status;
  return Connect();
}

absl::Status Loader::Connect() {
  while (true) {
    client_.reset();
    BANDB_RETURN_IF_ERROR(BackOff(last_failure_));
    absl::StatusOr<std::unique_ptr<client::Client>> client =
        client::Client::Connect(options_.target, connection_options());
    if (client.ok()) {
      client_ = *std::move(client);
      ++summary_.reconnections;
      if (!checking_) SendAgain();
      return absl::OkStatus();
    }
    last_failure_ = client.status();
  }
}

absl::Status Loader::BackOff(const absl::Status& cause) {
  if (clock_->MonotonicNanos() - last_progress_nanos_ > options_.retry_for_nanos) return cause;
  back_off_nanos_ = std::clamp(back_off_nanos_ * 2, kBackOffFirstNanos, kBackOffMaxNanos);
  base::Event never;
  executor_->Wait(&never, back_off_nanos_);
  return absl::OkStatus();
}

void Loader::SendAgain() {
  for (const Pending& pending : pending_) client_->output()->append(pending.frame);
  outstanding_ = pending_.size();
  sending_again_ = false;
}

absl::Status Loader::TakeReplies() {
  while (true) {
    proto::Reply reply;
    BANDB_ASSIGN_OR_RETURN(const bool got, client_->Next(&reply));
    if (!got) return absl::OkStatus();
    BANDB_RETURN_IF_ERROR(OnReply(reply));
  }
}

absl::Status Loader::OnReply(const proto::Reply& reply) {
  if (outstanding_ == 0) {
    // A server that is full or about to stop says so unasked, and closes.
    return reply.ok ? base::Error(absl::StatusCode::kDataLoss, "a reply without a request") : reply.ToStatus();
  }
  --outstanding_;
  if (sending_again_) return absl::OkStatus();
  BANDB_ASSERT(!pending_.empty());
  const Pending& first = pending_.front();
  if (!reply.ok) {
    const absl::Status status = reply.ToStatus();
    if (WorthRetrying(status)) {
      sending_again_ = true;
      last_failure_ = status;
      return absl::OkStatus();
    }
    if (!ConcernsTheLine(status)) return status;
    Refuse(first.line, WithCause(reply));
  } else {
    ++summary_.acknowledged_lines;
    summary_.acknowledged_bytes += first.key.size() + first.value_bytes;
  }
  last_progress_nanos_ = clock_->MonotonicNanos();
  back_off_nanos_ = 0;
  pending_bytes_ -= first.frame.size();
  pending_.pop_front();
  return absl::OkStatus();
}

}  // namespace bandb::cli
