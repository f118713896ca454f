// An export that is cut short at any moment leaves whole files, and goes on to the same end.
#include "transfer/exporter.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "base/status.h"
#include "support/catch.h"
#include "support/crash_file_system.h"
#include "support/manual_clock.h"
#include "transfer/importer.h"

namespace bandb::transfer {
namespace {

using test::CrashFileSystem;
using Map = std::map<std::string, std::string>;

class MapSource final : public EntrySource {
 public:
  MapSource(const Map* map, const std::string& begin, std::string limit)
      : map_(map), next_(map->lower_bound(begin)), limit_(std::move(limit)) {}
  absl::StatusOr<bool> Next(Entry* entry) override {
    if (next_ == map_->end() || (!limit_.empty() && next_->first >= limit_)) return false;
    *entry = {.key = next_->first, .value = next_->second};
    ++next_;
    return true;
  }

 private:
  const Map* const map_;
  Map::const_iterator next_;
  const std::string limit_;
};

Map SomeEntries() {
  Map map;
  for (int i = 0; i < 60; ++i) map["key" + std::to_string(i)] = std::string(static_cast<size_t>(40 + i), 'v');
  map[std::string("\0", 1)] = "\xff\xfe";
  map[""] = "";
  return map;
}

ManifestHead SmallHead() {
  ManifestHead head;
  head.chunk_bytes = kChunkBytesMin;
  head.state = "sequence 1";
  return head;
}

absl::Status Export(base::FileSystem* files, const ManifestHead& head, bool resume, const Map& map,
                    ExportSummary* summary = nullptr, uint64_t fail_after = UINT64_MAX) {
  uint64_t left = fail_after;
  DirectoryExporter exporter(files, "out/dump", head, [](const ExportSummary&) {});
  class Failing final : public EntrySource {
   public:
    Failing(const Map* map, const std::string& begin, const std::string& limit, uint64_t* left)
        : source_(map, begin, limit), left_(left) {}
    absl::StatusOr<bool> Next(Entry* entry) override {
      if ((*left_)-- == 0) return base::Error(absl::StatusCode::kUnavailable, "gone");
      return source_.Next(entry);
    }

   private:
    MapSource source_;
    uint64_t* const left_;
  };
  const absl::Status status = exporter.Run(resume, [&](const std::string& begin) {
    return absl::StatusOr<std::unique_ptr<EntrySource>>(std::make_unique<Failing>(&map, begin, head.limit, &left));
  });
  if (summary != nullptr) *summary = exporter.summary();
  return status;
}

std::map<std::string, std::string> Contents(const CrashFileSystem& files) {
  std::map<std::string, std::string> contents;
  for (const auto& [path, size] : files.Files()) contents[path] = files.Content(path);
  return contents;
}

// What an import makes of the directory.
absl::StatusOr<Map> Imported(base::FileSystem* files) {
  class MapTarget final : public ImportTarget {
   public:
    absl::Status Add(ImportEntry entry, ImportSummary*) override {
      map[entry.key] = entry.value;
      return absl::OkStatus();
    }
    absl::Status Finish(ImportSummary*) override { return absl::OkStatus(); }
    Map map;
  };
  test::ManualClock clock;
  MapTarget target;
  Importer importer(files, &clock, &target, "", OpenInput(), [](const ImportSummary&) {});
  BANDB_RETURN_IF_ERROR(importer.Run({{.path = "out/dump", .directory = true}}));
  if (importer.summary().skipped_records() > 0) return base::Error(absl::StatusCode::kInternal, "skipped");
  return target.map;
}

// Chunks that the manifest names are there as it says.
void CheckPromises(CrashFileSystem* files) {
  const absl::StatusOr<std::string> text = base::ReadFile(files, "out/dump/manifest.jsonl", 1 << 20);
  if (!text.ok()) return;
  const absl::StatusOr<Manifest> manifest = ParseManifest(*text);
  REQUIRE_OK(manifest.status());
  for (const ManifestChunk& chunk : manifest->chunks) {
    const absl::StatusOr<std::string> content = base::ReadFile(files, "out/dump/" + chunk.file, 1 << 20);
    REQUIRE_OK(content.status());
    REQUIRE(content->size() == chunk.bytes);
    REQUIRE(base::Hash64(*content) == chunk.checksum);
  }
}

}  // namespace

TEST_CASE("an export is read back as it was, and a second one has the same bytes") {
  const Map map = SomeEntries();
  for (const Format format : {Format::kJsonLines, Format::kCsv, Format::kTsv, Format::kRaw}) {
    for (const bool compress : {false, true}) {
      ManifestHead head = SmallHead();
      head.layout = {format, Encoding::kBase64, Encoding::kHex};
      head.compress = compress;
      CrashFileSystem one;
      CrashFileSystem two;
      ExportSummary summary;
      REQUIRE_OK(Export(&one, head, false, map, &summary));
      REQUIRE_OK(Export(&two, head, true, map));
      CHECK(summary.entries == map.size());
      CHECK(summary.chunks > 3);
      CHECK(Contents(one) == Contents(two));
      CHECK(Imported(&one).value() == map);
      // Nothing but the chunks and the manifest is left.
      CHECK(one.Files().size() == summary.chunks + 1);
    }
  }
}

TEST_CASE("parquet has the same bytes on a second run and when gone on with, and is not imported") {
  const Map map = SomeEntries();
  for (const bool compress : {false, true}) {
    ManifestHead head = SmallHead();
    head.layout.format = Format::kParquet;
    head.compress = compress;
    CrashFileSystem one;
    CrashFileSystem two;
    ExportSummary summary;
    REQUIRE_OK(Export(&one, head, false, map, &summary));
    CHECK(summary.chunks > 3);
    REQUIRE_CODE(Export(&two, head, false, map, nullptr, 40), kUnavailable);
    REQUIRE_OK(Export(&two, head, true, map));
    CHECK(Contents(one) == Contents(two));
    CHECK(one.Content("out/dump/part-00000001.parquet").starts_with("PAR1"));
    CHECK_CODE(Imported(&one).status(), kInvalidArgument);
  }
}

TEST_CASE("an export of nothing is complete, too") {
  CrashFileSystem files;
  REQUIRE_OK(Export(&files, SmallHead(), false, {}));
  CHECK(Imported(&files).value().empty());
  CHECK(files.Files().size() == 1);
}

TEST_CASE("after power loss at any call the chunks are whole, and --resume makes what one run would have made") {
  const Map map = SomeEntries();
  CrashFileSystem whole;
  REQUIRE_OK(Export(&whole, SmallHead(), false, map));
  const auto wanted = Contents(whole);
  uint64_t resumed = 0;
  uint64_t point = 1;
  for (;; ++point) {
    CrashFileSystem files;
    files.StopAt(point);
    const absl::Status cut = Export(&files, SmallHead(), false, map);
    if (cut.ok()) break;
    for (const test::Damage damage : test::kAllDamages) {
      CAPTURE(point, test::DamageName(damage));
      const std::unique_ptr<CrashFileSystem> after = files.CrashImage(damage, point);
      CheckPromises(after.get());
      ExportSummary summary;
      REQUIRE_OK(Export(after.get(), SmallHead(), true, map, &summary));
      REQUIRE(Contents(*after) == wanted);
      CHECK(summary.entries + summary.earlier_entries == map.size());
      if (summary.earlier_entries > 0) ++resumed;
    }
  }
  CHECK(point > 30);
  CHECK(resumed > point);
}

TEST_CASE("after power loss an export that was reported complete is all there") {
  const Map map = SomeEntries();
  CrashFileSystem files;
  REQUIRE_OK(Export(&files, SmallHead(), false, map));
  for (const test::Damage damage : test::kAllDamages) {
    CHECK(Imported(files.CrashImage(damage, 5).get()).value() == map);
  }
}

namespace {

// Whether a promise is broken by power loss at some moment of an export in which this sync did
// nothing.
bool IsNoticed(uint64_t sync, const Map& map, uint64_t seed) {
  bool noticed = false;
  CrashFileSystem files;
  files.IgnoreSyncNumber(sync);
  // At each call what the manifest names is whole, and in the end all is there.
  files.SetHook([&](uint64_t) {
    for (const test::Damage damage : {test::Damage::kLost, test::Damage::kMixed}) {
      const auto after = files.CrashImage(damage, seed);
      const absl::StatusOr<std::string> text = base::ReadFile(after.get(), "out/dump/manifest.jsonl", 1 << 20);
      if (!text.ok()) continue;
      const absl::StatusOr<Manifest> manifest = ParseManifest(*text);
      noticed = noticed || !manifest.ok();
      if (noticed) return;
      for (const ManifestChunk& chunk : manifest->chunks) {
        const auto content = base::ReadFile(after.get(), "out/dump/" + chunk.file, 1 << 20);
        noticed = noticed || !content.ok() || base::Hash64(*content) != chunk.checksum;
      }
    }
  });
  REQUIRE_OK(Export(&files, SmallHead(), false, map));
  files.SetHook(nullptr);
  const auto end = Imported(files.CrashImage(test::Damage::kLost, seed).get());
  return noticed || !end.ok() || *end != map;
}

}  // namespace

TEST_CASE("each sync of an export is needed: without it power loss breaks a promise") {
  const Map map = SomeEntries();
  CrashFileSystem counting;
  REQUIRE_OK(Export(&counting, SmallHead(), false, map));
  const std::vector<test::FaultPlan::SyncCall> syncs = counting.syncs();
  REQUIRE(syncs.size() > 10);
  uint64_t needed = 0;
  for (const auto& sync : syncs) {
    bool noticed = false;
    for (uint64_t seed = 1; seed <= 4 && !noticed; ++seed) {
      noticed = IsNoticed(sync.number, map, seed) || IsNoticed(sync.number, {}, seed);
    }
    needed += noticed ? 1 : 0;
    CAPTURE(sync.number, sync.path);
    // A line of the manifest is made durable by the sync of the next one, too. What a lost one
    // costs is a chunk that is made again: no promise, but work.
    CHECK((noticed || sync.path.find("manifest.jsonl") != std::string::npos));
  }
  CHECK(needed > syncs.size() / 2);
}

TEST_CASE("a source that fails leaves whole chunks, and the rest is exported later") {
  const Map map = SomeEntries();
  CrashFileSystem files;
  ExportSummary first;
  REQUIRE_CODE(Export(&files, SmallHead(), false, map, &first, 40), kUnavailable);
  CHECK(first.chunks > 0);
  CHECK_CODE(Imported(&files).status(), kFailedPrecondition);
  REQUIRE_CODE(Export(&files, SmallHead(), false, map), kAlreadyExists);
  ExportSummary second;
  REQUIRE_OK(Export(&files, SmallHead(), true, map, &second));
  CHECK(second.earlier_entries > 0);
  CHECK(Imported(&files).value() == map);
  // And once more: nothing is left to do.
  REQUIRE_OK(Export(&files, SmallHead(), true, map, &second));
  CHECK(second.entries == 0);
}

TEST_CASE("an export goes on only as it was begun, and of the same state") {
  const Map map = SomeEntries();
  CrashFileSystem files;
  REQUIRE_CODE(Export(&files, SmallHead(), false, map, nullptr, 40), kUnavailable);
  for (int change = 0; change < 6; ++change) {
    ManifestHead head = SmallHead();
    if (change == 0) head.layout.format = Format::kRaw;
    if (change == 1) head.layout.keys = Encoding::kHex;
    if (change == 2) head.chunk_bytes *= 2;
    if (change == 3) head.limit = "k";
    if (change == 4) head.compress = true;
    if (change == 5) head.state = "sequence 2";
    CHECK_CODE(Export(&files, head, true, map), kFailedPrecondition);
  }
  REQUIRE_OK(Export(&files, SmallHead(), true, map));
}

TEST_CASE("a directory that holds something else, or damage, is left alone") {
  const Map map = SomeEntries();
  CrashFileSystem other;
  REQUIRE_OK(other.CreateDirs("out/dump"));
  REQUIRE_OK(base::InstallFile(&other, "out/dump/precious", "x"));
  CHECK_CODE(Export(&other, SmallHead(), false, map), kAlreadyExists);
  CHECK_CODE(Export(&other, SmallHead(), true, map), kInvalidArgument);
  CHECK(other.Content("out/dump/precious") == "x");

  CrashFileSystem files;
  REQUIRE_OK(Export(&files, SmallHead(), false, map));
  files.Truncate("out/dump/part-00000001.jsonl", 100);
  CHECK_CODE(Export(&files, SmallHead(), true, map), kDataLoss);
  CHECK_CODE(Imported(&files).status(), kDataLoss);
  REQUIRE_OK(files.Remove("out/dump/part-00000001.jsonl"));
  CHECK_CODE(Export(&files, SmallHead(), true, map), kDataLoss);
}

TEST_CASE("an export that failed leaves nothing that says it goes on, and what it could not begin is another's") {
  const Map map = SomeEntries();
  CrashFileSystem files;
  CHECK_CODE(Export(&files, SmallHead(), false, map, nullptr, 30), kUnavailable);
  CHECK_FALSE(*files.Exists("out/dump/export.lock"));
  CHECK_CODE(Export(&files, SmallHead(), false, map), kAlreadyExists);
  CHECK_FALSE(*files.Exists("out/dump/export.lock"));
  {
    const auto lock = files.Lock("out/dump/export.lock");
    REQUIRE_OK(lock.status());
    CHECK_CODE(Export(&files, SmallHead(), true, map), kFailedPrecondition);
    CHECK(*files.Exists("out/dump/export.lock"));
  }
  REQUIRE_OK(Export(&files, SmallHead(), true, map));
  CHECK_FALSE(*files.Exists("out/dump/export.lock"));
}

TEST_CASE("while one export writes into a directory, another is refused") {
  const Map map = SomeEntries();
  CrashFileSystem files;
  REQUIRE_OK(files.CreateDirs("out/dump"));
  const auto lock = files.Lock("out/dump/export.lock");
  REQUIRE_OK(lock.status());
  CHECK_CODE(Export(&files, SmallHead(), false, map), kFailedPrecondition);
}

TEST_CASE("a flipped byte of a chunk or the manifest is never imported") {
  const Map map = {{"a", "1"}, {"b", "2"}};
  CrashFileSystem files;
  REQUIRE_OK(Export(&files, SmallHead(), false, map));
  for (const auto& [path, size] : files.Files()) {
    for (uint64_t offset = 0; offset < size; ++offset) {
      CAPTURE(path, offset);
      files.FlipByte(path, offset, 0x04);
      const absl::StatusOr<Map> imported = Imported(&files);
      // Parts of the manifest's head say how it was asked for, and nothing of the entries.
      if (imported.ok()) {
        CHECK(path.find("manifest") != std::string::npos);
        CHECK(*imported == map);
      }
      files.FlipByte(path, offset, 0x04);
    }
  }
}

TEST_CASE("a stream is the bytes of one chunk, in pieces") {
  const Map map = SomeEntries();
  MapSource source(&map, "", "");
  std::string stream;
  const auto summary = ExportToStream(
      {}, &source,
      [&stream](std::string_view piece) {
        stream += piece;
        return absl::OkStatus();
      },
      [](const ExportSummary&) {});
  REQUIRE_OK(summary.status());
  CHECK(summary->entries == map.size());
  CrashFileSystem files;
  REQUIRE_OK(Export(&files, {}, false, map));
  CHECK(files.Content("out/dump/part-00000000.jsonl") == stream);
}

}  // namespace bandb::transfer
