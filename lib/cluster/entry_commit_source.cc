#include "cluster/entry_commit_source.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "cluster/log_fetch.h"
#include "storage/file/refused_read.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

}  // namespace

absl::Status GoneError(const ChangeIndex& index, changes::ChangePlace place) {
  BANDB_ASSIGN_OR_RETURN(const ChangeBound oldest, index.Oldest());
  place.sequence = oldest.sequence;
  return base::Error(StatusCode::kOutOfRange, "what comes next is not kept any more; the oldest token is {}",
                     changes::TokenText(changes::EncodeToken(place)));
}

absl::StatusOr<bool> EntryCommitSource::Next(changes::LoggedCommit* commit) {
  while (true) {
    if (fetched_at_ == fetched_.size()) {
      BANDB_ASSIGN_OR_RETURN(const bool more, Fill());
      if (!more) return false;
    }
    BANDB_ASSIGN_OR_RETURN(const bool found, Take(commit));
    if (found) return true;
  }
}

absl::StatusOr<bool> EntryCommitSource::Take(changes::LoggedCommit* commit) {
  const raft::Entry& entry = fetched_[fetched_at_++];
  const ChangeEntry& known = known_[taken_++];
  BANDB_ASSERT(entry.index == known.end.index);
  BANDB_ASSERT(entry.index == after_ + 1);
  commit->first_sequence = place_.sequence + 1;
  commit->last_sequence = place_.sequence = known.end.sequence;
  commit->commit_time_ms = known.end.time_ms;
  after_ = entry.index;
  if (entry.kind != raft::EntryKind::kData) return false;
  if (!DecodeCommands(entry.payload.bytes(), &decoded_)) {
    return base::Error(StatusCode::kDataLoss, "entry {} of the log holds no commands", entry.index);
  }
  commit->ahead_ms = decoded_.ahead_ms;
  std::string_view operations;
  size_t with_effect = 0;
  operations_.clear();
  for (size_t i = 0; i < decoded_.commands.size(); ++i) {
    const Command& command = decoded_.commands[i];
    if (command.kind != CommandKind::kWrite || command.operations.empty() || known.IsUndone(i)) continue;
    // One alone is given where it lies.
    if (with_effect == 1) operations_ = operations;
    operations = command.operations;
    if (++with_effect > 1) operations_.append(operations);
  }
  commit->operations = with_effect == 1 ? operations : operations_;
  return with_effect != 0;
}

absl::StatusOr<bool> EntryCommitSource::Fill() {
  storage::Engine* const engine = gate_->Enter();
  if (engine == nullptr) return storage::ClosedError();
  absl::StatusOr<bool> filled = FillFrom();
  CountHeld();
  engine->Leave();
  return filled;
}

absl::StatusOr<bool> EntryCommitSource::FillFrom() {
  fetched_.clear();
  fetched_at_ = 0;
  while (true) {
    if (taken_ == known_.size()) {
      known_.clear();
      taken_ = 0;
      // Before it is looked at how far there is something: nothing comes after the end.
      const bool ended = index_->ended();
      if (index_->applied().sequence <= place_.sequence) {
        Release();
        return ended ? absl::StatusOr<bool>(storage::ClosedError()) : false;
      }
      const absl::Status located = Locate();
      if (located.code() == StatusCode::kOutOfRange) {
        BANDB_RETURN_IF_ERROR(PassOver());
        continue;
      }
      BANDB_RETURN_IF_ERROR(storage::ForReader(storage::MustBeThere(located)));
    }
    // Those that did nothing for a user need not be read.
    for (; taken_ < known_.size(); ++taken_) {
      const ChangeBound& end = known_[taken_].end;
      if (end.sequence != place_.sequence && end.sequence == end.user_sequence) break;
      after_ = end.index;
      place_.sequence = end.sequence;
    }
    if (taken_ == known_.size()) continue;
    const absl::Status fetched = FetchSome();
    if (fetched.ok()) return true;
    if (fetched.code() != StatusCode::kOutOfRange) return fetched;
    known_.clear();
    taken_ = 0;
    BANDB_RETURN_IF_ERROR(PassOver());
  }
}

