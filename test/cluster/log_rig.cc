#include "cluster/log_rig.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "raft/types/configuration_codec.h"
#include "support/catch.h"

namespace bandb::cluster {

storage::Uuid RigDatabase() {
  storage::Uuid id;
  id.bytes.fill('d');
  return id;
}

raft::Entry MakeEntry(raft::Index index, raft::Term term, std::string_view payload) {
  return {.term = term, .index = index, .payload = raft::Payload(payload)};
}

raft::Entry MakeConfigurationEntry(raft::Index index, raft::Term term, std::vector<raft::NodeId> voters) {
  raft::Configuration configuration = raft::MakeConfiguration(voters);
  configuration.index = index;
  configuration.version = index + 1;
  std::string bytes;
  raft::EncodeConfiguration(configuration, &bytes);
  raft::Entry entry = MakeEntry(index, term, bytes);
  entry.kind = raft::EntryKind::kConfiguration;
  return entry;
}

SingleLogOptions LogWorld::options() {
  SingleLogOptions options;
  options.directory = {.files = &env_.files(), .path = "node/log", .database_id = RigDatabase()};
  options.executor = &env_.executor();
  options.clock = &env_.clock();
  options.random = &env_.random();
  options.logger = &env_.logger();
  options.post = [this](base::Task task) { turns_.push_back(std::move(task)); };
  options.segment_bytes = kRigSegmentBytes;
  return options;
}

size_t LogWorld::RunTurns() {
  size_t ran = 0;
  for (; !turns_.empty(); ++ran) {
    base::Task task = std::move(turns_.front());
    turns_.pop_front();
    std::move(task)();
  }
  return ran;
}

void LogWorld::RunAll() {
  do {
    env_.executor().RunReady();
  } while (RunTurns() > 0);
}

void LogWorld::RunFor(int64_t nanos) {
  env_.executor().RunFor(nanos);
  RunAll();
}

raft::Term PlainLog::TermAt(raft::Index index) const {
  if (index == floor) return floor_term;
  const auto at = entries.find(index);
  return at == entries.end() ? UINT64_MAX : at->second.term;
}

PlainLog PlainLog::After(raft::Index index) const {
  if (index <= floor) return *this;
  PlainLog rest{.floor = index, .floor_term = TermAt(index), .entries = entries};
  rest.entries.erase(rest.entries.begin(), rest.entries.upper_bound(index));
  return rest;
}

PlainLog ReadBack(LogWorld* world, SingleLog* log, RecordingListener* listener) {
  const raft::Restart& restart = log->restart();
  PlainLog plain{.floor = restart.floor.index, .floor_term = restart.floor.term, .entries = {}};
  log->SetListener(listener);
  uint64_t fetch = 1'000'000;
  for (raft::Index next = log->floor() + 1; next <= log->last(); ++fetch) {
    log->Fetch({.fetch = fetch, .first = next, .last = log->last(), .bytes_max = 2000});
    world->RunAll();
    REQUIRE(listener->fetched.count(fetch) == 1);
    REQUIRE(listener->fetched[fetch].has_value());
    REQUIRE(!listener->fetched[fetch]->empty());
    for (const raft::Entry& entry : *listener->fetched[fetch]) {
      REQUIRE(entry.index == next);
      plain.entries[next++] = entry;
    }
  }
  return plain;
}

void LogHistory::HardState(const raft::HardState& state) {
  states_.push_back(states_.back());
  states_.back().hard_state = state;
}

void LogHistory::Truncate(raft::Index index) {
  if (index >= now().log.last()) return;
  states_.push_back(states_.back());
  states_.back().log.TruncateAfter(index);
}

void LogHistory::Append(const raft::Entry& entry) {
  Truncate(entry.index - 1);
  states_.push_back(states_.back());
  states_.back().log.entries[entry.index] = entry;
}

void LogHistory::Reset(const raft::SnapshotMeta& floor) {
  states_.push_back(states_.back());
  states_.back().log = PlainLog{.floor = floor.index, .floor_term = floor.term, .entries = {}};
}

std::string LogHistory::Check(const PlainLog& log, const raft::HardState& hard_state) const {
  const PlainLog emptied{.floor = applied_.index, .floor_term = applied_.term, .entries = {}};
  bool hard_state_fits = false;
  for (size_t i = durable_; i < states_.size(); ++i) {
    const State& state = states_[i];
    if (state.hard_state.term != hard_state.term || state.hard_state.vote != hard_state.vote) continue;
    hard_state_fits = true;
    // Begins later if some of it was deleted, and is emptied where it lags the state machine.
    if (log == state.log.After(log.floor)) return {};
    if (log == emptied && state.log.TermAt(applied_.index) != applied_.term) return {};
  }
  return fmt::format("{} after step {} of {}: log after {} (term {}) up to {}, term {}, vote {}",
                     hard_state_fits ? "another log" : "another hard state", durable_, steps(), log.floor,
                     log.floor_term, log.last(), hard_state.term, hard_state.vote);
}

}  // namespace bandb::cluster
