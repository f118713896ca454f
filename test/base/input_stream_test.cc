#include "base/input_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

#include "base/posix_file_system.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace bandb::base {
namespace {

std::string ReadAll(InputStream* stream) {
  std::string all;
  std::array<char, 3> piece{};
  while (true) {
    const absl::StatusOr<size_t> n = stream->Read(absl::MakeSpan(piece));
    REQUIRE_OK(n.status());
    if (*n == 0) return all;
    all.append(piece.data(), *n);
  }
}

TEST_CASE("a file is read from its beginning to its end") {
  test::TempDir dir;
  PosixFileSystem files;
  REQUIRE_OK(InstallFile(&files, dir.File("file"), "some bytes"));
  auto stream = InputStream::Open(dir.File("file"));
  REQUIRE_OK(stream.status());
  CHECK((*stream)->Ready());
  CHECK(ReadAll(stream->get()) == "some bytes");
}

TEST_CASE("a pipe is read as far as it is written, and is ready when there is something") {
  test::TempDir dir;
  const std::string path = dir.File("pipe");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  // Open for both ends, so that neither waits for the other.
  const int writer = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(writer >= 0);
  auto stream = InputStream::Open(path);
  REQUIRE_OK(stream.status());
  CHECK_FALSE((*stream)->Ready());
  REQUIRE(::write(writer, "four", 4) == 4);
  CHECK((*stream)->Ready());
  REQUIRE(::close(writer) == 0);
  CHECK(ReadAll(stream->get()) == "four");
}

TEST_CASE("what is not there, or is a directory, is refused") {
  test::TempDir dir;
  CHECK_CODE(InputStream::Open(dir.File("absent")).status(), kNotFound);
  CHECK_CODE(InputStream::Open(dir.path()).status(), kInvalidArgument);
}

}  // namespace
}  // namespace bandb::base
