#include "standard_streams/standard_streams.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bandb::standard_streams {

namespace {

// By system calls alone, and without the sanitizers: nothing of the process is ready yet.
__attribute__((no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined"))) void HoldNumbers(
    int /*argc*/, char** /*argv*/, char** /*environment*/) {
  // The end of a pipe that cannot be written, and reads as empty.
  static int pipe[2];
  do {
    if (::syscall(SYS_pipe2, pipe, 0) != 0) return;
    ::syscall(SYS_close, pipe[1]);
  } while (pipe[0] <= STDERR_FILENO);
  ::syscall(SYS_close, pipe[0]);
}

// Run before the initializers of shared libraries, some of which open descriptors for good.
__attribute__((section(".preinit_array"), used)) void (*const kHoldNumbers)(int, char**, char**) = HoldNumbers;

}  // namespace

void Write(std::FILE* stream, std::string_view text) {
  // The stream remembers that it failed.
  (void)!std::fwrite(text.data(), 1, text.size(), stream);
}

std::optional<TerminalSize> SizeOfTerminal() {
  if (::isatty(STDOUT_FILENO) == 0) return std::nullopt;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    return TerminalSize{80, 24};
  return TerminalSize{size.ws_col, size.ws_row};
}

bool Arrived() { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }

}  // namespace bandb::standard_streams
