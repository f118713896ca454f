// A mapped log whose file system can no longer serve its pages: an error or an append that goes
// another way, and never the end of the process.
#include "base/guarded_copy.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "base/file_system_rigs.h"
#include "support/catch.h"

namespace bandb::base {

namespace {

constexpr size_t kPageBytes = 4096;

// A page after the end of its file: every access raises SIGBUS, as on a file system that has shut
// down.
class DeadPage {
 public:
  DeadPage() {
    std::FILE* const file = std::tmpfile();
    REQUIRE(file != nullptr);
    page_ = ::mmap(nullptr, 2 * kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, ::fileno(file), 0);
    REQUIRE(page_ != MAP_FAILED);
    REQUIRE(::ftruncate(::fileno(file), kPageBytes) == 0);
    std::fclose(file);
  }
  ~DeadPage() { ::munmap(page_, 2 * kPageBytes); }
  char* begin() const { return static_cast<char*>(page_) + kPageBytes; }

 private:
  void* page_;
};

// How a child ends that runs this: its exit code, or minus the signal.
template <typename Run>
int EndOfChild(Run run) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(run());
  REQUIRE(child > 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void ExitSeven(int) { ::_exit(7); }

}  // namespace

TEST_CASE("a copy into a page that cannot be served says so, as often as it happens") {
  REQUIRE(InstallGuard());
  const DeadPage dead;
  std::string good(2 * kPageBytes, '.');
  for (int round = 0; round < 3; ++round) {
    CHECK_FALSE(GuardedCopy(dead.begin(), "bytes", 5));
    // From a page that can be written into one that cannot.
    CHECK_FALSE(GuardedCopy(dead.begin() - 2, "bytes", 5));
    CHECK(GuardedCopy(good.data(), "bytes", 5));
  }
  CHECK(good.substr(0, 6) == "bytes.");
}

TEST_CASE("any other SIGBUS ends the process, or goes to the handler that it had") {
  const DeadPage dead;
  REQUIRE(InstallGuard());
  const int ended = EndOfChild([&]() {
    ::signal(SIGBUS, SIG_DFL);
    *dead.begin() = 1;
    return 0;
  });
  CHECK(ended == -SIGBUS);
  // Whatever was there before: nothing, or a sanitizer's.
  CHECK(EndOfChild([&]() {
          *dead.begin() = 1;
          return 0;
        }) != 0);
  // A host that has installed its own since is not shadowed, and nothing is mapped any more.
  const int handled = EndOfChild([&]() {
    ::signal(SIGBUS, &ExitSeven);
    if (InstallGuard()) return 1;
    *dead.begin() = 1;
    return 0;
  });
  CHECK(handled == 7);
}

TEST_CASE("an append into a window that the file system has taken away goes on by writing") {
  test::PosixDefault rig;
  const std::string path = JoinPath(rig.dir(), "log");
  auto file = rig.files().Create(path, AppendMode::kWriteThrough);
  REQUIRE_OK(file.status());
  const std::string first(3 * kPageBytes, 'a'), second(3 * kPageBytes, 'b');
  REQUIRE_OK((*file)->Append(first));
  // The pages of the mapping are gone.
  REQUIRE(::truncate(path.c_str(), 0) == 0);
  REQUIRE_OK((*file)->Append(second));
  REQUIRE_OK((*file)->Append("c"));
  REQUIRE_OK((*file)->Sync());
  REQUIRE_OK((*file)->Close());
  const std::string content = ReadFile(&rig.files(), path, 1 << 20).value();
  CHECK(content == std::string(first.size(), '\0') + second + "c");
}

TEST_CASE("where the host has taken the signal, appends are writes") {
  const int ended = EndOfChild([&]() {
    test::PosixDefault rig;
    InstallGuard();
    ::signal(SIGBUS, &ExitSeven);
    const std::string path = JoinPath(rig.dir(), "log");
    auto file = rig.files().Create(path, AppendMode::kWriteThrough);
    if (!file.ok() || !(*file)->Append("a").ok() || ::truncate(path.c_str(), 0) != 0) return 1;
    return (*file)->Append("b").ok() && (*file)->Close().ok() ? 0 : 2;
  });
  CHECK(ended == 0);
}

}  // namespace bandb::base
