// The engine's read path: gets, iterators and snapshots.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "kv/options.h"
#include "storage/engine/engine.h"
#include "storage/engine/read_time.h"
#include "storage/engine/write_buffer.h"
#include "storage/file/refused_read.h"
#include "storage/key/entry.h"
#include "storage/read/level_cursor.h"
#include "storage/read/merging_cursor.h"
#include "storage/read/uncovered_cursor.h"
#include "storage/table/table_cursor.h"

namespace bandb::storage {

namespace {

// Values up to this size are copied out of a memtable rather than keeping the view alive for them.
constexpr size_t kCopiedBytesMax = 4096;

absl::Status NotFound() { return absl::Status(absl::StatusCode::kNotFound, ""); }

// What ReadOptions::only_cached keeps from the disk. Frequent, and followed by a read that may
// wait: no message.
absl::Status NotInMemory() { return absl::Status(absl::StatusCode::kUnavailable, ""); }

// Of an entry that shows no value.
absl::Status NotFoundUnless(const absl::Status& malformed) { return malformed.ok() ? NotFound() : malformed; }

void ReleaseView(void* owner) { delete static_cast<ViewRef*>(owner); }

}  // namespace

absl::Status Engine::ResolveSnapshot(const ReadOptions& options, const ReadView& view, Sequence* sequence,
                                     ReadTime* time) const {
  if (options.snapshot == nullptr) {
    *sequence = last_sequence_.load(std::memory_order_acquire);
    return absl::OkStatus();
  }
  const internal::SnapshotState* state = options.snapshot->state();
  if (state == nullptr || state->owner() != snapshots_.get()) {
    return base::Error(absl::StatusCode::kInvalidArgument, "the snapshot is empty or belongs to another store");
  }
  const auto* snapshot = static_cast<const DbSnapshot*>(state);
  if (snapshot->generation() != view.generation) return ReplacedError();
  *sequence = snapshot->sequence();
  time->Set(snapshot->now_ms());
  return absl::OkStatus();
}

absl::Status Engine::ReadTime::Begin(Engine* engine, const ReadOptions& options, ViewRef* view, Sequence* sequence) {
  if (options.snapshot == nullptr) {
    const Moment moment = PresentMoment(engine->last_sequence_, [&]() {
      *view = engine->views_.Acquire();
      return engine->NowMs();
    });
    *sequence = moment.sequence;
    Set(moment.now_ms);
    return *view ? absl::OkStatus() : ClosedError();
  }
  *view = engine->ViewFor(options);
  return *view ? engine->ResolveSnapshot(options, **view, sequence, this) : ClosedError();
}

ViewRef Engine::ViewFor(const ReadOptions& options) {
  ViewRef present = views_.Acquire();
  if (options.snapshot == nullptr || !present) return present;
  const internal::SnapshotState* state = options.snapshot->state();
  if (state == nullptr || state->owner() != snapshots_.get()) return present;
  const void* const kept = static_cast<const DbSnapshot*>(state)->kept().get();
  return kept == nullptr ? std::move(present) : static_cast<const ViewRef*>(kept)->Share();
}

absl::StatusOr<Sequence> Engine::SnapshotSequence(const Snapshot& snapshot) {
  const ViewRef view = views_.Acquire();
  if (!view) return ClosedError();
  ReadOptions options;
  options.snapshot = &snapshot;
  Sequence sequence = 0;
  ReadTime time(this);
  BANDB_RETURN_IF_ERROR(ResolveSnapshot(options, *view, &sequence, &time));
  return sequence;
}

absl::Status Engine::Get(std::string_view key, const ReadOptions& options, PinnedValue* value) {
  return GetIn(Space::kUser, key, options, value);
}

absl::Status Engine::GetIn(Space space, std::string_view key, const ReadOptions& options, PinnedValue* value) {
  counters_.gets.fetch_add(1, std::memory_order_relaxed);
  ReadTime late(this);
  // Of before the view, which a later sequence may be ahead of.
  const Sequence before = last_sequence_.load(std::memory_order_acquire);
  Sequence sequence = 0;
  absl::Status status = GetOnce(space, key, options, &late, &sequence, value);
  // What had expired by then may have been written once more since, and never have been absent.
  // With the time read first there is no such gap.
  const bool may_be_renewed = late.is_late() && status.code() == absl::StatusCode::kNotFound &&
                              last_sequence_.load(std::memory_order_acquire) != before;
  if (!may_be_renewed) return status;
  ReadTime early(this);
  early.Set(NowMs());
  return GetOnce(space, key, options, &early, &sequence, value);
}

absl::Status Engine::GetOnce(Space space, std::string_view key, const ReadOptions& options, ReadTime* time,
                             Sequence* sequence, PinnedValue* value) {
  // The view first: its memtables hold whatever was published before the sequence is read.
  const ViewRef view = ViewFor(options);
  if (!view) return ClosedError();
  BANDB_RETURN_IF_ERROR(ResolveSnapshot(options, *view, sequence, time));
  const LookupKey lookup(space, key, *sequence);
  Sequence newest = 0;
  absl::Status status = GetAt(view, lookup, time, {options.fill_cache, options.only_cached}, value, &newest);
  if (options.saw_undurable != nullptr) *options.saw_undurable = newest > logs_.durable_sequence();
  return status;
}

absl::Status Engine::GetAt(const ViewRef& view, const LookupKey& lookup, ReadTime* time, BlockPolicy blocks,
                           PinnedValue* value, Sequence* newest) {
  // One hash for all filters. What the reading of tables will touch first comes while the memtables
  // are asked.
  const uint64_t hash = FilterHash(lookup.spaced_key());
  view->memtable->Prefetch(hash);
  for (const std::shared_ptr<const Memtable>& frozen : view->frozen) frozen->Prefetch(hash);
  Sequence covering = 0;
  const size_t memtables = 1 + view->frozen.size();
  for (size_t i = 0; i < memtables; ++i) {
    const Memtable& memtable = i == 0 ? *view->memtable : *view->frozen[i - 1];
    covering = std::max(covering, memtable.CoveringTombstone(lookup.spaced_key(), lookup.sequence()));
    const MemtableHit hit = memtable.Get(lookup.internal_key(), hash);
    *newest = hit.found ? std::max(hit.sequence, covering) : covering;
    if (hit.found) {
      if (hit.sequence < covering) return NotFound();
      std::string_view bytes;
      absl::Status malformed;
      if (!ReadEntry(hit.kind, hit.value, time->For(hit.kind), &bytes, &malformed)) return NotFoundUnless(malformed);
      if (bytes.size() <= kCopiedBytesMax) {
        value->Copy(bytes);
      } else {
        value->Pin(bytes, new ViewRef(view.Share()), &ReleaseView);
      }
      Describe(hit.kind, hit.sequence, hit.value, value);
      return absl::OkStatus();
    }
    // Whatever lies deeper is older than the tombstone.
    if (covering != 0) return NotFound();
  }
  return GetFromTables(*view, lookup, hash, covering, time, blocks, value);
}

// A table that may hold a key, and what of it is in memory already.
struct Engine::TableProbe {
  const LiveTable* table = nullptr;
  PartitionRef entered;
};

absl::Status Engine::ProbeTable(TableProbe* probe, const LookupKey& lookup, uint64_t hash, BlockPolicy blocks,
                                Sequence* covering, GetResult* result) const {
  result->found = false;
  const TableReader* reader = probe->table->ReaderIfOpen();
  if (reader == nullptr) {
    if (blocks.only_cached) return NotInMemory();
    const absl::StatusOr<const TableReader*> opened = probe->table->Reader();
    if (!opened.ok()) return ForReader(opened.status());
    reader = *opened;
  }
  if (!reader->tombstones().empty()) {
    *covering = std::max(*covering, reader->tombstones().CoveringSequence(lookup.spaced_key(), lookup.sequence()));
  }
  PartitionRef* const entered = &probe->entered;
  if (blocks.only_cached) {
    if (!reader->GetCached(lookup.internal_key(), result, hash, entered)) return NotInMemory();
  } else if (absl::Status read = reader->Get(lookup.internal_key(), blocks.fill_cache, result, hash, entered);
             !read.ok()) {
    return ForReader(std::move(read));
  }
  return absl::OkStatus();
}

// Counts the tables of one read that were probed, all in one step at its end.
class Engine::ProbeCount {
 public:
  explicit ProbeCount(EngineCounters* counters) : counters_(counters) {}
  ProbeCount(const ProbeCount&) = delete;
  ProbeCount& operator=(const ProbeCount&) = delete;
  ~ProbeCount() {
    if (filtered_ != 0) counters_->filter_negatives.fetch_add(filtered_, std::memory_order_relaxed);
    if (probed_ != 0) counters_->tables_probed.fetch_add(probed_, std::memory_order_relaxed);
  }

