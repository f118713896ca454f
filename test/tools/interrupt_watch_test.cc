// InterruptWatch: by which signal a process ends.
#include "interrupt_watch.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "support/catch.h"

namespace bandb::test {

namespace {

// Of a process that watches, and to which `tell` sends what the end of the watch sends.
int SignalThatEnds(int signal) {
  const pid_t child = ::fork();
  if (child == 0) {
    const cli::InterruptWatch watch([] { ::kill(::getpid(), SIGUSR1); });
    ::kill(::getpid(), signal);
    for (;;) ::pause();
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  return WTERMSIG(status);
}

}  // namespace

TEST_CASE("a process ends by the signal that interrupts it, also where what it did ends at that moment") {
  CHECK(SignalThatEnds(SIGINT) == SIGINT);
  CHECK(SignalThatEnds(SIGTERM) == SIGTERM);
}

TEST_CASE("a watch that nothing interrupts ends") {
  bool told = false;
  {
    const cli::InterruptWatch watch([&told] { told = true; });
  }
  CHECK_FALSE(told);
}

}  // namespace bandb::test
