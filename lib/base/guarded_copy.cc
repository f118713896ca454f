#include "base/guarded_copy.h"

#include <atomic>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "base/mutex.h"

namespace bandb::base {

namespace {

// What this thread is copying to, and where to go on if it cannot.
struct Guard {
  uintptr_t begin;
  uintptr_t end;
  sigjmp_buf back;
};

// The mask of signals is not saved, which would cost a system call: the handler does not change it.
// The thread sanitizer's does, in which ours runs.
#ifdef __SANITIZE_THREAD__
constexpr int kSavesMask = 1;
#else
constexpr int kSavesMask = 0;
#endif

// Volatile, for the handler reads what the copy has written, and the compiler sees no reader. Of a
// model that a handler may use: no memory is allocated at first use.
__attribute__((tls_model("initial-exec"))) thread_local Guard* volatile guard = nullptr;

using SignalAction = struct sigaction;

// What the process had before; written once, before the handler is installed.
SignalAction previous = {};

void OnBusError(int signal_number, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Guard* const copying = guard;
  if (copying != nullptr && address >= copying->begin && address < copying->end) siglongjmp(copying->back, 1);
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal_number, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal_number);
  } else {
    // The instruction is run again, and this time ends the process.
    struct sigaction fall_back {};
    fall_back.sa_handler = SIG_DFL;
    ::sigaction(SIGBUS, &fall_back, nullptr);
    if (info->si_code <= 0) ::raise(SIGBUS);  // somebody sent it: there is no instruction
  }
}

}  // namespace

bool InstallGuard() {
  // Constant-initialised, and needed until the last thread has ended.
  static Mutex mutex;
  static bool installed = false;
  MutexLock lock(&mutex);
  struct sigaction present {};
  if (::sigaction(SIGBUS, nullptr, &present) != 0) return false;
  const bool ours = (present.sa_flags & SA_SIGINFO) != 0 && present.sa_sigaction == &OnBusError;
  if (ours || installed) return ours;
  previous = present;
  struct sigaction guarded {};
  guarded.sa_sigaction = &OnBusError;
  // On the stack of the handler that the process had. Not deferred: the copy is left by a jump,
  // after which the signal would stay blocked.
  guarded.sa_flags = SA_SIGINFO | SA_NODEFER | (present.sa_flags & SA_ONSTACK);
  guarded.sa_mask = present.sa_mask;
  installed = ::sigaction(SIGBUS, &guarded, nullptr) == 0;
  return installed;
}

bool GuardedCopy(char* to, const char* from, size_t bytes) {
  Guard here;
  here.begin = reinterpret_cast<uintptr_t>(to);
  here.end = here.begin + bytes;
  if (sigsetjmp(here.back, kSavesMask) != 0) {
    guard = nullptr;
    return false;
  }
  guard = &here;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::memcpy(to, from, bytes);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  guard = nullptr;
  return true;
}

}  // namespace bandb::base
