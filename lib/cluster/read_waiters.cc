#include "cluster/read_waiters.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::cluster {

namespace {

bool HasDeadline(const ClientRead& read) { return read.deadline_nanos != base::kForever; }

}  // namespace

void ReadWaiters::Add(ClientRead read) {
  with_deadline_ += HasDeadline(read) ? 1 : 0;
  waiting_.push_back(std::move(read));
}

std::optional<uint64_t> ReadWaiters::Ask(raft::Index entry) {
  if (!HasQuestion()) return std::nullopt;
  asked_.emplace(++last_id_, Question{.entry = entry, .group = std::exchange(waiting_, {})});
  return last_id_;
}

void ReadWaiters::Refused(uint64_t id) {
  const auto asked = asked_.find(id);
  BANDB_ASSERT(asked != asked_.end());
  Group group = std::move(asked->second.group);
  asked_.erase(asked);
  WaitAgain(std::move(group));
  may_ask_ = false;
}

void ReadWaiters::Answered(const raft::ReadResult& result, raft::Index applied) {
  const auto asked = asked_.find(result.id);
  if (asked == asked_.end()) return;
  if (result.code != absl::StatusCode::kOk) {
    Refused(result.id);
    // By a node that does not lead any more; another may lead now.
    may_ask_ = true;
    return;
  }
  by_index_.emplace(std::max(result.index, asked->second.entry), std::move(asked->second.group));
  asked_.erase(asked);
  // There is room for another question, if that is what it was refused for.
  may_ask_ = true;
  AppliedTo(applied);
}

void ReadWaiters::AppliedTo(raft::Index applied) {
  while (!by_index_.empty() && by_index_.begin()->first <= applied) {
    Group group = std::move(by_index_.begin()->second);
    by_index_.erase(by_index_.begin());
    End(&group, absl::OkStatus());
  }
}

void ReadWaiters::ForgetEntries() {
  for (auto& [id, question] : asked_) question.entry = 0;
  for (auto& [index, group] : std::exchange(by_index_, {})) WaitAgain(std::move(group));
}

void ReadWaiters::WaitAgain(Group group) {
  waiting_.insert(waiting_.begin(), std::make_move_iterator(group.begin()), std::make_move_iterator(group.end()));
}

void ReadWaiters::End(Group* group, const absl::Status& status) {
  for (ClientRead& read : std::exchange(*group, {})) {
    with_deadline_ -= HasDeadline(read) ? 1 : 0;
    std::move(read.done)(status);
  }
}

void ReadWaiters::ExpireIn(Group* group, int64_t now_nanos, const absl::Status& status) {
  const auto late = std::stable_partition(group->begin(), group->end(),
                                          [=](const ClientRead& read) { return read.deadline_nanos > now_nanos; });
  Group ended(std::make_move_iterator(late), std::make_move_iterator(group->end()));
  group->erase(late, group->end());
  End(&ended, status);
}

void ReadWaiters::Expire(int64_t now_nanos, std::string_view why) {
  const absl::Status status = base::Error(absl::StatusCode::kDeadlineExceeded, "{}", why);
  ExpireIn(&waiting_, now_nanos, status);
  for (auto& [id, question] : asked_) ExpireIn(&question.group, now_nanos, status);
  for (auto& [index, group] : by_index_) ExpireIn(&group, now_nanos, status);
}

void ReadWaiters::FailAll(const absl::Status& status) {
  End(&waiting_, status);
  for (auto& [id, question] : std::exchange(asked_, {})) End(&question.group, status);
  for (auto& [index, group] : std::exchange(by_index_, {})) End(&group, status);
}

}  // namespace bandb::cluster
