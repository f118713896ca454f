#include "base/posix_file_lock.h"

#include <string>

#include "base/posix_file_system.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace bandb::base {

TEST_CASE("the lock of a directory and that of a file in it keep each other out, and neither needs the other's file") {
  const test::TempDir dir;
  PosixFileSystem files;
  const std::string folder = dir.File("folder"), path = JoinPath(folder, "LOCK");
  CHECK_CODE(TakePosixDirectoryLock(folder).status(), kNotFound);
  REQUIRE_OK(files.CreateDirs(folder));
  auto of_directory = TakePosixDirectoryLock(folder);
  REQUIRE_OK(of_directory.status());
  CHECK_OK((*of_directory)->CheckHeld());
  (*of_directory)->NameOwner();
  CHECK(files.List(folder)->empty());
  CHECK_CODE(TakePosixDirectoryLock(folder).status(), kFailedPrecondition);
  CHECK_CODE(files.Lock(path).status(), kFailedPrecondition);
  CHECK(files.IsLocked(path).value());
  of_directory->reset();
  auto of_file = files.Lock(path);
  REQUIRE_OK(of_file.status());
  CHECK_CODE(TakePosixDirectoryLock(folder).status(), kFailedPrecondition);
  of_file->reset();
  CHECK_OK(TakePosixDirectoryLock(folder).status());
}

}  // namespace bandb::base
