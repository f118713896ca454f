#include "interrupt_watch.h"

#include <unistd.h>

#include <utility>

namespace bandb::cli {

namespace {

// Wakes the thread when there is nothing more to watch.
constexpr int kWakeUp = SIGUSR1;

// What a shell starts in the background ignores SIGINT, and goes on doing so.
bool IsIgnored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

InterruptWatch::InterruptWatch(std::function<void()> tell) : tell_(std::move(tell)) {
  sigemptyset(&signals_);
  sigaddset(&signals_, kWakeUp);
  for (const int signal : {SIGINT, SIGTERM}) {
    if (!IsIgnored(signal)) sigaddset(&signals_, signal);
  }
  pthread_sigmask(SIG_BLOCK, &signals_, &mask_before_);
  thread_ = std::make_unique<base::Thread>([this] { Wait(); });
}

InterruptWatch::~InterruptWatch() {
  over_ = true;
  ::kill(::getpid(), kWakeUp);
  thread_->Join();
  pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

void InterruptWatch::Wait() {
  while (true) {
    int signal = 0;
    if (::sigwait(&signals_, &signal) != 0) continue;
    if (over_) return;
    if (signal == kWakeUp) continue;
    tell_();
    // That one alone: the destructor may have sent the other by now.
    sigset_t last;
    sigemptyset(&last);
    sigaddset(&last, signal);
    std::signal(signal, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &last, nullptr);
    ::raise(signal);
  }
}

}  // namespace bandb::cli
