// Compactions: merges of tables, moves and drops, and what they make of the database.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "kv/host_code.h"
#include "storage/compaction/fifo_picker.h"
#include "storage/engine/engine.h"
#include "storage/engine/engine_work.h"
#include "storage/file/refused_read.h"
#include "storage/read/level_cursor.h"
#include "storage/read/merging_cursor.h"
#include "storage/table/table_cursor.h"

namespace bandb::storage {

namespace {

// Compactions read their inputs in stretches of this size, unless they are so many that all of
// these together would be too much.
constexpr size_t kCompactionReadaheadBytes = 512 << 10;
constexpr size_t kReadaheadBytesMin = 32 << 10;
constexpr size_t kReadaheadBytesOfAll = 32 << 20;

}  // namespace

// Merges the tables of a compaction, or moves them.
class Engine::CompactionWork final : public Work {
 public:
  CompactionWork(Engine* engine, Compaction compaction, uint64_t now_ms, SnapshotHorizon horizon,
                 std::shared_ptr<const Version> version, MergeOutputs outputs, uint64_t take_backs)
      : Work(engine, false, now_ms, compaction.forgets ? 0 : horizon.now_ms),
        take_backs_(take_backs),
        compaction_(std::move(compaction)),
        sources_(compaction_.Sources()),
        progress_(std::make_shared<WorkProgress>()),
        horizon_(std::move(horizon)),
        version_(std::move(version)),
        outputs_(std::move(outputs)) {
    BANDB_ASSERT(!compaction_.inputs.empty());
    BANDB_ASSERT(compaction_.Rewrites() || sources_.size() == 1);
    for (const Compaction::Source& source : sources_) {
      for (const TablePtr& table : source.tables) {
        input_entries_ += table->info().entries;
        // What the system alone has written is kept: snapshots may see it, as the picker has it.
        if (HoldsUsers(table->info())) first_sequence_ = std::min(first_sequence_, table->info().smallest_sequence);
      }
    }
    progress_->fixed = {.level = compaction_.level,
                        .output_level = compaction_.output_level,
                        .input_bytes = compaction_.InputBytes(),
                        .manual = compaction_.is_manual};
    engine_->pace_.Begin(progress_);
  }

  bool is_drop() const override { return compaction_.is_drop; }
  bool Writes() const override { return compaction_.Rewrites(); }

  absl::StatusOr<bool> Step(PendingEdit* edit) override {
    if (!failure_.ok()) return LookForDamage();
    if (compaction_.Rewrites()) {
      const absl::StatusOr<bool> merged = Merge();
      if (!merged.ok()) {
        const bool reading = merge_ == nullptr || merge_->failure() == TableMerge::Failure::kReading;
        may_pass_ = reading || MayPass(*merge_, merged.status());
        if (!reading || storage::MayPass(merged.status())) return merged;
        failure_ = merged.status();
        merge_.reset();
      }
      if (!merged.ok() || !*merged) return false;
    }
    FillEdit(edit);
    return true;
  }

  absl::Status Prepare(const ManifestState& present, PendingEdit* edit) override {
    BANDB_RETURN_IF_ERROR(Work::Prepare(present, edit));
    if (!compaction_.forgets) return absl::OkStatus();
    is_forgetting_ = engine_->snapshots_->BeginForgetting(first_sequence_);
    if (is_forgetting_) return absl::OkStatus();
    given_up_ = true;
    return base::Error(absl::StatusCode::kAborted, "a snapshot was taken of what would be forgotten");
  }

  void Installed(const absl::Status& status) override {
    if (is_forgetting_) engine_->snapshots_->EndForgetting();
    engine_->pace_.End(progress_);
    // A CompactRange ends after its inputs are gone, too.
    merge_.reset();
    version_.reset();
    if (status.code() == absl::StatusCode::kDataLoss && damaged_.empty()) {
      // An edit that does not fit comes of inputs that are not what the manifest says of them. But
      // where all of them could be read once more, it was the reading that failed: they are tried
      // again, after ever longer pauses, as what the operating system refuses to read.
      BlameAll(failure_.ok() ? status
                             : base::Error(absl::StatusCode::kInternal,
                                           "it was read whole after a merge had failed: {}", base::Message(failure_)));
    }
    engine_->SetAside(damaged_, generation_, take_backs_);
    sources_.clear();
    JobEnd end = End(status);
    end.damage_set_aside = !damaged_.empty();
    engine_->FinishCompaction(std::move(compaction_), end, info_);
  }

