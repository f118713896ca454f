#include "cluster/join.h"

#include <algorithm>

#include "base/status.h"
#include "cluster/node_directory.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

constexpr int64_t kAgainNanos = 300'000'000;

}  // namespace

JoinTask::JoinTask(const Parts& parts, std::vector<std::string> addresses, const JoinRequest& request)
    : parts_(parts),
      addresses_(std::move(addresses)),
      request_(EncodeJoinRequest(request)),
      host_(parts.loop.get()),
      joiner_({.cluster = 0, .node = request.node, .incarnation = DrawId(parts.env.random), .versions = {}}, {},
              {.loop = parts.loop,
               .resolver = parts.resolver,
               .host = &host_,
               .executor = parts.env.executor,
               .logger = parts.env.logger,
               .protocol = nullptr},
              parts.env.random->Fork()) {
  Ask();
}

JoinTask::~JoinTask() {
  if (timer_ != base::kNoTimer) parts_.loop->Cancel(timer_);
}

void JoinTask::Ask() {
  timer_ = base::kNoTimer;
  // Each time another one comes first: a node that answers that it cannot let anybody in, as a node
  // does that was removed itself, must not be the only one that is ever asked.
  std::vector<std::string> addresses = addresses_;
  if (!addresses.empty()) {
    std::rotate(addresses.begin(), addresses.begin() + static_cast<ptrdiff_t>(asked_++ % addresses.size()),
                addresses.end());
  }
  joiner_.Ask(std::move(addresses), request_, [this](const absl::StatusOr<Joiner::Answer>& answer) { Take(answer); });
}

void JoinTask::Take(const absl::StatusOr<Joiner::Answer>& answer) {
  JoinAnswer decoded;
  if (!answer.ok()) {
    status_ = answer.status();
  } else if (!DecodeJoinAnswer(answer->bytes, &decoded)) {
    status_ = base::Error(StatusCode::kInternal, "a malformed answer");
  } else {
    status_ = decoded.status;
  }
  const bool taken = status_.ok() && decoded.database_id.size() == database_id_.bytes.size();
  if (taken) {
    std::copy(decoded.database_id.begin(), decoded.database_id.end(), database_id_.bytes.begin());
    cluster_ = answer->cluster;
  }
  // No leader, no majority, nobody there: that passes, and asking twice does no harm.
  const StatusCode code = status_.code();
  if (code == StatusCode::kUnavailable || code == StatusCode::kUnknown || code == StatusCode::kFailedPrecondition) {
    if (log_budget_.Spend(parts_.loop->NowNanos())) {
      const uint64_t left_out = log_budget_.TakeLeftOut();
      const std::string more = left_out == 0 ? "" : fmt::format(" ({} lines left out)", left_out);
      parts_.env.logger->Log(base::LogLevel::kWarning, "not let in yet: {}{}", base::Message(status_), more);
    }
    timer_ = parts_.loop->After(kAgainNanos, [this] { Ask(); });
    return;
  }
  if (!taken && status_.ok()) status_ = base::Error(StatusCode::kInternal, "a malformed answer");
  // To the person who starts a node kPermissionDenied says something of the operating system.
  if (code == StatusCode::kPermissionDenied)
    status_ = base::Error(StatusCode::kFailedPrecondition, "{}", base::Message(status_));
  status_ = base::Annotate(status_, "the cluster does not let this node in");
  ended_ = true;
}

absl::Status JoinTask::TimedOut() const {
  return base::Error(StatusCode::kDeadlineExceeded, "not let in in time: {}", base::Message(status_));
}

}  // namespace bandb::cluster
