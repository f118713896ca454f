// Ends of real connections, each of which a test does with what it likes, on one loop.
#ifndef BANDB_TEST_NET_SOCKET_RIG_H_
#define BANDB_TEST_NET_SOCKET_RIG_H_

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/executor.h"
#include "net/address.h"
#include "net/file_descriptor.h"
#include "net/socket_loop.h"
#include "net/stream_world.h"
#include "support/catch.h"

namespace bandb::test {

inline constexpr int64_t kMinuteNanos = int64_t{60} * 1000000000;

// One end of a connection that counts what it is told.
class Ear final : public base::StreamHandler {
 public:
  void Own(std::unique_ptr<base::Stream> stream) {
    stream_ = std::move(stream);
    stream_->SetHandler(this);
  }
  void Close() { stream_.reset(); }
  base::Stream* stream() const { return stream_.get(); }
  bool gone() const { return ended || failed || broken > 0; }
  int told() const { return readable + writable + broken; }

  int readable = 0;
  int writable = 0;
  int broken = 0;
  bool ended = false;
  bool failed = false;
  std::string received;
  // In the place of reading, and of nothing.
  std::function<void()> when_readable;
  std::function<void()> when_writable;
  std::function<void()> when_broken;

 private:
  void OnReadable() override {
    ++readable;
    if (when_readable) return when_readable();
    std::array<char, 100> buffer;
    const base::IoResult read = stream_->Read(buffer.data(), buffer.size());
    if (read.state == base::IoResult::State::kDone) received.append(buffer.data(), read.bytes);
    ended = ended || read.state == base::IoResult::State::kEnd;
    failed = failed || read.state == base::IoResult::State::kFailed;
    if (ended || failed) stream_->Watch(false, false);
  }
  void OnWritable() override {
    ++writable;
    if (when_writable) when_writable();
  }
  void OnBroken() override {
    ++broken;
    if (when_broken) when_broken();
  }

  std::unique_ptr<base::Stream> stream_;
};

// The other end, without a loop.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  int fd() const { return fd_.get(); }
  void Connect(const std::string& address) {
    const auto to = net::ParseAddress(address);
    REQUIRE_OK(to.status());
    REQUIRE(::connect(fd(), to->get(), to->length) == 0);
  }
  void Send(std::string_view bytes) {
    REQUIRE(::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  void CloseWrite() { REQUIRE(::shutdown(fd(), SHUT_WR) == 0); }
  // Everything up to the end; blocks.
  std::string ReadAll() {
    std::string all;
    std::array<char, 100> buffer;
    for (ssize_t n = 0; (n = ::recv(fd(), buffer.data(), buffer.size(), 0)) > 0;) {
      all.append(buffer.data(), static_cast<size_t>(n));
    }
    return all;
  }
  void Close() { fd_.Close(); }
  // The system tells the other side that this one is gone, and that what it sent is lost.
  void Reset() {
    const linger now{1, 0};
    REQUIRE(::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
    Close();
  }

 private:
  net::FileDescriptor fd_;
};

inline Peer TcpPeer() { return Peer(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

// A loop, and ends of connections on it.
class Rig {
 public:
  explicit Rig(int which) : loop(*net::SocketLoop::Create(&clock, KindOf(which))) {}

  void Turns(int count) {
    for (int i = 0; i < count; i++) loop->RunOnce(0);
  }
  bool RunUntil(const std::function<bool()>& done) {
    const int64_t deadline = clock.MonotonicNanos() + kMinuteNanos;
    while (!done() && clock.MonotonicNanos() < deadline) loop->RunOnce(1000000);
    return done();
  }
  // How many turns it takes until a timer is due: where nothing is ready, the loop waits.
  int TurnsUntilTimer() {
    bool due = false;
    int turns = 0;
    loop->After(60 * 1000000, [&due] { due = true; });
    while (!due) {
      loop->RunOnce(base::kForever);
      turns++;
    }
    return turns;
  }
  // What is said on one of a pair is there on the other at once.
  Peer Pair(Ear* ear) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    REQUIRE(::fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    ear->Own(loop->NewStream({net::FileDescriptor(ends[0]), "a pair"}));
    return Peer(ends[1]);
  }

  base::SystemClock clock;
  const std::unique_ptr<net::SocketLoop> loop;
};

// Takes what comes, and gives it to ears.
class Taker final : public base::AcceptHandler {
 public:
  explicit Taker(Rig* rig) : rig_(rig) {
    auto listening = rig->loop->Listen({.address = "127.0.0.1:0"}, this);
    REQUIRE_OK(listening.status());
    listener = *std::move(listening);
  }

  std::unique_ptr<base::Listener> listener;
  std::vector<std::unique_ptr<Ear>> ears;
  absl::Status failure;
  bool closes = false;

 private:
  void OnAcceptable() override {
    if (closes) return listener.reset();
    while (true) {
      auto stream = listener->Accept(rig_->loop.get());
      failure.Update(stream.status());
      if (!stream.ok() || *stream == nullptr) return;
      ears.push_back(std::make_unique<Ear>());
      ears.back()->Own(*std::move(stream));
    }
  }

  Rig* const rig_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_NET_SOCKET_RIG_H_
