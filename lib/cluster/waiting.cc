#include "cluster/waiting.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

void EndUnknown(std::vector<ClientWritePtr>* writes, std::string_view why) {
  for (const ClientWritePtr& write : *writes) {
    write->Complete(base::Error(StatusCode::kUnknown, "the write was passed on, and its fate is not known: {}", why));
  }
  writes->clear();
}

}  // namespace

void Waiting::Add(raft::Term term, raft::Index index, std::vector<ClientWritePtr> writes) {
  BANDB_ASSERT(term != 0);
  BANDB_ASSERT(index != 0);
  if (!writes.empty()) by_index_.emplace(index, Place{.term = term, .writes = std::move(writes)});
}

std::vector<ClientWritePtr> Waiting::Applied(raft::Term term, raft::Index index,
                                             absl::Span<const CommandResult> results) {
  std::vector<ClientWritePtr> not_done;
  const auto add_not_done = [&not_done](Place* place) {
    std::copy_if(place->writes.begin(), place->writes.end(), std::back_inserter(not_done),
                 [](const ClientWritePtr& write) { return !write->ended(); });
  };
  while (!by_index_.empty() && by_index_.begin()->first <= index) {
    BANDB_ASSERT(by_index_.begin()->first == index);
    Place place = std::move(by_index_.begin()->second);
    by_index_.erase(by_index_.begin());
    if (place.term != term) {
      add_not_done(&place);
      continue;
    }
    // The same term and index is the same entry.
    BANDB_ASSERT(place.writes.size() == results.size());
    for (size_t i = 0; i < results.size(); ++i) {
      place.writes[i]->Complete(results[i].status, results[i].opened);
    }
  }
  if (term == applied_term_) return not_done;
  applied_term_ = term;
  // Terms never fall along the log: what comes after this entry is of no earlier one.
  for (auto at = by_index_.begin(); at != by_index_.end();) {
    if (at->second.term >= term) {
      ++at;
      continue;
    }
    add_not_done(&at->second);
    at = by_index_.erase(at);
  }
  return not_done;
}

void Waiting::Skipped(raft::Index index) {
  while (!by_index_.empty() && by_index_.begin()->first <= index) {
    Place place = std::move(by_index_.begin()->second);
    by_index_.erase(by_index_.begin());
    EndUnknown(&place.writes, "this node was given a later state of the database");
  }
}

void Waiting::Expire(int64_t now_nanos) {
  for (auto& [index, place] : by_index_) {
    for (const ClientWritePtr& write : place.writes) {
      if (write->content().deadline_nanos > now_nanos || write->ended()) continue;
      write->Complete(base::Error(StatusCode::kUnknown, "given up while it was being agreed on"));
    }
  }
}

void Waiting::GiveUp(std::string_view why) {
  for (auto& [index, place] : std::exchange(by_index_, {})) EndUnknown(&place.writes, why);
}

}  // namespace bandb::cluster
