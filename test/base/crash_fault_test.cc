// Faults and rot of the crashable file system, and that threads may share it.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "support/catch.h"
#include "support/crash_file_system.h"
#include "support/random_data.h"

namespace bandb::test {

namespace {

using base::AppendMode;

std::unique_ptr<base::AppendableFile> Create(base::FileSystem& files, const std::string& path) {
  auto file = files.Create(path, AppendMode::kWriteThrough);
  REQUIRE(file.status() == absl::OkStatus());
  return *std::move(file);
}

}  // namespace

TEST_CASE("a pattern matches with stars for anything") {
  CHECK(Matches("*", ""));
  CHECK(Matches("*.log", "/db/000001.log"));
  CHECK(Matches("/db/*.log", "/db/000001.log"));
  CHECK(Matches("*a*b*", "xxaxxbxx"));
  CHECK(Matches("", ""));
  CHECK_FALSE(Matches("", "a"));
  CHECK_FALSE(Matches("*.log", "/db/000001.logs"));
  CHECK_FALSE(Matches("*.log", ".lo"));
  CHECK_FALSE(Matches("a*b", "acbc"));
}

TEST_CASE("a fault hits the calls that it names, from its n-th on, as often as it says") {
  CrashFileSystem files;
  files.Inject({.calls = {FileCall::kCreate}, .pattern = "*.table", .skip = 1, .count = 2});
  std::string results;
  for (const char* path : {"/1.table", "/1.log", "/2.table", "/2.log", "/3.table", "/4.table"}) {
    results += files.Create(path, AppendMode::kBuffered).ok() ? "." : "F";
  }
  CHECK(results == "..F.F.");
  CHECK(files.failures() == 2);
  files.Inject({.kind = FaultKind::kNoAccess, .count = Fault::kSticky});
  CHECK_CODE(files.Open("/1.table").status(), kPermissionDenied);
  CHECK_CODE(files.List("/").status(), kPermissionDenied);
  files.ClearFaults();
  CHECK_OK(files.List("/").status());
}

TEST_CASE("a failed append leaves a part behind and poisons the file") {
  CrashFileSystem files;
  auto file = Create(files, "/log");
  REQUIRE_OK(file->Append("abc"));
  files.Inject({.calls = {FileCall::kAppend}});
  const absl::Status first = file->Append("defg");
  CHECK_CODE(first, kInternal);
  CHECK(base::Message(first).find("/log") != std::string_view::npos);
  CHECK(file->Append("x") == first);
  CHECK(file->Sync() == first);
  CHECK(file->Reserve(1) == first);
  CHECK(file->Close() == first);
  CHECK(files.Content("/log") == "abcde");
}

TEST_CASE("a failed sync loses what was not synced, though it can still be read") {
  CrashFileSystem files;
  auto file = Create(files, "/log");
  REQUIRE_OK(files.SyncDir("/"));
  REQUIRE_OK(file->Append("abc"));
  REQUIRE_OK(file->Sync());
  REQUIRE_OK(file->Append("def"));
  files.Inject({.calls = {FileCall::kSync}});
  CHECK_CODE(file->Sync(), kInternal);
  CHECK_CODE(file->Sync(), kInternal);
  CHECK(files.Content("/log") == "abcdef");
  CHECK(files.CrashImage(Damage::kKept, 0)->Content("/log") == "abc");
}

TEST_CASE("a full disk refuses what does not fit: a reservation without harm, an append for good") {
  CrashFileSystem files;
  auto file = Create(files, "/log");
  files.SetFreeBytes(100);
  CHECK(files.FreeBytes("/").value() == 100);
  REQUIRE_OK(file->Reserve(60));
  CHECK(files.FreeBytes("/").value() == 40);
  CHECK_CODE(file->Reserve(101), kResourceExhausted);
  REQUIRE_OK(file->Append(std::string(60, 'x')));
  CHECK(files.FreeBytes("/").value() == 40);
  auto other = Create(files, "/other");
  CHECK_CODE(other->Append(std::string(41, 'x')), kResourceExhausted);
  CHECK_CODE(other->Append("x"), kResourceExhausted);
  REQUIRE_OK(files.Remove("/other"));
  REQUIRE_OK(file->Append(std::string(40, 'x')));
  CHECK(files.FreeBytes("/").value() == 0);
  files.SetFreeBytes(1);
  REQUIRE_OK(file->Append("x"));
}

TEST_CASE("rot changes what it is told to, durably") {
  CrashFileSystem files;
  REQUIRE_OK(base::InstallFile(&files, "/a", "0123456789"));
  REQUIRE_OK(base::InstallFile(&files, "/b", "abcdefghij"));
  files.FlipByte("/a", 3, 0xff);
  CHECK(files.Content("/a")[3] == static_cast<char>('3' ^ 0xff));
  files.FlipByte("/a", 3, 0xff);
  files.SwapRanges("/a", 0, "/b", 2, 3);
  CHECK(files.Content("/a") == "cde3456789");
  CHECK(files.Content("/b") == "ab012fghij");
  files.SwapRanges("/a", 0, "/a", 7, 3);
  CHECK(files.Content("/a") == "7893456cde");
  files.Truncate("/a", 4);
  files.SwapFiles("/a", "/b");
  CHECK(files.Content("/a") == "ab012fghij");
  files.SetContent("/a", "new");
  CHECK(files.Files() == std::map<std::string, uint64_t>{{"/a", 3}, {"/b", 4}});
  const auto image = files.CrashImage(Damage::kLost, 0);
  CHECK(image->Content("/a") == "new");
  // An image is a disk of its own.
  image->FlipByte("/b", 0, 1);
  CHECK(files.Content("/b") == "7893");
}

TEST_CASE("the log tells the calls") {
  CrashFileSystem files;
  files.Inject({.calls = {FileCall::kRename}});
  CHECK_CODE(base::InstallFile(&files, "/a", "abc"), kInternal);
  CHECK(files.Log().find("append /a.tmp 3\n") != std::string::npos);
  CHECK(files.LastCall().find("rename /a.tmp /a -> failed") != std::string::npos);
}

TEST_CASE("sixteen threads share a crashable file system while images are taken") {
  CrashFileSystem files;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  threads.reserve(16);
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      const std::string path = fmt::format("/{}", i);
      auto file = files.Create(path, AppendMode::kWriteThrough);
      if (!file.ok()) ++wrong;
      for (int j = 0; j < 50 && file.ok(); ++j) {
        if (!(*file)->Append("abc").ok() || !(*file)->Sync().ok() || !files.SyncDir("/").ok()) ++wrong;
        const auto image = files.CrashImage(kAllDamages[j % 6], static_cast<uint64_t>(j));
        if (image->Content(path).size() < 3 * static_cast<size_t>(j + 1)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

}  // namespace bandb::test
