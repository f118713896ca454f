#include "raft/scripted_node.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::raft {

absl::Status ScriptedNode::Start(const Options& options, Index applied, Nanos now) {
  BANDB_ASSERT(driver_ == nullptr);
  Restart restart;
  restart.hard_state = hard_state;
  restart.floor = floor;
  restart.applied = applied;
  for (const auto& [index, entry] : log) BANDB_RETURN_IF_ERROR(restart.AddEntry(entry));
  BANDB_ASSIGN_OR_RETURN(driver_, cluster::Driver::Create(options, restart, now, {this, this, this, this}));
  memory = log;
  handed_out = applied_ = applied;
  return absl::OkStatus();
}

void ScriptedNode::Crash() {
  driver_.reset();
  writes.clear();
  install.reset();
  fetches.clear();
  apply_fetch_.reset();
  posted_.clear();
}

void ScriptedNode::OnOutput(const Output& output) {
  hooks_.output(output);
  if (!output.committed.empty()) handed_out = output.committed.last;
}

void ScriptedNode::WriteLog(const LogWrite& write) {
  memory.erase(memory.lower_bound(write.entries.front().index), memory.end());
  for (const Entry& entry : write.entries) memory[entry.index] = entry;
  writes.emplace_back(write);
}

uint64_t ScriptedNode::PersistOne() {
  if (writes.empty()) return 0;
  const auto write = std::move(writes.front());
  writes.pop_front();
  uint64_t number = 0;
  if (const auto* hard = std::get_if<HardStateWrite>(&write); hard != nullptr) {
    BANDB_ASSERT(hard->state.term >= hard_state.term);
    number = hard->write;
    hard_state = hard->state;
    driver_->HardStateDurable(number);
  } else {
    const auto& entries = std::get<LogWrite>(write);
    number = entries.write;
    log.erase(log.lower_bound(entries.entries.front().index), log.end());
    for (const Entry& entry : entries.entries) log[entry.index] = entry;
    hard_state.commit = std::max(hard_state.commit, entries.commit);
    driver_->LogDurable(number, entries.term, entries.index);
  }
  driver_->SendReady();
  return number;
}

void ScriptedNode::FailWrites() {
  writes.clear();
  driver_->WriteFailed();
}

void ScriptedNode::FinishInstall(bool ok) {
  BANDB_ASSERT(install.has_value());
  const Index index = std::exchange(install, std::nullopt)->index;
  driver_->StateInstalled(ok);
  if (!ok) return;
  handed_out = applied_ = index;
  driver_->LogReset();
}

void ScriptedNode::Reset(const SnapshotMeta& snapshot) {
  std::erase_if(writes, [](const auto& write) { return std::holds_alternative<LogWrite>(write); });
  floor = snapshot;
  log.clear();
  memory.clear();
}

void ScriptedNode::Fetch(const raft::Fetch& fetch) {
  if (cluster::ApplyQueue::Owns(fetch.fetch)) {
    apply_fetch_ = fetch;
  } else {
    fetches.push_back(fetch);
  }
}

void ScriptedNode::Compact(Index index) {
  const std::optional<SnapshotMeta> meta = core().SnapshotAt(index);
  BANDB_ASSERT(meta.has_value());
  floor = *meta;
  log.erase(log.begin(), log.upper_bound(index));
  memory.erase(memory.begin(), memory.upper_bound(index));
}

Index ScriptedNode::ApplyAll() {
  for (Entries entries;;) {
    if (driver_->TakeReady(&entries)) {
      BANDB_ASSERT(entries.front().index == applied_ + 1);
      applied_ = entries.back().index;
      continue;
    }
    driver_->ContinueApply();
    if (!apply_fetch_.has_value()) return applied_;
    const raft::Fetch fetch = *std::exchange(apply_fetch_, std::nullopt);
    Entries read;
    for (Index i = fetch.first; i <= fetch.last; ++i) read.push_back(memory.at(i));
    driver_->Fetched(fetch.fetch, true, std::move(read));
  }
}

}  // namespace bandb::raft
