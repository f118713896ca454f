#include "base/fork.h"

#include <sys/wait.h>
#include <unistd.h>

#include "support/catch.h"

namespace bandb::base {

TEST_CASE("a child knows that it was forked, and so does its own child; the parent knows of nothing") {
  const uint64_t before = Forks();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (Forks() != before + 1) ::_exit(1);
    const pid_t grandchild = ::fork();
    if (grandchild == 0) ::_exit(Forks() == before + 2 ? 0 : 2);
    int state = 0;
    const bool ended = ::waitpid(grandchild, &state, 0) == grandchild && WIFEXITED(state);
    ::_exit(ended && Forks() == before + 1 ? WEXITSTATUS(state) : 3);
  }
  int state = 0;
  REQUIRE(::waitpid(child, &state, 0) == child);
  REQUIRE(WIFEXITED(state));
  CHECK(WEXITSTATUS(state) == 0);
  CHECK(Forks() == before);
}

}  // namespace bandb::base
