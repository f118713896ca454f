// Whatever kills an export of changes at whatever moment: its files have each change once.
#include "transfer/change_exporter.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "support/catch.h"
#include "support/crash_file_system.h"
#include "tools/fake_feed.h"
#include "transfer/export_manifest.h"

namespace bandb::transfer {
namespace {

// How many commits these lines are; they are commits from the first on, each whole and once.
size_t CommitsIn(const FakeFeed& feed, const std::string& lines) {
  std::string some;
  for (size_t i = 0;; ++i) {
    const bool goes_on = i < feed.commits.size() && (some != lines || feed.commits[i].changes.empty());
    if (!goes_on) {
      REQUIRE(some == lines);
      return i;
    }
    for (const ChangeEntry& change : feed.commits[i].changes) AppendChangeLine({}, feed.commits[i], change, &some);
  }
}

// What the manifest says of the files, and how many it names.
size_t CheckManifest(CrashFileSystem* files) {
  const auto text = base::ReadFile(files, base::JoinPath(kDirectory, kManifestName), 1 << 20);
  if (!text.ok()) return 0;
  const absl::StatusOr<ChangesManifest> manifest = ParseChangesManifest(*text);
  REQUIRE_OK(manifest.status());
  std::string_view lines = manifest->lines;
  for (uint64_t i = 0; i < manifest->files; ++i) {
    const size_t begin = lines.find(": \"") + 3;
    const std::string name(lines.substr(begin, lines.find('"', begin) - begin));
    const auto content = base::ReadFile(files, base::JoinPath(kDirectory, name), 1 << 20);
    REQUIRE_OK(content.status());
    const std::string checksum = std::to_string(content->size());
    REQUIRE(lines.substr(0, lines.find('\n')).find("\"bytes\": " + checksum + ",") != std::string_view::npos);
    lines.remove_prefix(lines.find('\n') + 1);
  }
  return manifest->files;
}

}  // namespace

TEST_CASE("the files have each change once, are cut by size, and are the same for all who read that feed") {
  FakeFeed feed(60);
  CrashFileSystem one;
  CrashFileSystem two;
  ChangesSummary summary;
  REQUIRE_OK(Run(&one, &feed, {.finish_each = 0}, &summary));
  CHECK(Union(one) == feed.Lines(60));
  CHECK(summary.files > 5);
  CHECK(summary.files == Named(one).size());
  CHECK(summary.commits == 60);
  CHECK(CheckManifest(&one) == summary.files);
  CHECK(feed.cursor == 60);
  // However many commits come at a time.
  feed.cursor = 0;
  REQUIRE_OK(Run(&two, &feed, {.reply = 17, .finish_each = 0}));
  CHECK(Named(one) == Named(two));
  CHECK(one.Files().size() == summary.files + 2);
}

TEST_CASE("run again it goes on, with files of another size, after what was there") {
  FakeFeed feed(60);
  CrashFileSystem files;
  ChangesSummary summary;
  for (const size_t end : {10, 10, 11, 30, 60}) {
    const auto before = Named(files);
    REQUIRE_OK(Run(&files, &feed, {.chunk_bytes = 300 + 100 * end, .end = end}, &summary));
    CHECK(summary.earlier_files == before.size());
    CHECK(Union(files) == feed.Lines(end));
    CHECK(feed.cursor == end);
    // What is there never changes.
    const auto after = Named(files);
    for (const auto& [path, content] : before) CHECK(after.at(path) == content);
  }
}

TEST_CASE("after power loss or a kill at any call, the next run makes the union whole, with nothing twice") {
  // Acknowledgements are lost; or they are all that is kept, and the feed is quiet for a while.
  for (const bool forgets : {false, true}) {
    const size_t quiet = forgets ? SIZE_MAX : 7;
    uint64_t point = 1;
    for (;; ++point) {
      CrashFileSystem files;
      FakeFeed feed(24, quiet);
      files.StopAt(point);
      if (Run(&files, &feed, {.finish_each = forgets ? 9u : 1u, .forgets = forgets}).ok()) break;
      const auto check = [&](const std::unique_ptr<CrashFileSystem>& after, bool killed) {
        FakeFeed rest(24, quiet);
        rest.cursor = feed.cursor;
        const size_t there = CommitsIn(rest, Union(*after));
        CHECK(there >= feed.cursor);
        CheckManifest(after.get());
        const auto before = killed ? Named(files) : Named(*after);
        // What was visible is there, and with a different size of files.
        REQUIRE_OK(Run(after.get(), &rest, {.chunk_bytes = 1700, .reply = 5, .forgets = forgets}));
        const auto now = Named(*after);
        for (const auto& [path, content] : before) REQUIRE(now.at(path) == content);
        REQUIRE(Union(*after) == rest.Lines(24));
        CheckManifest(after.get());
      };
      CAPTURE(point, forgets);
      for (const test::Damage damage : test::kAllDamages) check(files.CrashImage(damage, point), false);
      check(files.ProcessDeathImage(point), true);
    }
    CHECK(point > 60);
  }
}

TEST_CASE("stopped again and again, also while it takes up what the last run left, it loses and repeats nothing") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    auto files = std::make_unique<CrashFileSystem>();
    FakeFeed feed(40);
    for (uint64_t round = 1; round < 40; ++round) {
      files->StopAt(1 + (seed * 7 + round * 13) % 23);
      if (Run(files.get(), &feed, {.chunk_bytes = 400 * (1 + round % 3), .reply = 1 + round % 6}).ok()) break;
      files = round % 3 == 0 ? files->ProcessDeathImage(seed)
                             : files->CrashImage(test::kAllDamages[round % std::size(test::kAllDamages)], seed);
      CHECK(CommitsIn(feed, Union(*files)) >= feed.cursor);
    }
    // The last one may have ended before it.
    files->StopAt(UINT64_MAX);
    REQUIRE_OK(Run(files.get(), &feed, {}));
    REQUIRE(Union(*files) == feed.Lines(40));
  }
}

