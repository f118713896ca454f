#include "base/line_file.h"

#include <sys/stat.h>

#include <cstdio>
#include <memory>
#include <string>

#include "base/posix_file_system.h"
#include "base/status.h"
#include "support/catch.h"
#include "support/length_limit.h"
#include "support/temp_dir.h"

namespace bandb::base {

namespace {

std::string Content(const std::string& path) {
  PosixFileSystem files;
  return ReadFile(&files, path, 1 << 20).value();
}

}  // namespace

TEST_CASE("lines are appended to a regular file of mode 600, and to nothing else") {
  test::TempDir dir;
  const std::string path = dir.File("lines");
  for (const char* line : {"one", "two"}) {
    auto file = LineFile::Open(path);
    REQUIRE_OK(file.status());
    CHECK_OK((*file)->Append(line));
  }
  CHECK(Content(path) == "one\ntwo\n");
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  // A pipe that nobody reads: opening or writing it would wait.
  REQUIRE(::mkfifo(dir.File("pipe").c_str(), 0600) == 0);
  for (const std::string& other : {dir.File("pipe"), std::string("/dev/null")}) {
    const absl::Status refused = LineFile::Open(other).status();
    CHECK_CODE(refused, kFailedPrecondition);
    CHECK(Message(refused) == other + ": not a regular file");
  }
  CHECK_FALSE(LineFile::Open(dir.path()).ok());
  CHECK_CODE(LineFile::Open("/nonexistent/lines").status(), kNotFound);
}

TEST_CASE("what a full disk has left of a line is ended by the next that can be written") {
  test::TempDir dir;
  const std::string path = dir.File("lines");
  auto file = LineFile::Open(path);
  REQUIRE_OK(file.status());
  REQUIRE_OK((*file)->Append("first"));
  for (const uint64_t bytes : {uint64_t{9}, uint64_t{9}, uint64_t{10}}) {
    absl::Status status;
    {
      const test::LengthLimit limit(bytes);
      status = (*file)->Append("second");
    }
    CHECK_FALSE(status.ok());
  }
  // At first three bytes had room, then none, then the end of that line.
  CHECK(Content(path) == "first\nsec\n");
  REQUIRE_OK((*file)->Append("third"));
  CHECK(Content(path) == "first\nsec\nthird\n");
  {
    const test::LengthLimit limit(18);
    CHECK_FALSE((*file)->Append("fourth").ok());
  }
  // By another process, too.
  file = LineFile::Open(path);
  REQUIRE_OK(file.status());
  REQUIRE_OK((*file)->Append("fifth"));
  CHECK(Content(path) == "first\nsec\nthird\nfo\nfifth\n");
}

TEST_CASE("lines go on in the file that has the path by now, or where they were if there is none") {
  test::TempDir dir;
  const std::string path = dir.File("lines");
  auto file = LineFile::Open(path);
  REQUIRE_OK(file.status());
  REQUIRE_OK((*file)->Append("one"));
  REQUIRE(std::rename(path.c_str(), dir.File("moved").c_str()) == 0);
  REQUIRE_OK((*file)->Append("two"));
  REQUIRE_OK((*file)->Reopen());
  REQUIRE_OK((*file)->Append("three"));
  CHECK(Content(dir.File("moved")) == "one\ntwo\n");
  CHECK(Content(path) == "three\n");
  REQUIRE(std::rename(path.c_str(), dir.File("last").c_str()) == 0);
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  CHECK_CODE((*file)->Reopen(), kFailedPrecondition);
  REQUIRE_OK((*file)->Append("four"));
  CHECK(Content(dir.File("last")) == "three\nfour\n");
}

TEST_CASE("no line goes to a file that was removed") {
  test::TempDir dir;
  const std::string path = dir.File("lines");
  auto file = LineFile::Open(path);
  REQUIRE_OK(file.status());
  REQUIRE_OK((*file)->Append("one"));
  REQUIRE(std::remove(path.c_str()) == 0);
  REQUIRE_OK((*file)->Append("two"));
  CHECK(Content(path) == "two\n");
  // Where none can be made, that is told, each time.
  REQUIRE(std::remove(path.c_str()) == 0);
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  for (int i = 0; i < 2; i++) CHECK_CODE((*file)->Append("lost"), kFailedPrecondition);
  REQUIRE(std::remove(path.c_str()) == 0);
  REQUIRE_OK((*file)->Append("three"));
  CHECK(Content(path) == "three\n");
}

}  // namespace bandb::base
