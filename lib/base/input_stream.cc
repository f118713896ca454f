#include "base/input_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/posix_file_system_files.h"
#include "base/status.h"

namespace bandb::base {

absl::StatusOr<std::unique_ptr<InputStream>> InputStream::Open(const std::string& path) {
  const int descriptor = RetryInterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (descriptor < 0) return PathError(errno, "open", path);
  std::unique_ptr<InputStream> stream(new InputStream(descriptor, true, path));
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) return PathError(errno, "stat", path);
  if (S_ISDIR(info.st_mode)) return Error(absl::StatusCode::kInvalidArgument, "{}: a directory", path);
  return stream;
}

std::unique_ptr<InputStream> InputStream::StandardInput() {
  return std::unique_ptr<InputStream>(new InputStream(STDIN_FILENO, false, "standard input"));
}

InputStream::~InputStream() {
  if (owned_) ::close(descriptor_);
}

absl::StatusOr<size_t> InputStream::Read(absl::Span<char> to) {
  const ssize_t n = RetryInterrupted([&] { return ::read(descriptor_, to.data(), to.size()); });
  if (n < 0) return PathError(errno, "read", name_);
  return static_cast<size_t>(n);
}

bool InputStream::Ready() const {
  pollfd input{descriptor_, POLLIN, 0};
  return ::poll(&input, 1, 0) != 0;
}

}  // namespace bandb::base
