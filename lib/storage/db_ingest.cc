#include "storage/db_ingest.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/coding.h"
#include "base/escape.h"
#include "base/status.h"
#include "kv/limits.h"
#include "storage/read/level_cursor.h"

namespace bandb::storage {

namespace {

// So many sequences are left to others at first: the work of a minute, and so few that 2^30 ingests
// use up what there is for them. Where that was too little for what is written meanwhile, it is so
// many times as much.
constexpr Sequence kGap = Sequence{1} << 24;
constexpr int kGapGrowthBits = 4;

// Between two looks at whether the database is being closed.
constexpr uint64_t kStepBytes = 1 << 20;
constexpr uint32_t kReadaheadBytes = 512 << 10;
constexpr size_t kNamedKeyBytesMax = 64;

uint64_t ExpiryMillis(absl::Time expiry) {
  // A time before 1970 has passed just the same.
  const absl::Duration since = std::max(expiry - absl::UnixEpoch(), absl::ZeroDuration());
  return static_cast<uint64_t>(absl::ToInt64Milliseconds(absl::Ceil(since, absl::Milliseconds(1))));
}

// A walk that is taken once, from the first entry to the last.
class OneWayCursor : public Cursor {
 public:
  void SeekToFirst() override { Next(); }
  void SeekToLast() override { BANDB_UNREACHABLE(); }
  void Seek(std::string_view /*internal_key*/) override { BANDB_UNREACHABLE(); }
  void SeekForPrev(std::string_view /*internal_key*/) override { BANDB_UNREACHABLE(); }
  void Prev() override { BANDB_UNREACHABLE(); }
};

// The entries that a source gives, with sequences from `first` on.
class SourceCursor final : public OneWayCursor {
 public:
  // Adds keys and values up in `user_bytes`. Lifetime: borrows it.
  SourceCursor(IngestSource next, const kv::WriteLimits& limits, Sequence first, uint64_t* user_bytes)
      : next_(next), limits_(limits), sequence_(first), user_bytes_(user_bytes) {}

  void Next() override {
    StandNowhere();
    IngestEntry entry;
    const absl::StatusOr<bool> more = next_(&entry);
    status_ = more.ok() && *more ? Check(entry) : more.status();
    if (!status_.ok() || !*more) return;
    const bool expires = entry.expiry != absl::InfiniteFuture();
    *user_bytes_ += entry.key.size() + entry.value.size();
    key_.assign(1, static_cast<char>(Space::kUser));
    key_.append(entry.key);
    base::PutFixed64(&key_, MakeTrailer(sequence_++, expires ? Kind::kPutWithExpiry : Kind::kPut));
    value_ = entry.value;
    if (expires) {
      with_expiry_.clear();
      base::PutFixed64(&with_expiry_, ExpiryMillis(entry.expiry));
      with_expiry_.append(entry.value);
      value_ = with_expiry_;
    }
    StandAt(key_);
  }
  std::string_view value() const override { return value_; }
  absl::Status status() const override { return status_; }

 private:
  absl::Status Check(const IngestEntry& entry) const {
    BANDB_RETURN_IF_ERROR(kv::CheckKey(limits_, entry.key.size()));
    BANDB_RETURN_IF_ERROR(kv::CheckValue(limits_, entry.value.size()));
    if (key_.empty()) return absl::OkStatus();
    const int order = entry.key.compare(UserKey(SpacedKey(key_)));
    if (order > 0) return absl::OkStatus();
    return base::Error(
        absl::StatusCode::kInvalidArgument, "what is ingested must be in the order of its keys: \"{}\" {}",
        base::Escape(entry.key, kNamedKeyBytesMax), order == 0 ? "comes twice" : "comes after a greater one");
  }

  const IngestSource next_;
  const kv::WriteLimits limits_;
  Sequence sequence_;
  uint64_t* const user_bytes_;
  std::string key_;
  std::string with_expiry_;
  std::string_view value_;
  absl::Status status_;
};

// The entries of tables, with other sequences, from `first` on.
class LaterCursor final : public OneWayCursor {
 public:
  // Lifetime: borrows the tables.
  LaterCursor(const std::vector<TablePtr>* tables, Sequence first)
      : entries_(NewLevelCursor(tables, {.fill_cache = false, .readahead_bytes = kReadaheadBytes})), sequence_(first) {}

  void Next() override {
    if (Valid()) {
      entries_->Next();
    } else {
      entries_->SeekToFirst();
    }
    StandNowhere();
    if (!entries_->Valid()) return;
    key_.assign(SpacedKey(entries_->key()));
    base::PutFixed64(&key_, MakeTrailer(sequence_++, TrailerKind(Trailer(entries_->key()))));
    StandAt(key_);
  }
  std::string_view value() const override { return entries_->value(); }
  absl::Status status() const override { return entries_->status(); }