 private:
  absl::StatusOr<bool> Merge() {
    if (merge_ == nullptr) BANDB_RETURN_IF_ERROR(BeginMerge());
    absl::StatusOr<bool> done = StepMerge(merge_.get());
    const double part =
        static_cast<double>(merge_->input_entries()) / static_cast<double>(std::max<uint64_t>(input_entries_, 1));
    progress_->done_bytes =
        static_cast<uint64_t>(static_cast<double>(progress_->fixed.input_bytes) * std::min(part, 1.0));
    progress_->written_bytes = merge_->written_bytes();
    return done;
  }

  // Reads the inputs one by one, to tell which of them made the merge fail: all of them may be
  // read again by now. Never true: the failure is the end.
  absl::StatusOr<bool> LookForDamage() {
    if (looked_at_source_ == sources_.size()) return failure_;
    const Compaction::Source& source = sources_[looked_at_source_];
    if (looked_at_ == source.tables.size()) {
      ++looked_at_source_;
      looked_at_ = 0;
      return false;
    }
    const TablePtr& table = source.tables[looked_at_++];
    const absl::StatusOr<const TableReader*> reader = table->Reader();
    const absl::Status verified = reader.ok() ? (*reader)->VerifyChecksums() : reader.status();
    if (storage::MayPass(verified)) return verified;
    if (!verified.ok()) Blame(*table, source.level, verified);
    return false;
  }

  void Blame(const LiveTable& table, int level, const absl::Status& status) {
    damaged_.push_back({.table_number = table.info().number, .level = level, .status = status});
  }
  void BlameAll(const absl::Status& status) {
    for (const Compaction::Source& source : sources_) {
      for (const TablePtr& table : source.tables) Blame(*table, source.level, status);
    }
  }

  absl::Status BeginMerge() {
    BANDB_ASSERT(merge_ == nullptr);
    BANDB_ASSERT(version_ != nullptr);
    BANDB_ASSERT(!sources_.empty());
    MergeInputs inputs;
    size_t cursor_count = 0;
    for (const Compaction::Source& source : sources_) cursor_count += source.level == 0 ? source.tables.size() : 1;
    const size_t readahead = std::clamp(kReadaheadBytesOfAll / std::max<size_t>(cursor_count, 1), kReadaheadBytesMin,
                                        kCompactionReadaheadBytes);
    const TableCursorOptions options{.fill_cache = false, .readahead_bytes = static_cast<uint32_t>(readahead)};
    std::vector<std::unique_ptr<Cursor>> cursors;
    for (const Compaction::Source& source : sources_) {
      if (source.level > 0) cursors.push_back(NewLevelCursor(&source.tables, options));
      for (const TablePtr& table : source.tables) {
        if (source.level > 0 && table->info().range_tombstones == 0) continue;
        BANDB_ASSIGN_OR_RETURN(const TableReader* reader, table->Reader());
        if (source.level == 0) cursors.push_back(NewTableCursor(*reader, options));
        // Of what is merged within level 0 it is known how new it is.
        if (compaction_.output_level == 0) newest_ms_ = std::max(newest_ms_, reader->properties().NewestMs());
        const std::vector<RangeTombstone>& more = reader->tombstones().tombstones();
        inputs.tombstones.insert(inputs.tombstones.end(), more.begin(), more.end());
      }
    }
    outputs_.table_options.newest_ms = newest_ms_;
    inputs.cursor = NewMergingCursor(std::move(cursors));
    inputs.horizon = std::move(horizon_);
    // Within level 0 an older table may hold what an entry hides.
    const bool hides_none_of_level0 =
        compaction_.output_level > 0 || version_->level(0).back() == compaction_.inputs.back();
    if (hides_none_of_level0) inputs.version = std::move(version_);
    inputs.systems_only = compaction_.forgets;
    if (engine_->options_.compaction_filter != nullptr && !engine_->is_replica_) {
      inputs.filter = [this](std::string_view key, std::string_view value, std::string* changed) {
        return AskFilter(key, value, changed);
      };
    }
    inputs.output_level = compaction_.output_level;
    inputs.grandparents = compaction_.grandparents;
    merge_ = std::make_unique<TableMerge>(std::move(inputs), std::move(outputs_));
    return absl::OkStatus();
  }

