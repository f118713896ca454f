// Merges: nobody who may still read sees a difference, tables are cut between keys, and an
// abandoned merge leaves nothing.
#include "storage/compaction/table_merge.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>

#include "storage/engine/engine_fixture.h"
#include "storage/read/merging_cursor.h"
#include "storage/table/table_cursor.h"

namespace bandb::storage {

namespace {

// What a reader at a sequence sees, by user key.
std::map<std::string, std::string> SeenAt(const Entries& entries, const FragmentedTombstones& tombstones,
                                          Sequence sequence) {
  std::map<std::string, std::string> seen;
  std::string last;
  for (const auto& [key, value] : entries) {
    const std::string_view spaced = SpacedKey(key);
    if (TrailerSequence(Trailer(key)) > sequence || spaced == last) continue;
    last.assign(spaced);
    const bool covered = tombstones.CoveringSequence(spaced, sequence) > TrailerSequence(Trailer(key));
    if (TrailerKind(Trailer(key)) == Kind::kPut && !covered) seen[std::string(UserKey(spaced))] = value;
  }
  return seen;
}

struct Fixture {
  explicit Fixture(uint64_t seed) : random(seed) {
    for (Sequence first = 1; first <= 201; first += 100) {
      memtables.push_back(RandomMemtable(&random, first, 80, &entries));
    }
    for (int i = 0; i < 4; ++i) {
      const uint64_t begin = random.Uniform(28);
      tombstones.push_back({Spaced(fmt::format("k{:02}", begin)),
                            Spaced(fmt::format("k{:02}", begin + 1 + random.Uniform(8))),
                            90 + 100 * random.Uniform(3)});
    }
    Sort(&entries);
  }

  MergeInputs Inputs() {
    MergeInputs inputs;
    std::vector<std::unique_ptr<Cursor>> cursors;
    for (const auto& memtable : memtables) cursors.push_back(memtable->NewCursor());
    inputs.cursor = NewMergingCursor(std::move(cursors));
    inputs.tombstones = tombstones;
    inputs.horizon.snapshots = snapshots;
    return inputs;
  }
  MergeOutputs Outputs(uint64_t table_bytes) {
    MergeOutputs outputs;
    outputs.files = &folder.env().files();
    outputs.engine_dir = kTablesDir;
    outputs.table_options.block_bytes = 256;
    outputs.table_bytes = table_bytes;
    outputs.new_file_number = [this] { return folder.NewNumber(); };
    return outputs;
  }

  base::Random random;
  TableFolder folder;
  std::vector<std::shared_ptr<Memtable>> memtables;
  Entries entries;
  std::vector<RangeTombstone> tombstones;
  std::vector<Sequence> snapshots{50, 120, 121};
};

}  // namespace

TEST_CASE("after a merge every reader finds what he found before, in tables that do not overlap") {
  size_t tables_made = 0, entries_kept = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Fixture f(seed);
    MergeInputs inputs = f.Inputs();
    const bool nothing_below = seed % 2 == 0;
    if (nothing_below) inputs.version = std::make_shared<Version>();
    inputs.output_level = 6;
    TableMerge merge(std::move(inputs), f.Outputs(seed % 3 == 0 ? UINT64_MAX : 700));
    while (true) {
      const auto done = merge.Step(100);
      REQUIRE_OK(done.status());
      if (*done) break;
    }
    CHECK(merge.input_entries() == f.entries.size());
    const std::vector<TableInfo> infos = merge.TakeTables();
    tables_made += infos.size();
    Entries after;
    std::vector<RangeTombstone> tombstones_after;
    std::vector<LevelTable> level;
    for (const TableInfo& info : infos) {
      level.push_back({6, info});
      const TablePtr table = f.folder.Open(info);
      const auto reader = table->Reader();
      REQUIRE_OK(reader.status());
      CHECK_OK((*reader)->VerifyChecksums());
      const auto cursor = NewTableCursor(**reader, {});
      cursor->SeekToFirst();
      const Entries part = Collect(cursor.get());
      CHECK(part.size() == info.entries);
      after.insert(after.end(), part.begin(), part.end());
      const auto& more = (*reader)->tombstones().tombstones();
      tombstones_after.insert(tombstones_after.end(), more.begin(), more.end());
    }
    // Refused if two of them share a key, or are out of order.
    CHECK_OK(MakeVersion(level).status());
    entries_kept += after.size();
    CHECK(after.size() < f.entries.size());
    const FragmentedTombstones before_all(f.tombstones), after_all(tombstones_after);
    for (const Sequence reader : {Sequence{50}, Sequence{120}, Sequence{121}, Sequence{290}, kSequenceMax}) {
      REQUIRE(SeenAt(after, after_all, reader) == SeenAt(f.entries, before_all, reader));
    }
  }
  CHECK(tables_made > 25);
  CHECK(entries_kept > 500);
}

TEST_CASE("tables are durable when a merge is done, and gone when it is given up") {
  Fixture f(1);
  {
    TableMerge merge(f.Inputs(), f.Outputs(700));
    const auto done = merge.Step(2000);
    REQUIRE_OK(done.status());
    REQUIRE_FALSE(*done);
    CHECK_FALSE(f.folder.env().files().Files().empty());
  }
  CHECK(f.folder.env().files().Files().empty());
  TableMerge merge(f.Inputs(), f.Outputs(700));
  REQUIRE(merge.Step(UINT64_MAX).value());
  REQUIRE_OK(f.folder.env().files().SyncDir(kTablesDir));
  REQUIRE_OK(f.folder.env().files().SyncDir("/"));
  const auto image = f.folder.env().files().CrashImage(test::Damage::kLost, 1);
  for (const TableInfo& info : merge.TakeTables()) {
    CHECK(image->FileSize(TableFolder::PathOf(info.number)).value() == info.file_bytes);
  }
}

TEST_CASE("what a merge holds of the table that it makes is counted, until it ends or is given up") {
  Fixture f(1);
  std::atomic<uint64_t> memory_bytes{1};
  MergeOutputs outputs = f.Outputs(UINT64_MAX);
  outputs.memory_bytes = &memory_bytes;
  const bool finished = GENERATE(false, true);
  {
    TableMerge merge(f.Inputs(), std::move(outputs));
    uint64_t most_bytes = 0;
    for (bool done = false; !done && (finished || most_bytes <= 1);) {
      const auto step = merge.Step(500);
      REQUIRE_OK(step.status());
      done = *step;
      most_bytes = std::max(most_bytes, memory_bytes.load());
    }
    CHECK(most_bytes > 500);
    CHECK((memory_bytes == 1) == finished);
  }
  CHECK(memory_bytes == 1);
}

TEST_CASE("a merge that cannot write says so, and removes what it had begun") {
  Fixture f(1);
  for (const test::FileCall call : {test::FileCall::kCreate, test::FileCall::kAppend, test::FileCall::kSync}) {
    TableMerge merge(f.Inputs(), f.Outputs(400));
    f.folder.env().files().Inject({.kind = test::FaultKind::kNoSpace, .calls = {call}, .skip = 1});
    CHECK_CODE(merge.Step(UINT64_MAX).status(), kResourceExhausted);
  }
  CHECK(f.folder.env().files().failures() == 3);
  CHECK(f.folder.env().files().Files().empty());
}

}  // namespace bandb::storage