  void Add(bool filtered) { (filtered ? filtered_ : probed_) += 1; }

 private:
  EngineCounters* const counters_;
  uint64_t filtered_ = 0;
  uint64_t probed_ = 0;
};

namespace {

// The tables that may hold a key, from new to old.
class CandidateTables {
 public:
  CandidateTables(const Version& version, const LookupKey& lookup)
      : version_(version), lookup_(lookup), end_(version.level(0).size()) {}

  // Null: there are no more.
  const LiveTable* Next() {
    while (true) {
      for (; at_ < end_; ++at_) {
        const TableInfo& info = version_.level(level_)[at_]->info();
        if (CompareSpacedKeys(lookup_.spaced_key(), SpacedKey(info.smallest)) < 0) continue;
        if (level_ == 0 && CompareSpacedKeys(lookup_.spaced_key(), SpacedKey(info.largest)) > 0) continue;
        return version_.level(level_)[at_++].get();
      }
      if (++level_ == kLevels) return nullptr;
      const Version::Level& tables = version_.level(level_);
      if (tables.empty()) continue;
      at_ = Version::FindTable(tables, lookup_.internal_key());
      end_ = std::min(tables.size(), at_ + 1);
    }
  }

 private:
  const Version& version_;
  const LookupKey& lookup_;
  int level_ = 0;
  size_t at_ = 0;
  size_t end_;
};

}  // namespace

absl::Status Engine::GetFromTables(const ReadView& view, const LookupKey& lookup, uint64_t hash, Sequence covering,
                                   ReadTime* time, BlockPolicy blocks, PinnedValue* value) {
  // What the filters of all will touch is asked for together.
  constexpr size_t kTogether = 8;
  GetResult result;
  ProbeCount probed(&counters_);
  CandidateTables candidates(*view.version, lookup);
  while (true) {
    TableProbe probes[kTogether];
    size_t count = 0;
    for (; count < kTogether && (probes[count].table = candidates.Next()) != nullptr; ++count) {
      const TableReader* reader = probes[count].table->ReaderIfOpen();
      if (reader != nullptr) probes[count].entered = reader->Prepare(lookup.internal_key(), hash);
    }
    for (size_t i = 0; i < count; ++i) {
      BANDB_RETURN_IF_ERROR(ProbeTable(&probes[i], lookup, hash, blocks, &covering, &result));
      probed.Add(result.filtered);
      if (!result.found) {
        if (covering != 0) return NotFound();
        continue;
      }
      if (result.sequence < covering) return NotFound();
      std::string_view bytes;
      absl::Status malformed;
      if (!ReadEntry(result.kind, result.value, time->For(result.kind), &bytes, &malformed))
        return NotFoundUnless(malformed);
      value->Pin(bytes, result.block.Detach(), &BlockRef::ReleaseDetached);
      Describe(result.kind, result.sequence, result.value, value);
      return absl::OkStatus();
    }
    if (count < kTogether) return NotFound();
  }
}

std::vector<absl::StatusOr<std::string>> Engine::MultiGet(absl::Span<const std::string_view> keys,
                                                          const ReadOptions& options) {
  std::vector<absl::StatusOr<std::string>> results;
  results.reserve(keys.size());
  ReadTime time(this);
  ViewRef view;
  Sequence sequence = 0;
  const absl::Status ready = time.Begin(this, options, &view, &sequence);
  if (options.saw_undurable != nullptr) *options.saw_undurable = false;
  PinnedValue value;
  for (const std::string_view key : keys) {
    absl::Status status = ready;
    if (status.ok()) {
      const LookupKey lookup(Space::kUser, key, sequence);
      Sequence newest = 0;
      status = GetAt(view, lookup, &time, {options.fill_cache, options.only_cached}, &value, &newest);
      if (options.saw_undurable != nullptr && newest > logs_.durable_sequence()) *options.saw_undurable = true;
    }
    if (status.ok()) {
      results.emplace_back(std::string(value.value()));
    } else {
      results.emplace_back(std::move(status));
    }
  }
  counters_.gets.fetch_add(keys.size(), std::memory_order_relaxed);
  return results;
}

namespace {

// A cursor over each source of a view, and the range tombstones that a reader of it must heed. From
// new to old, so that of each source no more is walked than what is newer lets show.
absl::Status CollectSources(const ReadView& view, const TableCursorOptions& options,
                            std::vector<std::unique_ptr<Cursor>>* cursors, DbIteratorParts* parts) {
  std::vector<const FragmentedTombstones*>& above = parts->tombstones;
  const UncoveredCursorBounds bounds = {.lower = parts->lower, .upper = parts->upper, .sequence = parts->sequence};
  const auto add = [&](std::unique_ptr<Cursor> cursor) {
    if (!above.empty()) cursor = NewUncoveredCursor(std::move(cursor), above, bounds);
    cursors->push_back(std::move(cursor));
  };
  // What comes into an empty one later, this reader does not see.
  if (!view.memtable->empty()) {
    add(view.memtable->NewCursor());
    view.memtable->tombstones().CollectRuns(&above);
  }
  for (const std::shared_ptr<const Memtable>& memtable : view.frozen) {
    add(memtable->NewCursor());
    memtable->tombstones().CollectRuns(&above);
  }
  for (const TablePtr& table : view.version->level(0)) {
    BANDB_ASSIGN_OR_RETURN(const TableReader* reader, table->Reader());
    add(NewTableCursor(*reader, options));
    if (!reader->tombstones().empty()) above.push_back(&reader->tombstones());
  }
  for (int level = 1; level < kLevels; ++level) {
    if (view.version->level(level).empty()) continue;
    add(NewLevelCursor(&view.version->level(level), options));
  }
  for (int level = 1; level < kLevels; ++level) {
    LevelTombstones of_level;
    for (const TablePtr& table : view.version->RangeTombstoneTables(level)) {
      BANDB_ASSIGN_OR_RETURN(const TableReader* reader, table->Reader());
      of_level.Add(table->info().smallest, table->info().largest, &reader->tombstones());
    }
    if (!of_level.empty()) parts->level_tombstones.push_back(std::move(of_level));
  }
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<Iterator> Engine::NewIterator(const ReadOptions& options) {
  return NewIteratorIn(Space::kUser, options);
}

absl::Status Engine::CheckRoomForIterator() const {
  // What one keeps grows by the write buffer at the most: by the memtables that it was opened on.
  const uint64_t budget = kv::MemoryBudgetBytes(options_);
  const uint64_t held = tables_->cache()->HeldBytes() + MemtablesBytesMax(options_);
  const uint64_t readers = tables_->cache()->ReaderBytes();
  // What no reader holds, such as what is kept of very many tables, must not keep all of them out.
  if (held <= budget || readers <= budget / kReadersParts) return absl::OkStatus();
  return base::Error(absl::StatusCode::kResourceExhausted,
                     "{} bytes of the memory budget of {} are in use, {} of them by iterators and values that have "
                     "been held for long",
                     held, budget, readers);
}

std::unique_ptr<Iterator> Engine::NewIteratorIn(Space space, const ReadOptions& options) {
  if (absl::Status room = CheckRoomForIterator(); !room.ok()) return NewErrorIterator(std::move(room));
  ReadTime time(this);
  ViewRef view;
  Sequence sequence = 0;
  if (absl::Status begun = time.Begin(this, options, &view, &sequence); !begun.ok()) {
    return NewErrorIterator(std::move(begun));
  }
  if (options.saw_undurable != nullptr) *options.saw_undurable = sequence > logs_.durable_sequence();
  return NewIteratorAt(std::move(view), space, sequence, time.Ms(), options);
}

std::unique_ptr<Iterator> Engine::NewIteratorAt(ViewRef view, Space space, Sequence sequence, uint64_t now_ms,
                                                const ReadOptions& options) {
  DbIteratorParts parts;
  parts.space = space;
  parts.view = std::move(view);
  parts.view.Detach();
  parts.closed = lifecycle_.closed();
  parts.sequence = sequence;
  parts.now_ms = now_ms;
  parts.lower = MakeSpacedKey(space, options.lower_bound);
  parts.upper =
      options.upper_bound.empty() ? MakeSpacedKey(SpaceAfter(space), {}) : MakeSpacedKey(space, options.upper_bound);
  parts.skips_max = options.skips_max;
  // Bounds that hold no key: any walk ends at once.
  if (parts.upper < parts.lower) parts.upper = parts.lower;
  std::vector<std::unique_ptr<Cursor>> cursors;
  const TableCursorOptions table_options{.fill_cache = options.fill_cache, .readahead_bytes = 0};
  if (absl::Status collected = CollectSources(*parts.view, table_options, &cursors, &parts); !collected.ok()) {
    return NewErrorIterator(ForReader(std::move(collected)));
  }
  CountIterator();
  parts.cursor = NewMergingCursor(std::move(cursors));
  return NewDbIterator(std::move(parts));
}

Snapshot Engine::GetSnapshot() {
  // Of the view's state: one that takes its place meanwhile is none that it could read.
  const ViewRef view = views_.Acquire();
  if (!view) return Snapshot();
  auto snapshot =
      std::make_shared<DbSnapshot>(snapshots_, view->generation, last_sequence_, [this]() { return NowMs(); });
  if (snapshot->amid_forgetting()) {
    // The one that is present now, which has all up to its sequence, whether it has what is being
    // forgotten or not.
    auto kept = std::make_shared<ViewRef>(views_.Acquire());
    if (!*kept) return Snapshot();
    kept->Detach();
    snapshot->Keep(std::move(kept));
  }
  return Snapshot(std::shared_ptr<const DbSnapshot>(std::move(snapshot)));
}

}  // namespace bandb::storage
