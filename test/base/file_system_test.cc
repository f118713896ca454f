// The contract of FileSystem, RandomAccessFile and FileLock, on every file system there is.
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/file_system_rigs.h"
#include "base/status.h"
#include "support/catch.h"

namespace bandb::base {

namespace {

void Put(FileSystem& files, const std::string& path, std::string_view content) {
  auto file = files.Create(path, AppendMode::kBuffered);
  REQUIRE_OK(file.status());
  REQUIRE_OK((*file)->Append(content));
  REQUIRE_OK((*file)->Close());
}

std::string Content(FileSystem& files, const std::string& path) {
  auto content = ReadFile(&files, path, 1 << 20);
  REQUIRE(content.status() == absl::OkStatus());
  return *std::move(content);
}

void CheckNames(const absl::Status& status, const std::string& path) {
  CAPTURE(status);
  CHECK(Message(status).find(path) != std::string_view::npos);
}

}  // namespace

TEMPLATE_TEST_CASE("a file can be read at any place, and ends where it ends", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  const std::string path = JoinPath(rig.dir(), "file");
  Put(rig.files(), path, "0123456789");
  auto file = rig.files().Open(path);
  REQUIRE_OK(file.status());
  CHECK((*file)->Size() == 10);
  char buffer[16];
  CHECK((*file)->Read(0, absl::MakeSpan(buffer, 4)).value() == 4);
  CHECK(std::string_view(buffer, 4) == "0123");
  CHECK((*file)->Read(7, absl::MakeSpan(buffer, 16)).value() == 3);
  CHECK(std::string_view(buffer, 3) == "789");
  CHECK((*file)->Read(10, absl::MakeSpan(buffer, 16)).value() == 0);
  CHECK((*file)->Read(UINT64_MAX, absl::MakeSpan(buffer, 16)).value() == 0);
  CHECK((*file)->Read(3, absl::MakeSpan(buffer, 0)).value() == 0);
  (*file)->Prefetch(0, 10);
  (*file)->Prefetch(1000, 10);
}

TEMPLATE_TEST_CASE("an open file is read on after it was removed or replaced", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  const std::string path = JoinPath(rig.dir(), "file");
  const std::string other = JoinPath(rig.dir(), "other");
  Put(rig.files(), path, "old");
  Put(rig.files(), other, "new");
  auto file = rig.files().Open(path);
  REQUIRE_OK(file.status());
  REQUIRE_OK(rig.files().Rename(other, path));
  CHECK(Content(rig.files(), path) == "new");
  REQUIRE_OK(rig.files().Remove(path));
  char buffer[3];
  CHECK((*file)->Read(0, absl::MakeSpan(buffer)).value() == 3);
  CHECK(std::string_view(buffer, 3) == "old");
}

TEMPLATE_TEST_CASE("what is missing is not found, and the message names it", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  FileSystem& files = rig.files();
  const std::string path = JoinPath(rig.dir(), "missing");
  const std::string below = JoinPath(path, "file");
  const absl::Status all[] = {files.Open(path).status(),
                              files.FileSize(path).status(),
                              files.List(path).status(),
                              files.Rename(path, JoinPath(rig.dir(), "to")),
                              files.Link(path, JoinPath(rig.dir(), "to")),
                              files.Remove(path),
                              files.RemoveDir(path),
                              files.SyncDir(path),
                              files.FreeBytes(path).status()};
  for (const absl::Status& status : all) {
    CHECK_CODE(status, kNotFound);
    CheckNames(status, path);
  }
  CHECK_CODE(files.Create(below, AppendMode::kBuffered).status(), kNotFound);
  CHECK_CODE(files.Lock(below).status(), kNotFound);
  CHECK_FALSE(files.Exists(path).value());
  CHECK_FALSE(files.Exists(below).value());
}

TEMPLATE_TEST_CASE("a file is not created twice", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  const std::string path = JoinPath(rig.dir(), "file");
  Put(rig.files(), path, "first");
  const absl::Status status = rig.files().Create(path, AppendMode::kWriteThrough).status();
  CHECK_CODE(status, kAlreadyExists);
  CheckNames(status, path);
  CHECK(Content(rig.files(), path) == "first");
}

TEMPLATE_TEST_CASE("directories are created with what is missing above them, listed in order, and removed when empty",
                   "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  FileSystem& files = rig.files();
  const std::string deep = JoinPath(rig.dir(), "a/b/c");
  REQUIRE_OK(files.CreateDirs(deep));
  REQUIRE_OK(files.CreateDirs(deep));
  for (const char* name : {"z", "m", "B", "a"}) Put(files, JoinPath(deep, name), name);
  REQUIRE_OK(files.CreateDirs(JoinPath(deep, "n")));
  CHECK(files.List(deep).value() == std::vector<std::string>{"B", "a", "m", "n", "z"});
  CHECK(files.List(rig.dir()).value() == std::vector<std::string>{"a"});
  CHECK(files.Exists(deep).value());
  REQUIRE_OK(files.SyncDir(deep));
  CHECK_CODE(files.RemoveDir(deep), kInternal);
  CHECK_CODE(files.CreateDirs(JoinPath(deep, "z")), kAlreadyExists);
  for (const char* name : {"z", "m", "B", "a"}) REQUIRE_OK(files.Remove(JoinPath(deep, name)));
  REQUIRE_OK(files.RemoveDir(JoinPath(deep, "n")));
  REQUIRE_OK(files.RemoveDir(deep));
  CHECK_FALSE(files.Exists(deep).value());
}

TEMPLATE_TEST_CASE("a rename replaces, and works across directories", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  FileSystem& files = rig.files();
  const std::string from = JoinPath(rig.dir(), "from");
  const std::string to = JoinPath(rig.dir(), "sub/to");
  REQUIRE_OK(files.CreateDirs(ParentPath(to)));
  Put(files, from, "new");
  Put(files, to, "old");
  REQUIRE_OK(files.Rename(from, to));
  CHECK(Content(files, to) == "new");
  CHECK_FALSE(files.Exists(from).value());
  REQUIRE_OK(files.Rename(ParentPath(to), JoinPath(rig.dir(), "moved")));
  CHECK(Content(files, JoinPath(rig.dir(), "moved/to")) == "new");
}

TEMPLATE_TEST_CASE("a link is a second name for the same file", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  FileSystem& files = rig.files();
  const std::string path = JoinPath(rig.dir(), "file");
  const std::string link = JoinPath(rig.dir(), "link");
  Put(files, path, "content");
  REQUIRE_OK(files.Link(path, link));
  const absl::Status again = files.Link(path, link);
  CHECK_CODE(again, kAlreadyExists);
  CheckNames(again, path);
  REQUIRE_OK(files.Remove(path));
  CHECK(Content(files, link) == "content");
  CHECK(files.FileSize(link).value() == 7);
}

TEMPLATE_TEST_CASE("a lock is held once, in this process too, until its owner goes", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  const std::string path = JoinPath(rig.dir(), "LOCK");
  CHECK_FALSE(rig.files().IsLocked(path).value());
  auto first = rig.files().Lock(path);
  REQUIRE_OK(first.status());
  CHECK(rig.files().IsLocked(path).value());
  const absl::Status second = rig.files().Lock(path).status();
  CHECK_CODE(second, kFailedPrecondition);
  CheckNames(second, path);
  // A caller that was refused has left it as it was, and so has one that only asked.
  CHECK(rig.files().IsLocked(path).value());
  first->reset();
  CHECK_FALSE(rig.files().IsLocked(path).value());
  CHECK_OK(rig.files().Lock(path).status());
  // The lock file stays, and is no obstacle.
  CHECK(rig.files().Exists(path).value());
  CHECK_OK(rig.files().Lock(path).status());
}

TEMPLATE_TEST_CASE("who asks for a lock makes nothing, and keeps nobody from taking it", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  const std::string path = JoinPath(rig.dir(), "LOCK");
  for (int i = 0; i < 3; ++i) CHECK_FALSE(rig.files().IsLocked(path).value());
  CHECK(rig.files().List(rig.dir()).value().empty());
  CHECK_CODE(rig.files().IsLocked(JoinPath(JoinPath(rig.dir(), "nothing"), "LOCK")).status(), kNotFound);
  const auto pinned = rig.files().Pin(rig.dir());
  REQUIRE_OK(pinned.status());
  const auto lock = (*pinned)->Lock(path);
  REQUIRE_OK(lock.status());
  CHECK(rig.files().IsLocked(path).value());
  CHECK((*pinned)->IsLocked(path).value());
}

TEMPLATE_TEST_CASE("a directory is not a file, and a file is not a directory", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  FileSystem& files = rig.files();
  const std::string path = JoinPath(rig.dir(), "file");
  Put(files, path, "x");
  CHECK_CODE(files.Open(rig.dir()).status(), kInternal);
  CHECK_CODE(files.List(path).status(), kInternal);
  CHECK_CODE(files.SyncDir(path), kInternal);
  CHECK_CODE(files.RemoveDir(path), kInternal);
  CHECK_CODE(files.Create(JoinPath(path, "below"), AppendMode::kBuffered).status(), kInternal);
  CHECK_FALSE(files.Exists(JoinPath(path, "below")).value());
}

TEMPLATE_TEST_CASE("there is free space, and an installed file replaces the old one", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  FileSystem& files = rig.files();
  CHECK(files.FreeBytes(rig.dir()).value() > 0);
  const std::string path = JoinPath(rig.dir(), "CURRENT");
  Put(files, path + ".tmp", "leftover of a crash");
  REQUIRE_OK(InstallFile(&files, path, "one"));
  CHECK(Content(files, path) == "one");
  REQUIRE_OK(InstallFile(&files, path, "two"));
  CHECK(Content(files, path) == "two");
  CHECK(files.List(rig.dir()).value() == std::vector<std::string>{"CURRENT"});
  CHECK_CODE(ReadFile(&files, path, 2).status(), kResourceExhausted);
}

TEST_CASE("no file takes the number of a standard stream that is closed") {
  test::PosixDefault rig;
  const std::string path = JoinPath(rig.dir(), "file");
  const int kept = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
  REQUIRE(kept >= 10);
  ::close(STDIN_FILENO);
  Put(rig.files(), path, "content");
  auto file = rig.files().Open(path);
  auto lock = rig.files().Lock(JoinPath(rig.dir(), "lock"));
  const bool taken = ::fcntl(STDIN_FILENO, F_GETFD) >= 0;
  ::dup2(kept, STDIN_FILENO);
  ::close(kept);
  CHECK_FALSE(taken);
  CHECK_OK(file.status());
  CHECK_OK(lock.status());
}

}  // namespace bandb::base
