// The directory of an export of changes, and what others do in it and to it.
#include <memory>
#include <string>
#include <vector>

#include "base/posix_file_system.h"
#include "base/status.h"
#include "support/catch.h"
#include "support/crash_file_system.h"
#include "support/temp_dir.h"
#include "tools/fake_feed.h"
#include "transfer/change_exporter.h"
#include "transfer/export_manifest.h"

namespace bandb::transfer {

TEST_CASE("a directory of something else, or that was begun otherwise, or is damaged, is left alone") {
  FakeFeed feed(20);
  CrashFileSystem other;
  REQUIRE_OK(other.CreateDirs(kDirectory));
  REQUIRE_OK(base::InstallFile(&other, "out/feed/precious", "x"));
  CHECK_CODE(Run(&other, &feed, {}), kInvalidArgument);
  CHECK(other.Content("out/feed/precious") == "x");
  CrashFileSystem state;
  REQUIRE_OK(state.CreateDirs(kDirectory));
  REQUIRE_OK(base::InstallFile(&state, base::JoinPath(kDirectory, kManifestName), HeadLine({})));
  CHECK_CODE(Run(&state, &feed, {}), kInvalidArgument);

  CrashFileSystem files;
  REQUIRE_OK(Run(&files, &feed, {.end = 10}));
  for (int change = 0; change < 7; ++change) {
    ChangesHead head{.cursor = "c"};
    if (change == 0) head.layout.format = Format::kRaw;
    if (change == 1) head.layout.keys = Encoding::kHex;
    if (change == 2) head.begin = "k";
    if (change == 3) head.limit = "k";
    if (change == 4) head.compress = true;
    if (change == 5) head.parts = 2;
    if (change == 6) head.cursor = "d";
    CHECK_CODE(Run(&files, &feed, {.head = head}), kFailedPrecondition);
  }
  {
    const auto lock = files.Lock("out/feed/export.lock");
    REQUIRE_OK(lock.status());
    CHECK_CODE(Run(&files, &feed, {}), kFailedPrecondition);
  }
  // The place of another time, or none.
  const std::string place = files.Content("out/feed/changes.place");
  REQUIRE_OK(Run(&files, &feed, {.end = 15}));
  const std::string later = files.Content("out/feed/changes.place");
  files.SetContent("out/feed/changes.place", place);
  CHECK_CODE(Run(&files, &feed, {}), kDataLoss);
  REQUIRE_OK(files.Remove("out/feed/changes.place"));
  CHECK_CODE(Run(&files, &feed, {}), kDataLoss);
  REQUIRE_OK(base::InstallFile(&files, "out/feed/changes.place", later));
  // A file that has the name of the next one.
  const std::string next = ChangesFileName({}, feed.commits[15].first_sequence);
  REQUIRE_OK(base::InstallFile(&files, base::JoinPath(kDirectory, next), "x"));
  CHECK_CODE(Run(&files, &feed, {}), kAlreadyExists);
  CHECK(files.Content(base::JoinPath(kDirectory, next)) == "x");
  REQUIRE_OK(files.Remove(base::JoinPath(kDirectory, next)));
  REQUIRE_OK(Run(&files, &feed, {}));
  CHECK(Union(files) == feed.Lines(20));
}

TEST_CASE("what is not of an export is never deleted, whatever it is named") {
  FakeFeed feed(8);
  for (const std::string name :
       {"changes-mine.tmp", "manifest.jsonl.tmp", "changes.place.tmp", "changes-00000000000000000001.jsonl.tmp"}) {
    CAPTURE(name);
    const std::string path = base::JoinPath(kDirectory, name);
    CrashFileSystem never;
    REQUIRE_OK(never.CreateDirs(kDirectory));
    REQUIRE_OK(base::InstallFile(&never, path, "mine"));
    CHECK_CODE(Run(&never, &feed, {}), kInvalidArgument);
    CHECK(never.Content(path) == "mine");
  }
  CrashFileSystem files;
  REQUIRE_OK(Run(&files, &feed, {.end = 4}));
  for (const std::string name : {"changes-mine.tmp", "changes-1.jsonl.tmp", "changes-00000000000000000001.csv.tmp"}) {
    const std::string path = base::JoinPath(kDirectory, name);
    REQUIRE_OK(base::InstallFile(&files, path, "mine"));
    REQUIRE_OK(Run(&files, &feed, {}));
    CHECK(files.Content(path) == "mine");
  }
}

TEST_CASE("a full disk gets back what a run has staged, and what one that was killed has left goes first") {
  // The place does not find room.
  CrashFileSystem files;
  FakeFeed feed(24);
  REQUIRE_OK(Run(&files, &feed, {.end = 4}));
  const size_t before = files.Files().size();
  for (uint64_t skip = 0; skip < 8; ++skip) {
    CAPTURE(skip);
    files.Inject({.kind = test::FaultKind::kNoSpace, .calls = {test::FileCall::kAppend}, .skip = skip});
    const auto named = Named(files);
    CHECK_CODE(Run(&files, &feed, {.chunk_bytes = 1 << 20}), kResourceExhausted);
    files.ClearFaults();
    // The lock stays; and the manifest that is begun is no larger than the one that is there.
    size_t staged = 0;
    for (const auto& [path, size] : files.Files())
      staged += path.find("changes-") != std::string::npos && path.ends_with(".tmp");
    CHECK(staged == 0);
    if (Named(files).size() > named.size()) break;
  }
  CHECK(files.Files().size() > before);

  CrashFileSystem killed;
  REQUIRE_OK(Run(&killed, &feed, {.end = 24}));
  const std::string left = "out/feed/changes-00000000000000099999.jsonl.tmp";
  REQUIRE_OK(base::InstallFile(&killed, left, std::string(5000, 'v')));
  killed.Inject({.kind = test::FaultKind::kNoSpace, .calls = {test::FileCall::kAppend}});
  CHECK_CODE(Run(&killed, &feed, {}), kResourceExhausted);
  CHECK_FALSE(*killed.Exists(left));
}

TEST_CASE("a directory that takes the name of the other while it is written gets nothing, nor is it acknowledged") {
  const test::TempDir scratch;
  base::PosixFileSystem files;
  FakeFeed feed(10);
  const std::string name = scratch.path() + "/feed";
  const std::string old = scratch.path() + "/feed.old";
  std::string acknowledged;
  ChangeExporter exporter(&files, name + "/", {}, 1000, [&](std::string_view token) {
    acknowledged = token;
    return absl::OkStatus();
  });
  REQUIRE_OK(exporter.Begin());
  REQUIRE_OK(exporter.Add(feed.commits[0]));
  REQUIRE_OK(exporter.Passed("t"));
  REQUIRE_OK(exporter.Finish());
  REQUIRE(acknowledged == "t");
  REQUIRE_OK(files.Rename(name, old));
  REQUIRE_OK(files.CreateDirs(name));
  REQUIRE_OK(exporter.Add(feed.commits[1]));
  REQUIRE_OK(exporter.Passed("u"));
  CHECK_CODE(exporter.Finish(), kFailedPrecondition);
  CHECK_CODE(exporter.Close(), kFailedPrecondition);
  CHECK(acknowledged == "t");
  CHECK(files.List(name).value().empty());
  const std::vector<std::string> lasting = files.List(old).value();
  for (const std::string& left : lasting) CHECK_FALSE(left.ends_with(".tmp"));
}

TEST_CASE("a lock file that somebody swept away is not missed") {
  CrashFileSystem files;
  const auto none = [](std::string_view) { return absl::OkStatus(); };
  ChangeExporter exporter(&files, kDirectory, {}, 1000, none);
  REQUIRE_OK(exporter.Begin());
  REQUIRE_OK(files.Remove("out/feed/export.lock"));
  CHECK_OK(exporter.Close());
}

}  // namespace bandb::transfer
