// Part of each test program that is labelled one_thread, and that the thread sanitizer therefore
// never sees: a thread that is started there ends the program.
#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace {

constexpr std::string_view kRefusal =
    "a thread is started in a test program that is labelled one_thread: take the label away, or move the case\n";

}  // namespace

// In the place of the C library's, for all of the program.
extern "C" int pthread_create(pthread_t* /*thread*/, const pthread_attr_t* /*attributes*/, void* (* /*start*/)(void*),
                              void* /*argument*/) noexcept {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kRefusal.data(), kRefusal.size());
  std::abort();
}
