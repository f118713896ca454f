// The crashable file system itself: a rig that loses too little or too much proves nothing.
#include "support/crash_file_system.h"

#include <set>
#include <string>

#include "base/status.h"
#include "support/catch.h"
#include "support/random_data.h"

namespace bandb::test {

namespace {

using base::AppendMode;

constexpr uint64_t kSeeds = 60;

std::unique_ptr<base::AppendableFile> Create(base::FileSystem& files, const std::string& path,
                                             AppendMode mode = AppendMode::kWriteThrough) {
  auto file = files.Create(path, mode);
  REQUIRE(file.status() == absl::OkStatus());
  return *std::move(file);
}

// The content of a file, or "missing".
std::string Found(CrashFileSystem& files, const std::string& path) {
  return files.Exists(path).value() ? files.Content(path) : "missing";
}

// What a file is found to hold after power loss, over many seeds.
std::set<std::string> Outcomes(const CrashFileSystem& files, const std::string& path, Damage damage) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) outcomes.insert(Found(*files.CrashImage(damage, seed), path));
  return outcomes;
}

}  // namespace

TEST_CASE("what is synced, with its entry, survives every damage") {
  CrashFileSystem files;
  const AppendMode mode = GENERATE(AppendMode::kWriteThrough, AppendMode::kBuffered);
  REQUIRE_OK(files.CreateDirs("/db/sub"));
  auto file = Create(files, "/db/sub/file", mode);
  base::Random random(1);
  const std::string synced = RandomBytes(&random, 5000);
  REQUIRE_OK(file->Append(synced));
  REQUIRE_OK(file->Sync());
  REQUIRE_OK(file->Append(RandomBytes(&random, 5000)));
  for (const char* directory : {"/", "/db", "/db/sub"}) REQUIRE_OK(files.SyncDir(directory));
  for (Damage damage : kAllDamages) {
    CAPTURE(DamageName(damage));
    for (const std::string& found : Outcomes(files, "/db/sub/file", damage)) {
      CHECK(found.substr(0, synced.size()) == synced);
    }
  }
  CHECK(Found(*files.ProcessDeathImage(1), "/db/sub/file").substr(0, synced.size()) == synced);
}

TEST_CASE("what is written over itself is durable, also after a sync that failed") {
  CrashFileSystem files;
  auto file = Create(files, "/file");
  REQUIRE_OK(files.SyncDir("/"));
  const std::string content(3000, 'c');
  REQUIRE_OK(file->Append(content));
  if (GENERATE(true, false)) {
    files.Inject({.calls = {FileCall::kSync}});
    CHECK_FALSE(file->Sync().ok());
  }
  file.reset();
  CHECK(files.CrashImage(Damage::kLost, 1)->Content("/file").empty());
  REQUIRE_OK(files.WriteOver("/file", 0, content));
  for (Damage damage : kAllDamages) CHECK(files.CrashImage(damage, 1)->Content("/file") == content);
}

