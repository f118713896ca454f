#include "processes/notify_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "base/system_env.h"

namespace bandb::processes {

namespace {

constexpr size_t kKeptMax = 8;

}  // namespace

NotifySocket::NotifySocket(base::Clock* clock) : clock_(clock), path_(base::TakeVariable("NOTIFY_SOCKET")) {
  const std::string watchdog_usec = base::TakeVariable("WATCHDOG_USEC");
  const std::string watchdog_pid = base::TakeVariable("WATCHDOG_PID");
  // Another kind of socket, or a path that does not fit, is none of ours.
  if (path_.empty() || (path_[0] != '/' && path_[0] != '@') || path_.size() >= sizeof(sockaddr_un::sun_path)) return;
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int64_t usec = 0;
  if (!absl::SimpleAtoi(watchdog_usec, &usec) || usec <= 0 || usec > INT64_MAX / 1000) return;
  if (!watchdog_pid.empty() && watchdog_pid != std::to_string(::getpid())) return;
  alive_every_nanos_ = usec * 1000 / 2;
}

NotifySocket::~NotifySocket() {
  if (socket_ >= 0) ::close(socket_);
}

bool NotifySocket::Send(std::string_view lines) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  // A name that is of no file begins with a zero.
  if (path_[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  return ::sendto(socket_, lines.data(), lines.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                  length) >= 0;
}

void NotifySocket::Tell(std::string state) {
  if (socket_ < 0) return;
  // Of a manager that takes nothing: what is newest counts.
  if (kept_.size() == kKeptMax) kept_.pop_front();
  kept_.push_back(std::move(state));
  SendKept();
}

void NotifySocket::SendKept() {
  while (!kept_.empty() && Send(kept_.front())) kept_.pop_front();
}

void NotifySocket::TellReady(std::string_view status) { Tell(fmt::format("READY=1\nSTATUS={}\n", status)); }

void NotifySocket::TellReloading() {
  // A manager of notify-reload compares the time with that of its signal, by its own clock.
  Tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\n", base::AwakeNanos() / 1000));
}

void NotifySocket::TellEnding() { Tell("STOPPING=1\nSTATUS=ending\n"); }

void NotifySocket::Look(bool is_alive) {
  SendKept();
  if (alive_every_nanos_ == 0 || !is_alive) return;
  const int64_t now_nanos = clock_->MonotonicNanos();
  if (alive_told_nanos_ != 0 && now_nanos - alive_told_nanos_ < alive_every_nanos_) return;
  if (Send("WATCHDOG=1\n")) alive_told_nanos_ = now_nanos;
}

int64_t NotifySocket::look_nanos() const {
  constexpr int64_t kLookNanosMin = 10'000'000, kLookNanosMax = 1'000'000'000;
  return alive_every_nanos_ == 0 ? kLookNanosMax : std::clamp(alive_every_nanos_ / 2, kLookNanosMin, kLookNanosMax);
}

}  // namespace bandb::processes
