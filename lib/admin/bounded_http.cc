#include "admin/bounded_http.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "admin/task_queue.h"

namespace bandb::admin {

namespace {

constexpr int64_t kNanosPerMilli = 1'000'000;
// How often a thread that waits looks whether others do.
constexpr int64_t kSliceMs = 50;
// How long a client may take to close first, so that what it sent too much does not reset the
// connection before it has read its answer.
constexpr int64_t kLingerMaxMs = 250;

bool Poll(socket_t socket, short events, int64_t timeout_ms) {
  pollfd one{.fd = socket, .events = events, .revents = 0};
  return ::poll(&one, 1, static_cast<int>(std::max<int64_t>(timeout_ms, 0))) > 0;
}

}  // namespace

// What the library reads from and writes to. Used by one thread.
class BoundedHttp::Connection : public httplib::Stream {
 public:
  Connection(BoundedHttp* server, socket_t socket)
      : server_(server),
        socket_(socket),
        start_ms_(server->clock_.MonotonicNanos() / kNanosPerMilli),
        bytes_left_(server->limits_.request_bytes) {}

  bool is_readable() const override { return bytes_left_ > 0 && WaitForBytes(); }
  bool is_writable() const override { return Poll(socket_, POLLOUT, server_->limits_.deadline_ms - AgeMs()); }

  ssize_t read(char* to, size_t size) override {
    // The library asks for one byte at a time.
    if (begin_ == end_ && !Fill()) return end_of_stream_ ? 0 : -1;
    const size_t taken = std::min(size, end_ - begin_);
    std::copy_n(buffer_ + begin_, taken, to);
    begin_ += taken;
    return static_cast<ssize_t>(taken);
  }

  ssize_t write(const char* from, size_t size) override {
    while (is_writable()) {
      const ssize_t written = ::send(socket_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (written >= 0 || (errno != EAGAIN && errno != EINTR)) return written;
    }
    return -1;
  }

  // The listener asks for no addresses.
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return socket_; }

  void Finish() {
    ::shutdown(socket_, SHUT_WR);
    const int64_t until_ms = std::min(server_->limits_.deadline_ms, AgeMs() + kLingerMaxMs);
    size_t left = server_->limits_.request_bytes;
    while (left > 0 && Poll(socket_, POLLIN, until_ms - AgeMs())) {
      const ssize_t got = ::recv(socket_, buffer_, std::min(left, sizeof(buffer_)), MSG_DONTWAIT);
      if (got <= 0) return;
      left -= static_cast<size_t>(got);
    }
  }

 private:
  int64_t AgeMs() const { return server_->clock_.MonotonicNanos() / kNanosPerMilli - start_ms_; }

  bool WaitForBytes() const {
    if (begin_ != end_) return true;
    while (true) {
      const Limits& limits = server_->limits_;
      const int64_t age_ms = AgeMs();
      const bool is_late =
          age_ms >= limits.deadline_ms || (age_ms >= limits.deadline_while_others_wait_ms && server_->DoOthersWait());
      if (is_late) return false;
      if (Poll(socket_, POLLIN, std::min(kSliceMs, limits.deadline_ms - age_ms))) return true;
    }
  }

  bool Fill() {
    if (bytes_left_ == 0 || !WaitForBytes()) return false;
    const ssize_t got = ::recv(socket_, buffer_, std::min(bytes_left_, sizeof(buffer_)), MSG_DONTWAIT);
    end_of_stream_ = got == 0;
    if (got <= 0) return false;
    bytes_left_ -= static_cast<size_t>(got);
    begin_ = 0;
    end_ = static_cast<size_t>(got);
    return true;
  }

  BoundedHttp* const server_;
  const socket_t socket_;
  const int64_t start_ms_;
  size_t bytes_left_;
  bool end_of_stream_ = false;
  size_t begin_ = 0;  // what was read and not asked for is buffer_[begin_, end_)
  size_t end_ = 0;
  char buffer_[4096];
};

void BoundedHttp::SetQueue(TaskQueue* queue) {
  const base::MutexLock lock(&mutex_);
  queue_ = queue;
}

void BoundedHttp::End() {
  {
    const base::MutexLock lock(&mutex_);
    ending_ = true;
    // Reading ends; an answer that is being written has its deadline.
    for (const socket_t socket : served_) ::shutdown(socket, SHUT_RD);
  }
  stop();
}

bool BoundedHttp::process_and_close_socket(socket_t socket) {
  bool is_answered = false;
  if (Enter(socket)) {
    Connection connection(this, socket);
    bool closed = false;
    is_answered = process_request(connection, true, closed, [](httplib::Request& request) {
      // Many ranges of one page would make an answer thousands of times its size.
      request.ranges.clear();
      request.headers.erase("Range");
    });
    connection.Finish();
    Leave(socket);
  }
  ::close(socket);
  return is_answered;
}

bool BoundedHttp::Enter(socket_t socket) {
  const base::MutexLock lock(&mutex_);
  if (!ending_) served_.insert(socket);
  return !ending_;
}

void BoundedHttp::Leave(socket_t socket) {
  const base::MutexLock lock(&mutex_);
  served_.erase(socket);
}

bool BoundedHttp::DoOthersWait() {
  const base::MutexLock lock(&mutex_);
  return queue_ != nullptr && queue_->HasWaiting();
}

}  // namespace bandb::admin
