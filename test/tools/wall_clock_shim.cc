// A library to be preloaded: the process has another wall clock, which a test sets while it runs.
//
// BANDB_TEST_WALL_CLOCK names a file whose first eight bytes are how far this clock is ahead of the
// system's, in nanoseconds. The file is mapped, so that what is written there counts at once. Other
// clocks are as they were.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

constexpr int64_t kSecond = 1'000'000'000;

using ClockGetTime = int (*)(clockid_t, timespec*);

const volatile int64_t* Offset() {
  static const volatile int64_t* const offset = []() -> const volatile int64_t* {
    const char* const path = std::getenv("BANDB_TEST_WALL_CLOCK");
    const int fd = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) std::abort();
    const void* const mapped = ::mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    if (mapped == MAP_FAILED) std::abort();
    return static_cast<const volatile int64_t*>(mapped);
  }
  ();
  return offset;
}

ClockGetTime Original() {
  static const auto original = reinterpret_cast<ClockGetTime>(::dlsym(RTLD_NEXT, "clock_gettime"));
  return original;
}

}  // namespace

// What takes the place of the C library's functions of these names.
extern "C" {
int ReadShifted(clockid_t id, timespec* now) __asm__("clock_gettime");
int ReadShiftedTimeval(timeval* now, void* zone) __asm__("gettimeofday");
time_t ReadShiftedSeconds(time_t* to) __asm__("time");
}

int ReadShifted(clockid_t id, timespec* now) {
  const int result = Original()(id, now);
  if (result != 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)) return result;
  const int64_t nanos = now->tv_sec * kSecond + now->tv_nsec + *Offset();
  now->tv_sec = nanos / kSecond;
  now->tv_nsec = nanos % kSecond;
  return 0;
}

int ReadShiftedTimeval(timeval* now, void* /*zone*/) {
  timespec precise{};
  if (ReadShifted(CLOCK_REALTIME, &precise) != 0) return -1;
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t ReadShiftedSeconds(time_t* to) {
  timespec now{};
  ReadShifted(CLOCK_REALTIME, &now);
  if (to != nullptr) *to = now.tv_sec;
  return now.tv_sec;
}