absl::Status EntryCommitSource::Locate() {
  if (after_ != 0) {
    absl::StatusOr<ChangeStretch> next = index_->AfterIndex(after_, &spot_);
    if (next.ok() && next->before.index == after_ && next->before.sequence == place_.sequence) {
      known_ = std::move(next->entries);
      return absl::OkStatus();
    }
    if (!next.ok() && next.status().code() != StatusCode::kOutOfRange) return next.status();
  }
  // Another state may have taken the place of the one that led here, and the log of it may go on
  // from this place.
  BANDB_ASSIGN_OR_RETURN(ChangeStretch next, index_->AfterSequence(place_.sequence, &spot_));
  if (next.before.sequence > place_.sequence) {
    return base::Error(StatusCode::kOutOfRange, "what comes next is not kept any more");
  }
  if (next.before.sequence < place_.sequence) {
    return base::Error(StatusCode::kInvalidArgument, "the token names a place inside a commit");
  }
  after_ = next.before.index;
  known_ = std::move(next.entries);
  return absl::OkStatus();
}

absl::Status EntryCommitSource::PassOver() {
  BANDB_ASSIGN_OR_RETURN(const ChangeBound oldest, index_->Oldest());
  const bool misses_nothing = place_.sequence >= oldest.user_sequence && place_.sequence <= oldest.sequence;
  if (!misses_nothing || oldest.index <= after_) return GoneError(*index_, place_);
  place_.sequence = oldest.sequence;
  after_ = oldest.index;
  return absl::OkStatus();
}

absl::Status EntryCommitSource::FetchSome() {
  std::vector<EntryPlace> places;
  uint64_t bytes = 0;
  for (size_t i = taken_; i < known_.size(); ++i) {
    bytes += known_[i].place.record_bytes;
    if (!places.empty() && bytes > kFetchBytes) break;
    places.push_back(known_[i].place);
  }
  const raft::Index first = known_[taken_].end.index;
  // Segments that the log lets go are moved, one after the other.
  const auto path_of = [this](uint64_t segment, bool second) { return kept_->PathOf(segment, second); };
  absl::StatusOr<raft::Entries> entries = FetchEntriesFrom(index_->directory().files, path_of, first, places);
  if (entries.ok()) {
    fetched_ = *std::move(entries);
    return absl::OkStatus();
  }
  if (index_->IsGone(first)) return GoneError(*index_, place_);
  return storage::ForReader(storage::MustBeThere(entries.status()));
}

void EntryCommitSource::Release() {
  fetched_ = {};
  known_ = {};
  operations_ = {};
  decoded_ = {};
  fetched_at_ = taken_ = 0;
  CountHeld();
}

void EntryCommitSource::CountHeld() {
  uint64_t held = known_.capacity() * sizeof(ChangeEntry);
  for (const raft::Entry& entry : fetched_) held += raft::CostBytes(entry);
  gate_->held_bytes.fetch_add(held - held_bytes_, std::memory_order_relaxed);
  held_bytes_ = held;
}

absl::Status EntryCommitSource::Wait(int64_t* nanos) {
  storage::Engine* const engine = gate_->Enter();
  if (engine == nullptr) return storage::ClosedError();
  const int64_t passed = *nanos == 0 ? 0 : WaitFor(engine->env(), *nanos);
  engine->Leave();
  if (*nanos != base::kForever) *nanos -= std::min(*nanos, passed);
  return absl::OkStatus();
}

int64_t EntryCommitSource::Await(internal::ChangeListener* listener) {
  Forget();
  listener_ = listener;
  index_->news.Add(listener);
  if (index_->applied_sequence() <= place_.sequence && !index_->ended()) return base::kForever;
  Forget();
  return 0;
}

void EntryCommitSource::Forget() {
  if (listener_ != nullptr) index_->news.Remove(std::exchange(listener_, nullptr));
}

int64_t EntryCommitSource::WaitFor(const base::Env& env, int64_t nanos) {
  const int64_t begin_nanos = env.clock->MonotonicNanos();
  base::Event event;
  index_->news.Add(&event);
  if (index_->applied_sequence() <= place_.sequence && !index_->ended()) env.executor->Wait(&event, nanos);
  index_->news.Remove(&event);
  return env.clock->MonotonicNanos() - begin_nanos;
}

}  // namespace bandb::cluster