TEST_CASE("each sync of an export of changes is needed: without it power loss breaks a promise") {
  CrashFileSystem counting;
  FakeFeed whole(10);
  REQUIRE_OK(Run(&counting, &whole, {.chunk_bytes = 600}));
  const auto syncs = counting.syncs();
  REQUIRE(syncs.size() > 20);
  for (const auto& sync : syncs) {
    // A line of the manifest is written once more from the place, and the manifest of a directory
    // without files has nothing that is not in the options.
    if (sync.path.find("manifest.jsonl") != std::string::npos || sync.number == 4) continue;
    bool noticed = false;
    for (uint64_t seed = 1; seed <= 8 && !noticed; ++seed) {
      CrashFileSystem files;
      FakeFeed feed(10);
      files.IgnoreSyncNumber(sync.number);
      files.SetHook([&](uint64_t) {
        for (const test::Damage damage : test::kAllDamages) {
          if (noticed) return;
          const auto after = files.CrashImage(damage, seed);
          // What was acknowledged is there, and the next run ends well.
          const std::string there = Union(*after);
          const std::string promised = feed.Lines(feed.cursor);
          FakeFeed rest(10);
          rest.cursor = feed.cursor;
          noticed =
              !there.starts_with(promised) || !Run(after.get(), &rest, {}).ok() || Union(*after) != rest.Lines(10);
        }
      });
      REQUIRE_OK(Run(&files, &feed, {.chunk_bytes = 600}));
    }
    CAPTURE(sync.number, sync.path);
    CHECK(noticed);
  }
}

