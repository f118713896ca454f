// Pieces of an engine for the tests of its parts: tables on a disk in memory, and memtables to
// walk.
#ifndef BANDB_TEST_STORAGE_ENGINE_ENGINE_FIXTURE_H_
#define BANDB_TEST_STORAGE_ENGINE_ENGINE_FIXTURE_H_

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/file/file_names.h"
#include "storage/memtable/memtable.h"
#include "storage/table/table_fixture.h"
#include "storage/version/live_table.h"
#include "storage/version/version.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::storage {

inline constexpr char kTablesDir[] = "/tables";

inline std::string Spaced(std::string_view user_key) { return MakeSpacedKey(Space::kUser, user_key); }

// What the manifest would say of a table with these bounds. Tests of what looks at descriptions
// only need no file.
inline TableInfo Describe(uint64_t number, std::string_view first, std::string_view last,
                          Sequence smallest_sequence = 1, Sequence largest_sequence = 1, uint64_t file_bytes = 1000) {
  TableInfo info;
  info.number = number;
  info.file_bytes = file_bytes;
  info.entries = 2;
  info.smallest_sequence = smallest_sequence;
  info.largest_sequence = largest_sequence;
  info.smallest = Key(first, largest_sequence);
  info.largest = Key(last, smallest_sequence);
  return info;
}

// A description whose end comes from the limit of a range tombstone: no key at it belongs to the
// table.
inline TableInfo DescribeUpTo(uint64_t number, std::string_view first, std::string_view limit) {
  TableInfo info = Describe(number, first, limit);
  info.largest = MakeInternalKey(Spaced(limit), MakeTrailer(kSequenceMax, Kind::kRangeDelete));
  info.range_tombstones = 1;
  return info;
}

// The version that holds these tables, none of which has a file.
struct LevelTable {
  int level;
  TableInfo info;
};
inline absl::StatusOr<std::shared_ptr<const Version>> MakeVersion(const std::vector<LevelTable>& tables,
                                                                  const Version& from = Version()) {
  VersionEdit edit;
  std::vector<TablePtr> added;
  for (const LevelTable& table : tables) {
    edit.added.push_back({table.level, table.info});
    added.push_back(std::make_shared<LiveTable>(table.info, nullptr));
  }
  return from.Apply(edit, added);
}

inline std::vector<uint64_t> Numbers(const std::vector<TablePtr>& tables) {
  std::vector<uint64_t> numbers;
  for (const TablePtr& table : tables) numbers.push_back(table->info().number);
  return numbers;
}

// Tables with files.
class TableFolder {
 public:
  explicit TableFolder(uint64_t seed = 1)
      : env_(seed),
        cache_(std::make_shared<BlockCache>(1 << 20)),
        store_(std::make_shared<TableStore>(env_.env(), kTablesDir, cache_, 100)) {
    REQUIRE_OK(env_.files().CreateDirs(kTablesDir));
  }

  // Entries in order, at least one of them or of the tombstones.
  TablePtr Write(const Entries& entries, const std::vector<RangeTombstone>& tombstones = {}) {
    TableOptions options;
    options.block_bytes = 256;
    TableSummary summary;
    const std::string content = BuildTable(entries, options, tombstones, &summary);
    TableInfo info{summary.figures(), next_number_++,  summary.file_bytes,
                   summary.smallest,  summary.largest, summary.space};
    auto file = env_.files().Create(PathOf(info.number), base::AppendMode::kBuffered);
    REQUIRE_OK(file.status());
    REQUIRE_OK((*file)->Append(content));
    REQUIRE_OK((*file)->Sync());
    REQUIRE_OK((*file)->Close());
    return Open(std::move(info));
  }
  TablePtr Open(TableInfo info) { return std::make_shared<LiveTable>(std::move(info), store_); }

  static std::string PathOf(uint64_t number) { return base::JoinPath(kTablesDir, TableName(number)); }
  test::TestEnv& env() { return env_; }
  uint64_t NewNumber() { return next_number_++; }

 private:
  test::TestEnv env_;
  uint64_t next_number_ = 1;
  const std::shared_ptr<BlockCache> cache_;
  const std::shared_ptr<TableStore> store_;
};

inline kv::Operation PutOperation(std::string_view key, std::string_view value) {
  return {.kind = Kind::kPut, .key = key, .value = value};
}

// A memtable that holds random versions of few keys, with sequences from `first` on. Each is added
// to `entries`, too, which Sort then puts in order.
inline std::shared_ptr<Memtable> RandomMemtable(base::Random* random, Sequence first, size_t count, Entries* entries) {
  auto memtable = std::make_shared<Memtable>(Memtable::TakeRegion(nullptr, size_t{1} << 20), 1);
  for (size_t i = 0; i < count; ++i) {
    const Sequence sequence = first + i;
    const std::string key = fmt::format("k{:02}", random->Uniform(30));
    const std::string value = fmt::format("v{}", sequence);
    const bool deletes = random->OneIn(4);
    memtable->Add(sequence, Space::kUser,
                  deletes ? kv::Operation{.kind = Kind::kDelete, .key = key, .value = {}} : PutOperation(key, value));
    entries->emplace_back(Key(key, sequence, deletes ? Kind::kDelete : Kind::kPut), deletes ? "" : value);
  }
  return memtable;
}

inline void Sort(Entries* entries) {
  std::sort(entries->begin(), entries->end(),
            [](const auto& a, const auto& b) { return CompareInternalKeys(a.first, b.first) < 0; });
}

// Walks a cursor at random beside a position in sorted entries: seeks, steps and turns. The two
// must agree.
inline void WalkAtRandom(Cursor* cursor, const Entries& entries, base::Random* random, int steps) {
  const auto size = static_cast<ptrdiff_t>(entries.size());
  ptrdiff_t at = -1;  // -1 and size: past an end
  for (int step = 0; step < steps; ++step) {
    const bool inside = at >= 0 && at < size;
    const uint64_t choice = random->Uniform(inside ? 12 : 4);
    std::string target = SeekKey(fmt::format("k{:02}", random->Uniform(32)), random->Uniform(200));
    if (random->OneIn(2) && size > 0) target = entries[random->Uniform(entries.size())].first;
    const auto not_before = std::lower_bound(
        entries.begin(), entries.end(), target,
        [](const auto& entry, const std::string& key) { return CompareInternalKeys(entry.first, key) < 0; });
    if (choice == 0) {
      cursor->SeekToFirst();
      at = 0;
    } else if (choice == 1) {
      cursor->SeekToLast();
      at = size - 1;
    } else if (choice == 2) {
      cursor->Seek(target);
      at = not_before - entries.begin();
    } else if (choice == 3) {
      cursor->SeekForPrev(target);
      const bool found = not_before != entries.end() && not_before->first == target;
      at = not_before - entries.begin() - (found ? 0 : 1);
    } else if (choice < 8) {
      cursor->Next();
      ++at;
    } else {
      cursor->Prev();
      --at;
    }
    REQUIRE_OK(cursor->status());
    REQUIRE(cursor->Valid() == (at >= 0 && at < size));
    if (!cursor->Valid()) continue;
    REQUIRE(cursor->key() == entries[static_cast<size_t>(at)].first);
    REQUIRE(cursor->value() == entries[static_cast<size_t>(at)].second);
  }
}

}  // namespace bandb::storage

#endif  // BANDB_TEST_STORAGE_ENGINE_ENGINE_FIXTURE_H_
