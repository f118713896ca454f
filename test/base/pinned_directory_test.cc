// Directories that are known by what they are, not by their names: pinned, locked, and renamed
// without replacing.
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "base/file_system_rigs.h"
#include "support/catch.h"

namespace bandb::base {

namespace {

using Names = std::vector<std::string>;

void Put(FileSystem& files, const std::string& path, std::string_view content) {
  auto file = files.Create(path, AppendMode::kBuffered);
  REQUIRE_OK(file.status());
  REQUIRE_OK((*file)->Append(content));
  REQUIRE_OK((*file)->Sync());
  REQUIRE_OK((*file)->Close());
}

}  // namespace

TEMPLATE_TEST_CASE("a pinned directory is the one that had the name, whatever has it now", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  FileSystem& files = rig.files();
  const std::string dir = JoinPath(rig.dir(), "db"), away = JoinPath(rig.dir(), "away");
  REQUIRE_OK(files.CreateDirs(JoinPath(dir, "inner")));
  const auto pinned = files.Pin(dir);
  REQUIRE_OK(pinned.status());
  const auto both = (*pinned)->Pin(JoinPath(dir, "inner"));
  REQUIRE_OK(both.status());
  REQUIRE_OK(files.RenameDirectory(dir, away));
  REQUIRE_OK(files.CreateDirs(JoinPath(dir, "inner")));
  Put(files, JoinPath(dir, "theirs"), "theirs");

  for (FileSystem* bound : {pinned->get(), both->get()}) {
    Put(*bound, JoinPath(dir, "ours"), "ours");
    Put(*bound, JoinPath(dir, "inner/ours.tmp"), "inner");
    REQUIRE_OK(bound->Rename(JoinPath(dir, "inner/ours.tmp"), JoinPath(dir, "inner/ours")));
    REQUIRE_OK(bound->Link(JoinPath(dir, "ours"), JoinPath(dir, "inner/link")));
    REQUIRE_OK(bound->CreateDirs(JoinPath(dir, "one/two")));
    REQUIRE_OK(bound->SyncDir(dir));
    REQUIRE_OK(bound->SyncDir(JoinPath(dir, "inner")));
    CHECK(bound->List(dir).value() == Names{"inner", "one", "ours"});
    CHECK(files.List(away).value() == Names{"inner", "one", "ours"});
    CHECK(files.List(JoinPath(away, "inner")).value() == Names{"link", "ours"});
    CHECK(ReadFile(bound, JoinPath(dir, "inner/ours"), 100).value() == "inner");
    REQUIRE_OK(bound->WriteOver(JoinPath(dir, "ours"), 1, "urs"));
    CHECK(ReadFile(bound, JoinPath(dir, "ours"), 100).value() == "ours");
    CHECK(bound->FileSize(JoinPath(dir, "ours")).value() == 4);
    CHECK_CODE(bound->WriteOver(JoinPath(dir, "missing"), 0, "x"), kNotFound);
    CHECK_FALSE(bound->Exists(JoinPath(dir, "theirs")).value());
    CHECK(bound->FreeBytes(dir).value() > 0);
    REQUIRE_OK(bound->RemoveDir(JoinPath(dir, "one/two")));
    REQUIRE_OK(bound->RemoveDir(JoinPath(dir, "one")));
    for (const char* name : {"ours", "inner/ours", "inner/link"}) REQUIRE_OK(bound->Remove(JoinPath(dir, name)));
    // Paths elsewhere mean what they always did, also those that begin with the same letters.
    REQUIRE_OK(bound->CreateDirs(dir + "x"));
    CHECK(files.Exists(dir + "x").value());
    REQUIRE_OK(bound->RemoveDir(dir + "x"));
  }
  CHECK(files.List(dir).value() == Names{"inner", "theirs"});
  CHECK(files.List(JoinPath(dir, "inner")).value().empty());
}

TEMPLATE_TEST_CASE("nothing is made in a pinned directory that was removed", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  FileSystem& files = rig.files();
  const std::string dir = JoinPath(rig.dir(), "db");
  REQUIRE_OK(files.CreateDirs(dir));
  const auto pinned = files.Pin(dir);
  REQUIRE_OK(pinned.status());
  REQUIRE_OK(files.RemoveDir(dir));
  REQUIRE_OK(files.CreateDirs(dir));
  CHECK_CODE((*pinned)->Create(JoinPath(dir, "file"), AppendMode::kBuffered).status(), kNotFound);
  CHECK_CODE((*pinned)->CreateDirs(JoinPath(dir, "below")), kNotFound);
  CHECK(files.List(dir).value().empty());
  CHECK_CODE(files.Pin(JoinPath(dir, "missing")).status(), kNotFound);
}

TEMPLATE_TEST_CASE("a directory takes a name that nothing has, and no other", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  FileSystem& files = rig.files();
  const auto path = [&](const char* name) { return JoinPath(rig.dir(), name); };
  for (const char* name : {"from", "empty", "full"}) REQUIRE_OK(files.CreateDirs(path(name)));
  Put(files, path("from/file"), "x");
  Put(files, path("full/file"), "y");
  Put(files, path("file"), "z");
  for (const char* taken : {"empty", "full", "file"}) {
    CHECK_CODE(files.RenameDirectory(path("from"), path(taken)), kAlreadyExists);
  }
  CHECK_CODE(files.RenameDirectory(path("missing"), path("to")), kNotFound);
  CHECK(files.List(rig.dir()).value() == Names{"empty", "file", "from", "full"});
  REQUIRE_OK(files.RenameDirectory(path("from"), path("to")));
  CHECK(files.List(path("to")).value() == Names{"file"});
  CHECK_FALSE(files.Exists(path("from")).value());
}

TEMPLATE_TEST_CASE("removing the lock file lets nobody in, and its content is its owner's", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  FileSystem& files = rig.files();
  const std::string path = JoinPath(rig.dir(), "LOCK");
  Put(files, path, "somebody's");
  auto lock = files.Lock(path);
  REQUIRE_OK(lock.status());
  CHECK(ReadFile(&files, path, 100).value() == "somebody's");
  (*lock)->NameOwner();
  CHECK(ReadFile(&files, path, 100).value() != "somebody's");
  CHECK_OK((*lock)->CheckHeld());
  REQUIRE_OK(files.Remove(path));
  CHECK_CODE(files.Lock(path).status(), kFailedPrecondition);
  CHECK(files.IsLocked(path).value());
  CHECK_FALSE(files.Exists(path).value());
  CHECK_OK((*lock)->CheckHeld());
  lock->reset();
  CHECK_FALSE(files.IsLocked(path).value());
  CHECK_OK(files.Lock(path).status());
}

TEST_CASE("a lock is not its owner's forked child's") {
  test::PosixDefault rig;
  const std::string path = JoinPath(rig.dir(), "LOCK");
  auto lock = rig.files().Lock(path);
  REQUIRE_OK(lock.status());
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    // Lives until the parent has seen that it does not matter.
    ::close(ends[1]);
    char byte = 0;
    const bool held = (*lock)->CheckHeld().ok();
    while (::read(ends[0], &byte, 1) > 0) {
    }
    ::_exit(held ? 1 : 0);
  }
  REQUIRE(child > 0);
  ::close(ends[0]);
  CHECK_OK((*lock)->CheckHeld());
  CHECK_CODE(rig.files().Lock(path).status(), kFailedPrecondition);
  CHECK(rig.files().IsLocked(path).value());
  lock->reset();
  CHECK_FALSE(rig.files().IsLocked(path).value());
  CHECK_OK(rig.files().Lock(path).status());
  ::close(ends[1]);
  int exit_status = -1;
  REQUIRE(::waitpid(child, &exit_status, 0) == child);
  CHECK(exit_status == 0);
}

}  // namespace bandb::base