 private:
  const std::unique_ptr<Cursor> entries_;
  Sequence sequence_;
  std::string key_;
};

class TableIngest {
 public:
  TableIngest(Engine* engine, const IngestOptions& options) : engine_(engine), ingest_(engine), options_(options) {}
  // What did not become part of the database is removed.
  ~TableIngest() { LetGo(); }
  TableIngest(const TableIngest&) = delete;
  TableIngest& operator=(const TableIngest&) = delete;

  // The first entry gets the first sequence after `gap` others. Errors: as Db::Ingest.
  absl::Status Write(IngestSource next, Sequence gap) {
    BANDB_ASSIGN_OR_RETURN(const Sequence first, ingest_.Reserve(gap));
    return WriteFrom(std::make_unique<SourceCursor>(next, engine_->limits(), first, &user_bytes_));
  }
  // The same entries once more.
  absl::Status WriteLater(Sequence gap) {
    BANDB_ASSIGN_OR_RETURN(const Sequence first, ingest_.Reserve(gap));
    return WriteFrom(std::make_unique<LaterCursor>(&tables_, first));
  }
  bool empty() const { return tables_.empty(); }
  Sequence first_sequence() const { return tables_.front()->info().smallest_sequence; }
  Sequence last_sequence() const { return tables_.back()->info().largest_sequence; }

  // `*is_late` is set if they have to be written once more.
  absl::Status Commit(const std::function<absl::Status(IngestCommit*)>& commit, bool* is_late) {
    IngestCommit request;
    request.tables = tables_;
    request.user_bytes = user_bytes_;
    request.options = options_;
    for (const TablePtr& table : tables_) request.operations += table->info().entries;
    const absl::Status done = commit(&request);
    *is_late = request.is_late;
    owns_tables_ = !request.is_applied;
    return done;
  }

 private:
  absl::StatusOr<std::vector<TableInfo>> WriteAll(std::unique_ptr<Cursor> entries) {
    MergeInputs inputs;
    inputs.cursor = std::move(entries);
    TableMerge merge(std::move(inputs), ingest_.Outputs());
    while (true) {
      BANDB_RETURN_IF_ERROR(ingest_.Check(options_));
      BANDB_ASSIGN_OR_RETURN(const bool done, merge.Step(kStepBytes));
      if (done) return merge.TakeTables();
    }
  }
  absl::Status WriteFrom(std::unique_ptr<Cursor> entries) {
    BANDB_ASSIGN_OR_RETURN(std::vector<TableInfo> written, WriteAll(std::move(entries)));
    LetGo();
    tables_ = ingest_.TablesOf(std::move(written));
    owns_tables_ = true;
    return absl::OkStatus();
  }
  void LetGo() {
    if (!owns_tables_) return;
    for (const TablePtr& table : tables_) table->MarkObsolete();
  }

  Engine* const engine_;
  EngineIngest ingest_;
  const IngestOptions options_;
  uint64_t user_bytes_ = 0;
  std::vector<TablePtr> tables_;
  bool owns_tables_ = false;
};

// Keeps the engine from closing.
class Stay {
 public:
  explicit Stay(Engine* engine) : engine_(engine) {}
  ~Stay() { engine_->Leave(); }
  Stay(const Stay&) = delete;
  Stay& operator=(const Stay&) = delete;

 private:
  Engine* const engine_;
};

}  // namespace

absl::StatusOr<uint64_t> IngestTables(Engine* engine, IngestTurn* turn, IngestSource next, const IngestOptions& options,
                                      const std::function<absl::Status(IngestCommit*)>& commit) {
  if (!engine->Enter()) return ClosedError();
  const Stay stay(engine);
  TableIngest ingest(engine, options);
  Sequence gap = kGap;
  BANDB_RETURN_IF_ERROR(ingest.Write(next, gap));
  if (ingest.empty()) return 0;
  base::MutexLock lock(&turn->mutex);
  while (true) {
    bool is_late = false;
    const absl::Status done = ingest.Commit(commit, &is_late);
    if (done.ok()) return turn->last_sequence = ingest.last_sequence();
    if (!is_late) return done;
    // Only what others write can be ahead of it once more.
    if (turn->last_sequence < ingest.first_sequence()) gap <<= kGapGrowthBits;
    BANDB_RETURN_IF_ERROR(ingest.WriteLater(gap));
  }
}

}  // namespace bandb::storage
