#include "audit_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/escape.h"
#include "base/status.h"
#include "base/stream_logger.h"
#include "server/users.h"

namespace bandb::server_program {

namespace {

constexpr size_t kWordBytesShown = 64;
// Of why a command failed, which may name what it was given.
constexpr size_t kReasonBytesShown = 500;
// In the place of a command that there is not, which may be anything.
constexpr std::string_view kUnknownCommand = "an unknown command";

// Done by nobody. Each has a budget of its own: what one asks for in vain hides nothing that is
// done, nor what others ask for.
constexpr std::string_view kAdministration = "administration";
constexpr std::string_view kAdministrationRefused = "administration refused";
constexpr std::string_view kLimitedKinds[] = {"login refused", "administration denied", kAdministrationRefused};

bool IsLimited(std::string_view what) {
  return std::find(std::begin(kLimitedKinds), std::end(kLimitedKinds), what) != std::end(kLimitedKinds);
}

// The command was not begun. Others may have been done, or in part.
bool IsRefusal(const absl::Status& outcome) {
  switch (outcome.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

// The parts of an event are escaped already, so that their backslashes are not doubled here.
std::string OneLine(std::string_view text) {
  const std::string escaped = base::Escape(text);
  std::string line;
  for (size_t i = 0; i < escaped.size(); ++i) {
    line += escaped[i];
    if (escaped.compare(i, 2, "\\\\") == 0) ++i;
  }
  return line;
}

// In quotes, and with a backslash before `quoted` ones.
std::string InQuotes(std::string_view text, std::string_view quoted) {
  std::string all = "\"";
  for (const char c : text) {
    if (quoted.find(c) != std::string_view::npos) all += '\\';
    all += c;
  }
  return all + '"';
}

std::string ShowUser(const std::string& name) {
  if (name.empty()) return "-";
  // A name of its own could be taken for none.
  return server::IsUserName(name) && name != "-" ? name : InQuotes(OneLine(name), "\"");
}

std::string ShowWord(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=@";
  const bool is_plain = !word.empty() && word.size() <= kWordBytesShown && word.find_first_not_of(kPlain) == word.npos;
  return is_plain ? word : InQuotes(base::Escape(word, kWordBytesShown), "\"");
}

// Operands may be keys, or what belongs into another place: only those are shown that are not.
std::string ShowCommand(const std::vector<std::string>& words) {
  constexpr std::string_view kShownAlone[] = {"flush", "compact", "backup"};
  constexpr std::string_view kShownWhole[] = {"clients", "slowlog", "clock", "member", "transfer"};
  std::string shown = words[0];
  if (std::find(std::begin(kShownAlone), std::end(kShownAlone), shown) != std::end(kShownAlone)) {
    return words.size() == 1 ? shown : shown + " ...";
  }
  if (std::find(std::begin(kShownWhole), std::end(kShownWhole), shown) == std::end(kShownWhole)) {
    return std::string(kUnknownCommand);
  }
  for (size_t i = 1; i < words.size(); ++i) shown.append(1, ' ').append(ShowWord(words[i]));
  return shown;
}

std::string ShowOutcome(const absl::Status& outcome) {
  const std::string reason = outcome.ok() ? "done" : std::string(base::Message(outcome));
  return reason.size() <= kReasonBytesShown ? reason : reason.substr(0, kReasonBytesShown) + "...";
}

std::string TextLine(const std::string& time, const AuditEvent& event, uint64_t left_out) {
  const std::string address = event.address.empty() ? "-" : OneLine(event.address);
  std::string line = fmt::format("{} {}: user {} from {}", time, event.what, ShowUser(event.user), address);
  if (!event.detail.empty()) line += fmt::format(": {}", OneLine(event.detail));
  if (left_out > 0) line += fmt::format("; {} more were left out before this one", left_out);
  return line;
}

std::string JsonLine(const std::string& time, const AuditEvent& event, uint64_t left_out) {
  std::string line = fmt::format("{{\"time\":\"{}\"", time);
  const auto add = [&line](std::string_view name, const std::string& text) {
    if (!text.empty()) line += fmt::format(",\"{}\":{}", name, InQuotes(OneLine(text), "\"\\"));
  };
  add("event", event.what);
  add("user", event.user);
  add("address", event.address);
  add("detail", event.detail);
  if (left_out > 0) line += fmt::format(",\"left_out\":{}", left_out);
  return line + '}';
}

}  // namespace

bool IsChange(const std::vector<std::string>& words) {
  if (words.empty()) return false;
  const std::string operand = words.size() < 2 ? "" : words[1];
  if (words[0] == "clients") return operand == "kill";
  if (words[0] == "slowlog") return operand == "--reset";
  if (words[0] == "member") return operand != "list";
  return words[0] != "figures" && words[0] != "status";
}

bool AuditLog::Take(Kind* kind, int64_t now_nanos) {
  constexpr int64_t kNanosPerLine = 1'000'000'000 / kLinesPerSecond;
  const int64_t given_back = kind->lines == 0 ? 0 : (now_nanos - kind->since_nanos) / kNanosPerLine;
  if (given_back >= kind->lines) *kind = {.since_nanos = now_nanos, .lines = 0, .left_out = kind->left_out};
  if (kind->lines - std::min(given_back, kind->lines) >= kBurst) return false;
  ++kind->lines;
  return true;
}

bool AuditLog::Begin(const std::string& what, uint64_t* left_out) {
  base::MutexLock lock(&mutex_);
  Kind& kind = kinds_[what];
  if (IsLimited(what) && !Take(&kind, parts_.clock->MonotonicNanos())) {
    ++kind.left_out;
    return false;
  }
  *left_out = std::exchange(kind.left_out, 0);
  return true;
}

void AuditLog::TakeBack(const std::string& what, uint64_t left_out) {
  base::MutexLock lock(&mutex_);
  kinds_[what].left_out += left_out + 1;
}

void AuditLog::Record(const AuditEvent& event) {
  uint64_t left_out = 0;
  if (!Begin(event.what, &left_out)) return;
  const std::string time = base::FormatUtc(parts_.clock->WallMillis());
  const absl::Status written =
      parts_.append(parts_.json ? JsonLine(time, event, left_out) : TextLine(time, event, left_out));
  if (!written.ok()) {
    TakeBack(event.what, left_out);
    lines_lost_.fetch_add(1, std::memory_order_relaxed);
  }
  Tell(written);
}

void AuditLog::Tell(const absl::Status& written) {
  if (fails_.exchange(!written.ok()) == !written.ok() || parts_.logger == nullptr) return;
  if (!written.ok()) {
    parts_.logger->Log(LogSeverity::kError, fmt::format("the audit log cannot be written, lines of it are lost: {}",
                                                        base::Message(written)));
  } else {
    parts_.logger->Log(LogSeverity::kWarning,
                       fmt::format("the audit log is written again; {} lines were lost so far", lines_lost()));
  }
}

void AuditLog::RecordAdministration(const AdministrationRequest& request, const absl::Status& outcome) {
  if (!IsChange(request.words)) return;
  std::string detail = ShowCommand(request.words);
  // Why there is none would name it.
  if (detail != kUnknownCommand) detail += fmt::format(": {}", ShowOutcome(outcome));
  Record({.what = std::string(IsRefusal(outcome) ? kAdministrationRefused : kAdministration),
          .user = request.user,
          .address = request.peer,
          .detail = std::move(detail)});
}

}  // namespace bandb::server_program
