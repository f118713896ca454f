#include "support/fault_plan.h"

#include <algorithm>
#include <cerrno>

#include "base/status.h"

namespace bandb::test {

namespace {

constexpr size_t kLogLinesMax = 20'000;

int ErrorNumber(FaultKind kind) {
  switch (kind) {
    case FaultKind::kNoSpace:
      return ENOSPC;
    case FaultKind::kNoAccess:
      return EACCES;
    case FaultKind::kNoDescriptor:
      return EMFILE;
    case FaultKind::kGone:
      return ENOENT;
    case FaultKind::kIoError:
      break;
  }
  return EIO;
}

}  // namespace

std::string_view FileCallName(FileCall call) {
  constexpr std::string_view kNames[] = {"open",    "read",   "list",   "file size", "exists",  "free bytes", "pin",
                                         "create",  "dirs",   "rename", "link",      "remove",  "remove dir", "lock",
                                         "reserve", "append", "close",  "sync",      "sync dir"};
  static_assert(std::size(kNames) == kFileCalls);
  return kNames[static_cast<size_t>(call)];
}

bool Matches(std::string_view pattern, std::string_view text) {
  // Where to go on if the last star has to take one character more.
  size_t star = std::string_view::npos;
  size_t star_text = 0;
  size_t p = 0;
  size_t t = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool FaultPlan::Fires(Armed* armed, FileCall call, std::string_view path) const {
  const Fault& fault = armed->fault;
  if (!fault.calls.empty() && std::find(fault.calls.begin(), fault.calls.end(), call) == fault.calls.end())
    return false;
  if (!Matches(fault.pattern, path)) return false;
  const uint64_t number = armed->seen++;
  return number >= fault.skip && number - fault.skip < fault.count;
}

absl::Status FaultPlan::Begin(FileCall call, std::string_view path, std::string_view detail) {
  ++calls_;
  if (Changes(call)) ++mutations_;
  if (mutations_ >= stop_at_) stopped_ = true;
  std::string line = fmt::format("{:5} {:5} {} {}{}{}", calls_, mutations_, FileCallName(call), path,
                                 detail.empty() ? "" : " ", detail);
  absl::Status status;
  if (stopped_) {
    status = base::Error(absl::StatusCode::kInternal, "{}: {}: crashed", path, FileCallName(call));
    line += " -> crashed";
  } else {
    for (Armed& armed : faults_) {
      // Every rule counts every call, whichever of them fires.
      if (!Fires(&armed, call, path) || !status.ok()) continue;
      status = base::ErrnoStatus(ErrorNumber(armed.fault.kind), fmt::format("{}: {}", path, FileCallName(call)));
      ++failures_;
      line += " -> failed";
    }
  }
  log_.push_back(std::move(line));
  if (log_.size() > kLogLinesMax) log_.pop_front();
  return status;
}

bool FaultPlan::IgnoresSync(FileCall call, std::string_view path, Unsynced unsynced) {
  syncs_.push_back(SyncCall{syncs_.size() + 1, call, std::string(path), unsynced});
  const bool ignores =
      syncs_.size() == ignored_number_ || std::any_of(ignored_.begin(), ignored_.end(), [&](const IgnoredSyncs& rule) {
        return rule.call == call && Matches(rule.pattern, path);
      });
  if (ignores) {
    ++syncs_ignored_;
    log_.back() += " -> ignored";
  }
  return ignores;
}

std::string FaultPlan::LogText() const {
  std::string text;
  for (const std::string& line : log_) {
    text += line;
    text += '\n';
  }
  return text;
}

}  // namespace bandb::test
