#include "net/stream_world.h"

#include <array>

#include "base/assert.h"
#include "net/socket_loop.h"
#include "support/sim_streams.h"

namespace bandb::test {

namespace {

class SocketWorld final : public StreamWorld {
 public:
  SocketWorld(net::LoopKind kind, base::Clock* clock)
      : kind_(kind), clock_(clock == nullptr ? &system_clock_ : clock) {}
  std::unique_ptr<base::EventLoop> MakeLoop() override {
    auto loop = net::SocketLoop::Create(clock_, kind_);
    BANDB_ASSERT(loop.ok());
    loops_.push_back(loop->get());
    return *std::move(loop);
  }
  bool RunUntil(const std::function<bool()>& done) override {
    const int64_t deadline = system_clock_.MonotonicNanos() + int64_t{30} * 1000000000;
    while (!done()) {
      if (system_clock_.MonotonicNanos() > deadline) return false;
      for (net::SocketLoop* loop : loops_) loop->RunOnce(1000000);
    }
    return true;
  }

 private:
  const net::LoopKind kind_;
  base::SystemClock system_clock_;
  base::Clock* const clock_;
  std::vector<net::SocketLoop*> loops_;  // the test keeps them while it runs them
};

class SimWorld final : public StreamWorld {
 public:
  explicit SimWorld(uint64_t seed) : network_({.seed = seed}) {}
  std::unique_ptr<base::EventLoop> MakeLoop() override { return network_.MakeLoop(); }
  bool RunUntil(const std::function<bool()>& done) override { return network_.RunUntil(done); }

 private:
  SimNetwork network_;
};

}  // namespace

net::LoopKind KindOf(int which) { return which == kPollSockets ? net::LoopKind::kPoll : net::DefaultLoopKind(); }

std::unique_ptr<StreamWorld> MakeWorld(int which, base::Clock* clock) {
  if (IsSockets(which)) return std::make_unique<SocketWorld>(KindOf(which), clock);
  return std::make_unique<SimWorld>(static_cast<uint64_t>(which));
}

void RecordingEnd::Own(std::unique_ptr<base::Stream> stream) {
  stream_ = std::move(stream);
  stream_->SetHandler(this);
  stream_->Watch(reading_, true);
}

void RecordingEnd::Send(std::string_view bytes) {
  unsent_ += bytes;
  stream_->Watch(reading_, true);
}

void RecordingEnd::StopReading() {
  reading_ = false;
  stream_->Watch(false, !unsent_.empty());
}

void RecordingEnd::StartReading() {
  reading_ = true;
  stream_->Watch(true, !unsent_.empty());
}

void RecordingEnd::OnReadable() {
  if (close_when_readable) return Close();
  std::array<char, 5000> buffer;
  const base::IoResult result = stream_->Read(buffer.data(), buffer.size());
  if (result.state == base::IoResult::State::kDone) received.append(buffer.data(), result.bytes);
  if (result.state == base::IoResult::State::kFailed) return OnBroken();
  if (result.state == base::IoResult::State::kEnd) {
    ended = true;
    StopReading();
  }
}

void RecordingEnd::OnWritable() {
  connected = true;
  Flush();
}

void RecordingEnd::Flush() {
  if (!unsent_.empty()) {
    const std::string_view rest = std::string_view(unsent_).substr(sent_);
    const std::string_view halves[] = {rest.substr(0, rest.size() / 2), rest.substr(rest.size() / 2)};
    const base::IoResult result = stream_->Write(halves);
    if (result.state == base::IoResult::State::kFailed) return OnBroken();
    sent_ += result.bytes;
    if (sent_ == unsent_.size()) {
      unsent_.clear();
      sent_ = 0;
    }
  }
  stream_->Watch(reading_, !unsent_.empty());
}

void RecordingEnd::OnBroken() {
  broken = true;
  Close();
}

absl::Status RecordingListener::Listen(base::EventLoop* loop, const std::string& address) {
  loop_ = loop;
  auto listener = loop->Listen({.address = address}, this);
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  return absl::OkStatus();
}

void RecordingListener::OnAcceptable() {
  auto stream = listener_->Accept(loop_);
  if (!stream.ok() || *stream == nullptr) return;
  ends.push_back(std::make_unique<RecordingEnd>());
  ends.back()->Own(*std::move(stream));
}

}  // namespace bandb::test