TEST_CASE("a full or failing disk ends the run, with nothing acknowledged that is not there, and a later one goes on") {
  for (const test::FaultKind kind : {test::FaultKind::kNoSpace, test::FaultKind::kIoError}) {
    for (const test::FileCall call : {test::FileCall::kAppend, test::FileCall::kSync, test::FileCall::kSyncDir,
                                      test::FileCall::kRename, test::FileCall::kCreate}) {
      for (uint64_t skip = 0; skip < 30; skip += 1) {
        CAPTURE(static_cast<int>(kind), test::FileCallName(call), skip);
        CrashFileSystem files;
        FakeFeed feed(24);
        files.Inject({.kind = kind, .calls = {call}, .skip = skip});
        const absl::Status status = Run(&files, &feed, {});
        if (files.failures() > 0) CHECK_FALSE(status.ok());
        CHECK(CommitsIn(feed, Union(files)) >= feed.cursor);
        files.ClearFaults();
        REQUIRE_OK(Run(&files, &feed, {}));
        REQUIRE(Union(files) == feed.Lines(24));
      }
    }
  }
}

TEST_CASE("after an error nothing more is written or acknowledged") {
  CrashFileSystem files;
  uint64_t acknowledged = 0;
  FakeFeed feed(2);
  ChangeExporter exporter(&files, kDirectory, {}, 1000, [&](std::string_view) {
    ++acknowledged;
    return absl::OkStatus();
  });
  REQUIRE_OK(exporter.Begin());
  REQUIRE_OK(exporter.Add(feed.commits[0]));
  REQUIRE_OK(exporter.Passed("t"));
  files.Inject({.kind = test::FaultKind::kNoSpace, .calls = {test::FileCall::kAppend}});
  CHECK_CODE(exporter.Finish(), kResourceExhausted);
  const uint64_t mutations = files.mutations();
  CHECK_CODE(exporter.Add(feed.commits[1]), kResourceExhausted);
  CHECK_CODE(exporter.Passed("u"), kResourceExhausted);
  CHECK_CODE(exporter.Finish(), kResourceExhausted);
  CHECK_CODE(exporter.Close(), kResourceExhausted);
  CHECK(files.mutations() == mutations);
  CHECK(acknowledged == 0);
}

TEST_CASE("an export of changes that failed leaves nothing that says it goes on") {
  CrashFileSystem files;
  FakeFeed feed(2);
  {
    ChangeExporter exporter(&files, kDirectory, {}, 1000, [](std::string_view) { return absl::OkStatus(); });
    REQUIRE_OK(exporter.Begin());
    REQUIRE_OK(exporter.Add(feed.commits[0]));
    REQUIRE_OK(exporter.Passed("t"));
    ChangeExporter other(&files, kDirectory, {}, 1000, [](std::string_view) { return absl::OkStatus(); });
    CHECK_CODE(other.Begin(), kFailedPrecondition);
    files.Inject({.kind = test::FaultKind::kNoSpace, .calls = {test::FileCall::kAppend}});
    CHECK_CODE(exporter.Finish(), kResourceExhausted);
    CHECK_CODE(exporter.Close(), kResourceExhausted);
    CHECK(*files.Exists(std::string(kDirectory) + "/export.lock"));
  }
  CHECK_FALSE(*files.Exists(std::string(kDirectory) + "/export.lock"));
  // Nor does one that cannot begin.
  {
    ChangeExporter exporter(&files, kDirectory, {.cursor = "another"}, 1000,
                            [](std::string_view) { return absl::OkStatus(); });
    CHECK_CODE(exporter.Begin(), kFailedPrecondition);
    CHECK(*files.Exists(std::string(kDirectory) + "/export.lock"));
  }
  CHECK_FALSE(*files.Exists(std::string(kDirectory) + "/export.lock"));
}

TEST_CASE("a cursor that was put back writes nothing twice, and one that is ahead leaves no gap") {
  CrashFileSystem files;
  FakeFeed feed(30);
  REQUIRE_OK(Run(&files, &feed, {.end = 20}));
  feed.cursor = 3;
  REQUIRE_OK(Run(&files, &feed, {.end = 25}));
  CHECK(feed.cursor == 25);
  CHECK(Union(files) == feed.Lines(25));
  // Somebody else acknowledged: what this directory lacks is gone.
  feed.cursor = 28;
  CHECK_CODE(Run(&files, &feed, {}), kOutOfRange);
  CHECK(Union(files) == feed.Lines(25));
}

