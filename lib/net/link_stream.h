// The bytes under a frame link: a stream, what waits to be written to it, and its last words.
//
// It is apart from FrameLink since it lives longer: a link that is closed is gone at once, while
// its stream *takes leave*, kept by the LinkHost. It writes what is queued, closes its writing
// side, and reads to nowhere until the peer closes, so that the reason is not lost to a reset.
#ifndef BANDB_NET_LINK_STREAM_H_
#define BANDB_NET_LINK_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/event_loop.h"
#include "net/output_queue.h"

namespace bandb::net {

class LinkHost;

// Told about one stream, on the loop's thread. Inside any of these it may be given up.
class LinkStreamUser {
 public:
  virtual void OnConnected() = 0;
  // Valid during the call.
  virtual void OnInput(std::string_view bytes) = 0;
  // The stream took some of the output.
  virtual void OnOutputTaken() = 0;
  // In the turn in which ResumeLater was called.
  virtual void OnResume() = 0;
  // The peer closed it (`ended`), or it broke: `why` as Stream::failure. Nothing is told after.
  virtual void OnLost(bool ended, const std::string& why) = 0;

 protected:
  ~LinkStreamUser() = default;
};

// Thread safety: the loop's thread. Lifetime: the host must outlive it; it is destroyed between
// turns, by the host, once it was handed to it.
class LinkStream final : private base::StreamHandler {
 public:
  LinkStream(LinkHost* host, LinkStreamUser* user);
  ~LinkStream();

  // One of these, once. Errors: as EventLoop::ConnectFor.
  absl::Status Connect(const std::string& name, const std::string& address);
  void Take(std::unique_ptr<base::Stream> stream);

  bool connected() const { return connected_; }
  bool established() const { return stream_ != nullptr && connected_ && stream_->established(); }
  std::string_view peer() const { return stream_ == nullptr ? std::string_view() : stream_->peer(); }
  // How much is read at a time, at most LinkHost::kReadBytes.
  void SetReadBytes(size_t bytes_max) { read_bytes_max_ = bytes_max; }
  void SetReading(bool on);
  void ResumeLater();

  // To be written at the end of the turn.
  void Append(std::string_view bytes);
  void AppendOwned(OwnedBytes bytes);
  size_t output_bytes() const { return output_.bytes(); }
  // When there was output and none of it was taken since.
  int64_t output_since_nanos() const { return output_since_nanos_; }

  // The user hears no more.
  void Forget() { user_ = nullptr; }
  // Closes the stream in both directions.
  void Drop();

  // For the host. Flush is called at the end of a turn in which the stream was touched.
  void Flush();
  void TakeLeave(int64_t linger_nanos);
  bool touched = false;

 private:
  void OnReadable() override;
  void OnWritable() override;
  void OnBroken() override;
  void Lose(bool ended);
  void Write();
  void WatchAgain();

  LinkHost* const host_;
  LinkStreamUser* user_;
  std::unique_ptr<base::Stream> stream_;
  OutputQueue output_;
  size_t read_bytes_max_ = 0;
  int64_t output_since_nanos_ = 0;
  base::TimerId linger_timer_ = base::kNoTimer;
  bool connected_ = false;
  bool reading_ = true;
  bool leaving_ = false;
  bool said_all_ = false;
  bool resume_asked_ = false;
};

}  // namespace bandb::net

#endif  // BANDB_NET_LINK_STREAM_H_
