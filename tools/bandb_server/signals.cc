#include "signals.h"

#include <algorithm>
#include <ctime>

namespace bandb::server_program {

Signals::Signals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGHUP);
  sigaddset(&signals_, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

int Signals::Wait(int64_t timeout_nanos) const {
  constexpr int64_t kSecond = 1'000'000'000;
  const timespec timeout{timeout_nanos / kSecond, timeout_nanos % kSecond};
  return std::max(0, sigtimedwait(&signals_, nullptr, &timeout));
}

bool TellsToEnd(int signal) { return signal == SIGTERM || signal == SIGINT; }

}  // namespace bandb::server_program