  CompactionFilter::Decision AskFilter(std::string_view key, std::string_view value, std::string* changed) {
    using Decision = CompactionFilter::Decision;
    auto decision = Decision::kKeep;
    if (!kv::RunContained([&]() {
          decision = engine_->options_.compaction_filter->Filter(compaction_.output_level, key, value, changed);
        })) {
      engine_->NoteException("the compaction filter");
      return Decision::kKeep;
    }
    if (decision == Decision::kChange && kv::CheckValue(engine_->limits_, changed->size()).ok()) {
      engine_->counters_.values_changed.fetch_add(1, std::memory_order_relaxed);
      return decision;
    }
    if (decision != Decision::kRemove) return Decision::kKeep;
    engine_->counters_.values_removed.fetch_add(1, std::memory_order_relaxed);
    return decision;
  }

  void FillEdit(PendingEdit* edit) {
    for (const Compaction::Source& source : sources_) {
      info_.input_tables += source.tables.size();
      for (const TablePtr& table : source.tables) {
        edit->edit.deleted.push_back({source.level, table->info().number});
        if (!compaction_.is_move) continue;
        edit->edit.added.push_back({compaction_.output_level, table->info()});
        edit->added.push_back(table);
      }
    }
    if (merge_ != nullptr) {
      std::vector<TableInfo> tables = merge_->TakeTables();
      for (const TableInfo& info : tables) info_.output_bytes += info.file_bytes;
      info_.output_tables = tables.size();
      AddTables(std::move(tables), compaction_.output_level, edit);
    }
    info_.input_level = compaction_.level;
    info_.output_level = compaction_.output_level;
    info_.input_bytes = compaction_.InputBytes();
    info_.moved = compaction_.is_move;
    info_.duration = Elapsed();
  }

  // From before it began: what it finds damaged after another may be whole again.
  const uint64_t take_backs_;
  Compaction compaction_;
  std::vector<Compaction::Source> sources_;
  const std::shared_ptr<WorkProgress> progress_;
  uint64_t input_entries_ = 0;
  Sequence first_sequence_ = kSequenceMax;  // of what users have written something into
  uint64_t newest_ms_ = 0;
  SnapshotHorizon horizon_;
  std::shared_ptr<const Version> version_;
  MergeOutputs outputs_;
  CompactionInfo info_;
  std::unique_ptr<TableMerge> merge_;
  // What the merge failed of, how many inputs were read since, and what was found.
  absl::Status failure_;
  size_t looked_at_source_ = 0;
  size_t looked_at_ = 0;
  // Snapshots know of what goes.
  bool is_forgetting_ = false;
  std::vector<TableDamage> damaged_;
};

void Engine::StartCompaction(Compaction compaction, uint64_t now_ms) {
  // By the time that it was picked by.
  SnapshotHorizon horizon = snapshots_->Horizon(now_ms);
  MergeOutputs outputs = OutputsFor(compaction.output_level);
  auto work = std::make_unique<CompactionWork>(this, std::move(compaction), now_ms, std::move(horizon),
                                               versions_.version(), std::move(outputs), schedule_.take_backs());
  env_.executor->Start(base::Priority::kLow, std::make_unique<WorkJob>(this, std::move(work)));
}

}  // namespace bandb::storage