TEST_CASE("what is not synced is lost, kept, cut, torn or reordered, as asked") {
  CrashFileSystem files;
  auto file = Create(files, "/log");
  REQUIRE_OK(files.SyncDir("/"));
  base::Random random(2);
  std::string bytes = RandomBytes(&random, 700);
  REQUIRE_OK(file->Append(bytes));
  REQUIRE_OK(file->Sync());
  const std::string rest = RandomBytes(&random, 40'000);
  REQUIRE_OK(file->Append(rest));
  const std::string all = bytes + rest;

  CHECK(Outcomes(files, "/log", Damage::kLost) == std::set<std::string>{bytes});
  CHECK(Outcomes(files, "/log", Damage::kKept) == std::set<std::string>{all});
  const auto prefixes = Outcomes(files, "/log", Damage::kPrefix);
  CHECK(prefixes.size() > kSeeds / 3);
  for (const std::string& found : prefixes) {
    // After the prefix there are zeros, if anything.
    const size_t kept = std::mismatch(found.begin(), found.end(), all.begin()).first - found.begin();
    CHECK(found.find_first_not_of('\0', kept) == std::string::npos);
  }
  bool garbage = false;
  for (const std::string& found : Outcomes(files, "/log", Damage::kTorn)) {
    const size_t kept = std::mismatch(found.begin(), found.end(), all.begin()).first - found.begin();
    if (kept == found.size()) continue;
    garbage |= found[kept] != '\0';
    CHECK(found.find_first_not_of('\0', (kept / 512 + 1) * 512) == std::string::npos);
  }
  CHECK(garbage);
  bool later_without_earlier = false;
  for (const std::string& found : Outcomes(files, "/log", Damage::kReordered)) {
    const size_t kept = std::mismatch(found.begin(), found.end(), all.begin()).first - found.begin();
    if (kept + 9000 < found.size())
      later_without_earlier |= found.substr(found.size() - 500) == all.substr(all.size() - 500);
  }
  CHECK(later_without_earlier);
  CHECK(Outcomes(files, "/log", Damage::kMixed).size() > kSeeds / 3);
  // The same seed gives the same image.
  CHECK(files.CrashImage(Damage::kMixed, 5)->Files() == files.CrashImage(Damage::kMixed, 5)->Files());
}

TEST_CASE("a name is durable only once its directory is synced, and the names above it too") {
  CrashFileSystem files;
  REQUIRE_OK(files.CreateDirs("/db"));
  auto file = Create(files, "/db/file");
  REQUIRE_OK(file->Append("abc"));
  REQUIRE_OK(file->Sync());
  CHECK(Outcomes(files, "/db/file", Damage::kLost) == std::set<std::string>{"missing"});
  CHECK(Outcomes(files, "/db/file", Damage::kKept) == std::set<std::string>{"abc"});
  CHECK(Outcomes(files, "/db/file", Damage::kReordered) == std::set<std::string>{"missing", "abc"});
  REQUIRE_OK(files.SyncDir("/db"));
  CHECK(Outcomes(files, "/db/file", Damage::kLost) == std::set<std::string>{"missing"});
  REQUIRE_OK(files.SyncDir("/"));
  CHECK(Outcomes(files, "/db/file", Damage::kLost) == std::set<std::string>{"abc"});
  // A removal, too.
  REQUIRE_OK(files.Remove("/db/file"));
  CHECK(Outcomes(files, "/db/file", Damage::kLost) == std::set<std::string>{"abc"});
  REQUIRE_OK(files.SyncDir("/db"));
  CHECK(Outcomes(files, "/db/file", Damage::kLost) == std::set<std::string>{"missing"});
}

TEST_CASE("a file that is staged changes nothing until it is installed") {
  CrashFileSystem files;
  REQUIRE_OK(base::InstallFile(&files, "/CURRENT", "old"));
  REQUIRE_OK(base::StageFile(&files, "/CURRENT", "never"));
  files.Inject({.kind = FaultKind::kNoSpace, .calls = {FileCall::kAppend}});
  CHECK_CODE(base::StageFile(&files, "/CURRENT", "new"), kResourceExhausted);
  CHECK(Found(files, "/CURRENT") == "old");
  REQUIRE_OK(base::StageFile(&files, "/CURRENT", "new"));
  for (Damage damage : kAllDamages) CHECK(Found(*files.CrashImage(damage, 1), "/CURRENT") == "old");
  REQUIRE_OK(base::InstallStaged(&files, "/CURRENT"));
  for (Damage damage : kAllDamages) CHECK(Found(*files.CrashImage(damage, 1), "/CURRENT") == "new");
}

TEST_CASE("a rename within a directory is atomic, and one across directories is not") {
  CrashFileSystem files;
  REQUIRE_OK(base::InstallFile(&files, "/CURRENT", "old"));
  REQUIRE_OK(base::InstallFile(&files, "/new", "new"));
  REQUIRE_OK(files.CreateDirs("/a"));
  REQUIRE_OK(base::InstallFile(&files, "/a/file", "far"));
  REQUIRE_OK(files.SyncDir("/"));
  REQUIRE_OK(files.Rename("/new", "/CURRENT"));
  REQUIRE_OK(files.Rename("/a/file", "/file"));
  std::set<std::string> pairs;
  for (Damage damage : kAllDamages) {
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const auto image = files.CrashImage(damage, seed);
      pairs.insert(Found(*image, "/CURRENT") + " " + Found(*image, "/new"));
    }
  }
  CHECK(pairs == std::set<std::string>{"old new", "new missing"});
  // The directory that lost the name was synced, the other one was not: the file can be gone.
  REQUIRE_OK(files.SyncDir("/a"));
  const auto image = files.CrashImage(Damage::kLost, 0);
  CHECK(Found(*image, "/a/file") == "missing");
  CHECK(Found(*image, "/file") == "missing");
}

