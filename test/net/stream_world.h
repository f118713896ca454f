// The worlds that the byte-stream seam lives in, for tests that all of them must pass.
#ifndef BANDB_TEST_NET_STREAM_WORLD_H_
#define BANDB_TEST_NET_STREAM_WORLD_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "net/socket_loop.h"

namespace bandb::test {

// Makes loops and lets them run, all on the calling thread.
class StreamWorld {
 public:
  virtual ~StreamWorld() = default;
  virtual std::unique_ptr<base::EventLoop> MakeLoop() = 0;
  // Runs turns of all loops until `done`; false if that takes unreasonably long.
  virtual bool RunUntil(const std::function<bool()>& done) = 0;
};

// Which world: real sockets on 127.0.0.1, watched as they are where nobody chose, or by poll; or,
// above 0, streams in memory by this seed.
inline constexpr int kSockets = 0;
inline constexpr int kPollSockets = -1;
constexpr bool IsSockets(int which) { return which <= 0; }
net::LoopKind KindOf(int which);

// Sockets go by `clock` if there is one.
std::unique_ptr<StreamWorld> MakeWorld(int which, base::Clock* clock = nullptr);

// One end of a connection that remembers what happened to it.
class RecordingEnd final : public base::StreamHandler {
 public:
  void Own(std::unique_ptr<base::Stream> stream);
  void Close() { stream_.reset(); }
  base::Stream* stream() const { return stream_.get(); }

  // Queues bytes, and writes them as there is room.
  void Send(std::string_view bytes);
  void StopReading();
  void StartReading();

  std::string received;
  bool connected = false;
  bool ended = false;
  bool broken = false;
  bool close_when_readable = false;

 private:
  void OnReadable() override;
  void OnWritable() override;
  void OnBroken() override;
  void Flush();

  std::unique_ptr<base::Stream> stream_;
  std::string unsent_;
  size_t sent_ = 0;  // of it
  bool reading_ = true;
};

// Accepts everything.
class RecordingListener final : public base::AcceptHandler {
 public:
  absl::Status Listen(base::EventLoop* loop, const std::string& address);
  const std::string& address() const { return listener_->address(); }
  void Close() { listener_.reset(); }
  base::Listener* listener() { return listener_.get(); }

  std::vector<std::unique_ptr<RecordingEnd>> ends;

 private:
  void OnAcceptable() override;

  base::EventLoop* loop_ = nullptr;
  std::unique_ptr<base::Listener> listener_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_NET_STREAM_WORLD_H_
