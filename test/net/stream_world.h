// The two worlds that the byte-stream seam lives in, for tests that both must pass.
#ifndef BANDB_TEST_NET_STREAM_WORLD_H_
#define BANDB_TEST_NET_STREAM_WORLD_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"

namespace bandb::test {

// Makes loops and lets them run, all on the calling thread.
class StreamWorld {
 public:
  virtual ~StreamWorld() = default;
  virtual std::unique_ptr<base::EventLoop> MakeLoop() = 0;
  // Runs turns of all loops until `done`; false if that takes unreasonably long.
  virtual bool RunUntil(const std::function<bool()>& done) = 0;
};

// Real sockets on 127.0.0.1, or streams in memory with this seed.
std::unique_ptr<StreamWorld> MakeSocketWorld();
// Sockets under a clock of the test's.
std::unique_ptr<StreamWorld> MakeSocketWorld(base::Clock* clock);
std::unique_ptr<StreamWorld> MakeSimWorld(uint64_t seed);

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
