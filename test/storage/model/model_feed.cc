#include "storage/model/model_feed.h"

#include <utility>

#include "base/status.h"
#include "support/catch.h"

namespace bandb::test {

void ApplyChange(const Change& change, ModelState* state) {
  switch (change.kind) {
    case ChangeKind::kPut: {
      const bool expires = change.expiry != absl::InfiniteFuture();
      const auto expiry_ms = static_cast<uint64_t>(expires ? absl::ToUnixMillis(change.expiry) : 0);
      (*state)[std::string(change.key)] = {std::string(change.value), expires ? expiry_ms : ModelValue::kNever};
      return;
    }
    case ChangeKind::kDelete:
      state->erase(std::string(change.key));
      return;
    case ChangeKind::kDeleteRange:
      if (change.key >= change.limit) return;
      state->erase(state->lower_bound(std::string(change.key)), state->lower_bound(std::string(change.limit)));
  }
}

absl::Status CheckFeed(Db* db, const ModelEntries& found, uint64_t now_ms) {
  ChangesOptions options;
  options.from = ChangesFrom::Oldest();
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<ChangeReader> reader, db->ReadChanges(options));
  ModelState state;
  Commit commit;
  for (uint64_t next = 1;; next = commit.last_sequence + 1) {
    BANDB_RETURN_IF_ERROR(reader->Next(&commit, absl::ZeroDuration()));
    if (commit.empty()) break;
    if (commit.first_sequence != next) {
      return base::Error(absl::StatusCode::kInternal, "it goes on with {}, not {}", commit.first_sequence, next);
    }
    for (const Change& change : commit.changes) ApplyChange(change, &state);
  }
  const ModelEntries made = Visible(state, now_ms);
  if (made == found) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInternal, "{}", Difference(made, found));
}

void ModelFeed::Interrupted(bool power_lost) {
  reader_.reset();
  power_lost_ |= power_lost;
}

void ModelFeed::CheckGone(Db* db, const absl::Status& status) {
  REQUIRE_CODE(status, kOutOfRange);
  INFO("after " << sequence_ << ": " << status.ToString());
  REQUIRE(db->GetStats().oldest_change > sequence_ + 1);
  ++counts_->trimmed;
}

bool ModelFeed::Resume(Db* db) {
  if (token_.empty()) return false;
  ChangesOptions options;
  options.undurable = undurable_;
  const bool by_cursor = !cursor_.empty() && random_->OneIn(2);
  options.from = by_cursor ? ChangesFrom::Cursor(cursor_) : ChangesFrom::Token(token_);
  auto reader = db->ReadChanges(options);
  // Only one that was ahead of what survives can be on a lost branch.
  if (absl::IsFailedPrecondition(reader.status())) {
    REQUIRE(undurable_);
    REQUIRE(power_lost_);
    ++counts_->diverged;
    return false;
  }
  if (by_cursor && absl::IsOutOfRange(reader.status())) {
    REQUIRE(db->GetStats().lost_cursors == 1);
    ++counts_->trimmed;
    return false;
  }
  if (!reader.ok()) {
    CheckGone(db, reader.status());
    return false;
  }
  reader_ = *std::move(reader);
  // A cursor may have gone back to what was written down of it.
  sequence_ = by_cursor ? 0 : sequence_;
  power_lost_ = false;
  ++counts_->resumed;
  return true;
}

void ModelFeed::Restart(Db* db, const ModelState& present) {
  // Where no logs are kept, the changes of a snapshot may be gone before it can be used: while the
  // cursor is written, a memtable may be flushed.
  while (true) {
    if (!cursor_.empty()) {
      const absl::Status dropped = db->DropCursor(cursor_);
      if (!absl::IsNotFound(dropped)) REQUIRE_OK(dropped);
    }
    const Snapshot snapshot = db->GetSnapshot();
    ChangesOptions options;
    options.undurable = undurable_;
    options.from = ChangesFrom::Snapshot(snapshot);
    if (!cursor_.empty()) REQUIRE_OK(db->CreateCursor(cursor_, options.from));
    auto reader = db->ReadChanges(options);
    if (absl::IsOutOfRange(reader.status())) continue;
    REQUIRE_OK(reader.status());
    reader_ = *std::move(reader);
    break;
  }
  state_ = present;
  sequence_ = 0;
  power_lost_ = false;
}

bool ModelFeed::ReadAll(Db* db) {
  Commit commit;
  while (true) {
    const absl::Status status = reader_->Next(&commit, absl::ZeroDuration());
    if (!status.ok()) {
      CheckGone(db, status);
      return false;
    }
    REQUIRE(commit.last_sequence >= sequence_);
    if (!commit.empty() && sequence_ != 0) REQUIRE(commit.first_sequence > sequence_);
    sequence_ = commit.last_sequence;
    token_ = reader_->token();
    if (commit.empty()) return true;
    ++counts_->commits;
    for (const Change& change : commit.changes) ApplyChange(change, &state_);
    if (!cursor_.empty() && random_->OneIn(4)) {
      const absl::Status acknowledged = db->Acknowledge(cursor_, token_);
      if (absl::IsOutOfRange(acknowledged))
        REQUIRE(db->GetStats().lost_cursors == 1);
      else
        REQUIRE_OK(acknowledged);
    }
  }
}

void ModelFeed::Follow(Db* db, const ModelState& present, uint64_t now_ms, bool complete) {
  INFO((undurable_ ? "a feed at once" : "a feed of what is durable") << ", after " << sequence_);
  if (reader_ == nullptr && !Resume(db)) Restart(db, present);
  if (!ReadAll(db)) {
    Restart(db, present);
    REQUIRE(ReadAll(db));
  }
  if (!complete) return;
  const ModelEntries found = Visible(state_, now_ms);
  const ModelEntries expected = Visible(present, now_ms);
  if (found != expected) FAIL(Difference(found, expected));
}

}  // namespace bandb::test
