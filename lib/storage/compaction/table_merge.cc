#include "storage/compaction/table_merge.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/compaction/compaction_picker.h"
#include "storage/file/file_names.h"

namespace bandb::storage {

TableMerge::TableMerge(MergeInputs inputs, MergeOutputs outputs)
    : inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      tombstones_(std::move(inputs_.tombstones)),
      keeper_(inputs_.horizon, &tombstones_, [this](std::string_view spaced_key) {
        return inputs_.version != nullptr && !inputs_.version->HasKeyBelow(inputs_.output_level, spaced_key);
      }) {}

TableMerge::~TableMerge() {
  builder_.reset();
  CountMemory();
  file_.reset();
  for (const uint64_t number : unclaimed_) {
    // What cannot be removed now is found at the next open.
    outputs_.files->Remove(PathOf(number)).IgnoreError();
  }
}

std::string TableMerge::PathOf(uint64_t number) const {
  return base::JoinPath(outputs_.engine_dir, TableName(number) + outputs_.name_suffix);
}

std::vector<TableInfo> TableMerge::TakeTables() {
  BANDB_ASSERT(builder_ == nullptr);
  unclaimed_.clear();
  return std::move(tables_);
}

absl::StatusOr<bool> TableMerge::Step(uint64_t bytes) {
  BANDB_ASSERT(failure_ == Failure::kNone);
  absl::StatusOr<bool> done = DoStep(bytes);
  CountMemory();
  if (!done.ok() && failure_ == Failure::kNone) failure_ = Failure::kWriting;
  return done;
}

void TableMerge::CountMemory() {
  if (outputs_.memory_bytes == nullptr) return;
  const uint64_t before = std::exchange(counted_bytes_, builder_ == nullptr ? 0 : builder_->memory_bytes());
  // May wrap, and comes out right.
  outputs_.memory_bytes->fetch_add(counted_bytes_ - before, std::memory_order_relaxed);
}

absl::StatusOr<bool> TableMerge::DoStep(uint64_t bytes) {
  BANDB_ASSERT(inputs_.cursor != nullptr);
  Cursor& cursor = *inputs_.cursor;
  if (!started_) {
    cursor.SeekToFirst();
    started_ = true;
  }
  uint64_t done_bytes = 0;
  // Those of the system come first.
  const auto has_more = [&]() {
    return cursor.Valid() && (!inputs_.systems_only || cursor.key()[0] == static_cast<char>(Space::kSystem));
  };
  while (has_more() && done_bytes < bytes) {
    done_bytes += cursor.key().size() + cursor.value().size();
    ++input_entries_;
    bool new_key = false;
    const VersionKeeper::Verdict verdict = keeper_.Judge(cursor.key(), cursor.value(), &new_key);
    if (new_key && ShouldCutBefore(SpacedKey(cursor.key()))) {
      BANDB_RETURN_IF_ERROR(FinishTable(SpacedKey(cursor.key())));
    }
    switch (verdict) {
      case VersionKeeper::Verdict::kKeep:
        BANDB_RETURN_IF_ERROR(inputs_.filter ? AddFiltered(cursor.key(), cursor.value())
                                             : AddEntry(cursor.key(), cursor.value()));
        break;
      case VersionKeeper::Verdict::kKeepAsDelete:
        BANDB_RETURN_IF_ERROR(AddAsDelete(cursor.key()));
        break;
      case VersionKeeper::Verdict::kDrop:
        break;
    }
    cursor.Next();
  }
  if (absl::Status read = cursor.status(); !read.ok()) {
    failure_ = Failure::kReading;
    return read;
  }
  if (has_more()) return false;
  BANDB_RETURN_IF_ERROR(FinishTable({}));
  BANDB_ASSERT(builder_ == nullptr);
  BANDB_ASSERT(file_ == nullptr);
  return true;
}

absl::Status TableMerge::AddAsDelete(std::string_view internal_key) {
  key_.assign(SpacedKey(internal_key));
  base::PutFixed64(&key_, MakeTrailer(TrailerSequence(Trailer(internal_key)), Kind::kDelete));
  return AddEntry(key_, {});
}

absl::Status TableMerge::AddFiltered(std::string_view internal_key, std::string_view value) {
  const uint64_t trailer = Trailer(internal_key);
  const Kind kind = TrailerKind(trailer);
  const bool is_value = kind == Kind::kPut || kind == Kind::kPutWithExpiry;
  const bool is_users = internal_key[0] == static_cast<char>(Space::kUser);
  if (!is_value || !is_users || keeper_.IsSeenBySnapshot(TrailerSequence(trailer))) {
    return AddEntry(internal_key, value);
  }
  const size_t expiry_bytes = HasExpiry(kind) ? sizeof(uint64_t) : 0;
  BANDB_ASSERT(value.size() >= expiry_bytes);
  changed_.clear();
  switch (inputs_.filter(UserKey(SpacedKey(internal_key)), value.substr(expiry_bytes), &changed_)) {
    case CompactionFilter::Decision::kKeep:
      break;
    case CompactionFilter::Decision::kRemove:
      if (keeper_.JudgeRemoved(internal_key) == VersionKeeper::Verdict::kDrop) return absl::OkStatus();
      return AddAsDelete(internal_key);
    case CompactionFilter::Decision::kChange:
      changed_.insert(0, value.substr(0, expiry_bytes));
      return AddEntry(internal_key, changed_);
  }
  return AddEntry(internal_key, value);
}

absl::Status TableMerge::AddEntry(std::string_view internal_key, std::string_view value) {
  if (builder_ == nullptr) BANDB_RETURN_IF_ERROR(BeginTable());
  builder_->Add(internal_key, value);
  return builder_->status();
}

bool TableMerge::ShouldCutBefore(std::string_view spaced_key) {
  // Walks along the grandparents, and counts those that the present table has passed.
  while (grandparent_ < inputs_.grandparents.size() &&
         CompareSpacedKeys(SpacedKey(inputs_.grandparents[grandparent_]->info().largest), spaced_key) < 0) {
    if (builder_ != nullptr) grandparent_bytes_ += inputs_.grandparents[grandparent_]->info().file_bytes;
    ++grandparent_;
  }
  if (builder_ == nullptr) return false;
  if (builder_->FileBytes() >= outputs_.table_bytes) return true;
  return outputs_.table_bytes != UINT64_MAX && grandparent_bytes_ > kGrandparentTables * outputs_.table_bytes;
}

absl::Status TableMerge::BeginTable() {
  BANDB_ASSERT(builder_ == nullptr);
  BANDB_ASSERT(file_ == nullptr);
  number_ = outputs_.new_file_number();
  absl::StatusOr<std::unique_ptr<base::AppendableFile>> made =
      outputs_.files->Create(PathOf(number_), base::AppendMode::kBuffered);
  if (!made.ok()) {
    failure_ = Failure::kMaking;
    return made.status();
  }
  file_ = *std::move(made);
  unclaimed_.push_back(number_);
  const FileHeader header{
      .type = FileType::kTable, .database_id = outputs_.database_id, .file_id = RandomUuid(&outputs_.random)};
  builder_ = std::make_unique<TableBuilder>(file_.get(), header, outputs_.table_options);
  grandparent_bytes_ = 0;
  return absl::OkStatus();
}

absl::Status TableMerge::AddTombstones(std::string_view begin, std::string_view limit) {
  for (size_t fragment = tombstones_.FirstFrom(begin); fragment < tombstones_.fragment_count(); ++fragment) {
    if (!limit.empty() && tombstones_.begin(fragment) >= limit) return absl::OkStatus();
    if (inputs_.systems_only && tombstones_.begin(fragment)[0] != static_cast<char>(Space::kSystem)) {
      return absl::OkStatus();
    }
    const std::string_view from = std::max(tombstones_.begin(fragment), begin);
    const std::string_view to =
        limit.empty() ? tombstones_.limit(fragment) : std::min(tombstones_.limit(fragment), limit);
    BANDB_ASSERT(from < to);
    const bool nothing_below =
        inputs_.version != nullptr && !inputs_.version->HasRangeBelow(inputs_.output_level, from, to);
    for (const Sequence sequence : keeper_.KeptTombstones(fragment, nothing_below)) {
      // Tombstones may be all that a table holds.
      if (builder_ == nullptr) BANDB_RETURN_IF_ERROR(BeginTable());
      builder_->AddRangeTombstone(from, to, sequence);
    }
  }
  return absl::OkStatus();
}

absl::Status TableMerge::FinishTable(std::string_view limit) {
  const std::string lower_bound = std::exchange(lower_bound_, std::string(limit));
  BANDB_RETURN_IF_ERROR(AddTombstones(lower_bound, limit));
  if (builder_ == nullptr) return absl::OkStatus();
  BANDB_ASSERT(file_ != nullptr);
  BANDB_ASSERT(unclaimed_.back() == number_);
  if (outputs_.finish_time_ms) builder_->SetCreationTime(outputs_.finish_time_ms());
  BANDB_ASSIGN_OR_RETURN(const TableSummary summary, builder_->Finish());
  BANDB_RETURN_IF_ERROR(file_->Sync());
  BANDB_RETURN_IF_ERROR(file_->Close());
  finished_bytes_ += summary.file_bytes;
  builder_.reset();
  file_.reset();
  BANDB_ASSERT(!summary.smallest.empty());
  tables_.push_back({summary.figures(), number_, summary.file_bytes, summary.smallest, summary.largest, summary.space});
  return absl::OkStatus();
}

}  // namespace bandb::storage