TEST_CASE("after the death of the process write-through bytes are there, with reserved zeros, and still not durable") {
  CrashFileSystem files;
  auto log = Create(files, "/log");
  REQUIRE_OK(log->Append("abc"));
  REQUIRE_OK(log->Sync());
  REQUIRE_OK(log->Reserve(5));
  REQUIRE_OK(log->Append("de"));
  auto table = Create(files, "/table", AppendMode::kBuffered);
  REQUIRE_OK(table->Append("123456"));
  std::set<std::string> tables;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto image = files.ProcessDeathImage(seed);
    CHECK(Found(*image, "/log") == std::string("abcde\0\0\0", 8));
    tables.insert(Found(*image, "/table"));
    CHECK(Found(*image->CrashImage(Damage::kLost, seed), "/log") == "missing");
    REQUIRE_OK(image->SyncDir("/"));
    CHECK(Found(*image->CrashImage(Damage::kLost, seed), "/log") == "abc");
  }
  CHECK(tables.size() == 7);
}

TEST_CASE("a buffered file is read only as far as it was handed over") {
  CrashFileSystem files;
  auto table = Create(files, "/table", AppendMode::kBuffered);
  REQUIRE_OK(table->Append("abc"));
  CHECK(files.Content("/table").empty());
  REQUIRE_OK(table->Sync());
  REQUIRE_OK(table->Append("def"));
  CHECK(files.Content("/table") == "abc");
  REQUIRE_OK(table->Close());
  CHECK(files.Content("/table") == "abcdef");
}

TEST_CASE("close gives back reserved zeros, which power loss may bring back") {
  CrashFileSystem files;
  auto log = Create(files, "/log");
  REQUIRE_OK(files.SyncDir("/"));
  REQUIRE_OK(log->Reserve(6));
  REQUIRE_OK(log->Append("abc"));
  REQUIRE_OK(log->Sync());
  REQUIRE_OK(log->Close());
  CHECK(files.Content("/log") == "abc");
  CHECK(Outcomes(files, "/log", Damage::kMixed) == std::set<std::string>{"abc", std::string("abc\0\0\0", 6)});
}

TEST_CASE("a sync that is taken out makes nothing durable, and says that it did") {
  CrashFileSystem files;
  files.IgnoreSyncs(FileCall::kSync, "*.log");
  for (const char* path : {"/a.log", "/a.table"}) {
    auto file = Create(files, path);
    REQUIRE_OK(file->Append("abc"));
    REQUIRE_OK(file->Sync());
  }
  REQUIRE_OK(files.SyncDir("/"));
  CHECK(files.syncs_ignored() == 1);
  const auto image = files.CrashImage(Damage::kLost, 0);
  CHECK(Found(*image, "/a.log").empty());
  CHECK(Found(*image, "/a.table") == "abc");
  CHECK(files.syncs().size() == 3);
  CHECK(files.syncs()[2].path == "/");

  CrashFileSystem other;
  other.IgnoreSyncNumber(2);
  REQUIRE_OK(base::InstallFile(&other, "/CURRENT", "one"));
  CHECK(Found(*other.CrashImage(Damage::kLost, 0), "/CURRENT") == "missing");
}

TEST_CASE("each change is a crash point: the hook sees it before it takes effect") {
  CrashFileSystem files;
  std::string seen;
  files.SetHook(
      [&](uint64_t mutation) { seen += fmt::format("{}{} ", mutation, files.Exists("/CURRENT").value() ? "+" : ""); });
  REQUIRE_OK(base::InstallFile(&files, "/CURRENT", "one"));
  REQUIRE_OK(files.Remove("/CURRENT"));
  CHECK(seen == "1 2 3 4 5 6+ 7+ ");
  CHECK(files.mutations() == 7);
  CHECK(files.calls() > 7);
}

TEST_CASE("from the crash on every call fails, and nothing changes") {
  for (uint64_t n = 1; n <= 6; ++n) {
    CrashFileSystem files;
    files.StopAt(n);
    const absl::Status status = base::InstallFile(&files, "/CURRENT", "one");
    CHECK_CODE(status, kInternal);
    CHECK(base::Message(status).find("crashed") != std::string_view::npos);
    CHECK_CODE(files.Exists("/CURRENT").status(), kInternal);
    CHECK_CODE(files.Create("/other", AppendMode::kBuffered).status(), kInternal);
    CHECK(files.Files().count("/other") == 0);
    CHECK(files.Files().count("/CURRENT") == (n >= 6 ? 1 : 0));
  }
}

}  // namespace bandb::test
