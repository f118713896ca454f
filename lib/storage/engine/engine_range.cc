// What a range holds, about: parts of memtables, and of tables what lies between two places of the
// file.
#include <algorithm>

#include "base/status.h"
#include "storage/engine/engine.h"
#include "storage/file/refused_read.h"

namespace bandb::storage {

namespace {

// A range of internal keys, and of the spaced keys that they are made of.
struct InternalRange {
  std::string lower, upper;
  std::string begin = MakeInternalKey(lower, UINT64_MAX);
  std::string limit = MakeInternalKey(upper, UINT64_MAX);
};

// What a range holds of all sources together.
struct RangeSum {
  double bytes = 0, entries = 0, deletes = 0;

  void Add(double part, uint64_t of_bytes, uint64_t of_entries, uint64_t of_deletes) {
    bytes += part * static_cast<double>(of_bytes);
    entries += part * static_cast<double>(of_entries);
    deletes += part * static_cast<double>(of_deletes);
  }
  Engine::RangeFigures Figures() const {
    // Each delete is an entry, and hides another one, which may lie in another source.
    return {.bytes = static_cast<uint64_t>(bytes), .keys = static_cast<uint64_t>(std::max(0.0, entries - 2 * deletes))};
  }
};

void SumMemtable(const Memtable& memtable, const InternalRange& range, RangeSum* sum) {
  if (memtable.empty()) return;
  const double part = memtable.PartBetween(range.begin, range.limit);
  sum->Add(part, memtable.memory_bytes(), memtable.operations(), memtable.deletes());
}

absl::Status SumTable(const LiveTable& table, const InternalRange& range, RangeSum* sum) {
  const TableInfo& info = table.info();
  const bool from_its_begin = CompareSpacedKeys(range.lower, SpacedKey(info.smallest)) <= 0;
  const bool to_its_end = EndsBefore(info.largest, range.upper);
  if (from_its_begin && to_its_end) {
    sum->Add(1, info.file_bytes, info.entries, info.deletes);
    return absl::OkStatus();
  }
  const absl::StatusOr<const TableReader*> reader = table.Reader();
  if (!reader.ok()) return ForReader(reader.status());
  const uint64_t data_bytes = std::max<uint64_t>((*reader)->properties().data_bytes, 1);
  const uint64_t begin = from_its_begin ? kFileHeaderBytes : (*reader)->ApproximateOffset(range.begin);
  const uint64_t end = to_its_end ? kFileHeaderBytes + data_bytes : (*reader)->ApproximateOffset(range.limit);
  if (end <= begin) return absl::OkStatus();
  const double part = std::min(1.0, static_cast<double>(end - begin) / static_cast<double>(data_bytes));
  sum->Add(part, info.file_bytes, info.entries, info.deletes);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Engine::RangeFigures> Engine::Approximate(std::string_view begin, std::string_view limit) {
  const ViewRef view = views_.Acquire();
  if (!view) return ClosedError();
  const InternalRange range{
      .lower = MakeSpacedKey(Space::kUser, begin),
      .upper = limit.empty() ? MakeSpacedKey(SpaceAfter(Space::kUser), {}) : MakeSpacedKey(Space::kUser, limit)};
  RangeSum sum;
  if (range.lower >= range.upper) return sum.Figures();
  SumMemtable(*view->memtable, range, &sum);
  for (const std::shared_ptr<const Memtable>& frozen : view->frozen) SumMemtable(*frozen, range, &sum);
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : view->version->Overlapping(level, range.lower, range.upper)) {
      BANDB_RETURN_IF_ERROR(SumTable(*table, range, &sum));
    }
  }
  return sum.Figures();
}

}  // namespace bandb::storage