TEST_CASE("a feed that gives what files have is passed over, and one that overlaps is refused") {
  CrashFileSystem files;
  FakeFeed feed(10);
  REQUIRE_OK(Run(&files, &feed, {.end = 6}));
  const auto none = [](std::string_view) { return absl::OkStatus(); };
  ChangeExporter exporter(&files, kDirectory, {.cursor = "c"}, 1000, none);
  REQUIRE_OK(exporter.Begin());
  CHECK(exporter.token() == FakeFeed::TokenOf(6));
  for (size_t i = 3; i < 6; ++i) REQUIRE_OK(exporter.Add(feed.commits[i]));
  CHECK(exporter.pending_changes() == 0);
  // Also what this run has written.
  REQUIRE_OK(exporter.Add(feed.commits[6]));
  REQUIRE_OK(exporter.Finish());
  REQUIRE_OK(exporter.Add(feed.commits[6]));
  CHECK(exporter.pending_changes() == 0);
  CHECK(Union(files) == feed.Lines(7));
  ChangeCommit overlapping = feed.commits[7];
  overlapping.first_sequence = feed.commits[6].last_sequence;
  CHECK_CODE(exporter.Add(overlapping), kDataLoss);
}

TEST_CASE("a reader at rest takes its place along, so that what is let go meanwhile is not missed") {
  CrashFileSystem files;
  std::string acknowledged;
  const auto take = [&](std::string_view token) {
    acknowledged = token;
    return absl::OkStatus();
  };
  FakeFeed feed(2);
  for (const std::string token : {"a", "b", "c"}) {
    ChangeExporter exporter(&files, kDirectory, {}, 1000, take);
    REQUIRE_OK(exporter.Begin());
    CHECK(exporter.token() == acknowledged);
    REQUIRE_OK(exporter.Passed(token));
    REQUIRE_OK(exporter.Close());
    CHECK(acknowledged == token);
    CHECK(Named(files).empty());
  }
  // The first place is noted down at once; a later one when it is asked for.
  ChangeExporter exporter(&files, kDirectory, {}, 1000, take);
  REQUIRE_OK(exporter.Begin());
  const uint64_t mutations = files.mutations();
  REQUIRE_OK(exporter.Passed("d"));
  CHECK(exporter.has_moved());
  CHECK(files.mutations() == mutations);
  REQUIRE_OK(exporter.Finish());
  CHECK_FALSE(exporter.has_moved());
}

TEST_CASE("files may be taken away once the manifest names them, and one that went before that is missed") {
  FakeFeed feed(20);
  CrashFileSystem files;
  REQUIRE_OK(Run(&files, &feed, {.end = 10}));
  std::string taken = Union(files);
  for (const auto& [path, content] : Named(files)) REQUIRE_OK(files.Remove(path));
  REQUIRE_OK(Run(&files, &feed, {}));
  CHECK(taken + Union(files) == feed.Lines(20));

  // Stopped when the file counts and the manifest does not have it yet.
  for (uint64_t point = 1;; ++point) {
    CrashFileSystem cut;
    FakeFeed again(20);
    cut.StopAt(point);
    REQUIRE_FALSE(Run(&cut, &again, {}).ok());
    const auto after = cut.ProcessDeathImage(1);
    if (Named(*after).empty() || CheckManifest(after.get()) > 0) continue;
    const std::string path = Named(*after).begin()->first;
    const std::string content = after->Content(path);
    REQUIRE_OK(after->Remove(path));
    CHECK_CODE(Run(after.get(), &again, {}), kDataLoss);
    REQUIRE_OK(base::InstallFile(after.get(), path, content));
    after->FlipByte(path, 3, 1);
    CHECK_CODE(Run(after.get(), &again, {}), kDataLoss);
    after->FlipByte(path, 3, 1);
    REQUIRE_OK(Run(after.get(), &again, {}));
    CHECK(Union(*after) == again.Lines(20));
    break;
  }
}

}  // namespace bandb::transfer
