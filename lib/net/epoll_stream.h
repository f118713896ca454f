// TCP sockets as the streams and listeners of an EpollLoop.
#ifndef BANDB_NET_EPOLL_STREAM_H_
#define BANDB_NET_EPOLL_STREAM_H_

#include <memory>
#include <string>

#include "net/epoll_loop.h"
#include "net/file_descriptor.h"

namespace bandb::net {

class EpollStream final : public base::Stream, private EpollSource {
 public:
  static absl::StatusOr<std::unique_ptr<base::Stream>> Connect(EpollLoop* loop, const std::string& address,
                                                               base::StreamHandler* handler);
  // `fd` is connected, or about to be, and does not block. The loop learns of it with SetHandler,
  // on its thread.
  EpollStream(EpollLoop* loop, FileDescriptor fd, std::string peer);
  ~EpollStream() override;

  void SetHandler(base::StreamHandler* handler) override;
  base::IoResult Read(char* to, size_t bytes_max) override;
  base::IoResult Write(absl::Span<const std::string_view> pieces) override;
  void Watch(bool readable, bool writable) override;
  void CloseWrite() override;
  const std::string& peer() const override { return peer_; }

 private:
  void OnEvents(uint32_t events) override;

  EpollLoop* const loop_;
  FileDescriptor fd_;
  base::StreamHandler* handler_ = nullptr;
  const std::string peer_;
  uint32_t watched_ = 0;
};

class EpollListener final : public base::Listener, private EpollSource {
 public:
  static absl::StatusOr<std::unique_ptr<base::Listener>> Open(EpollLoop* loop, const base::ListenOptions& options,
                                                              base::AcceptHandler* handler);
  ~EpollListener() override;

  absl::StatusOr<std::unique_ptr<base::Stream>> Accept(base::EventLoop* loop) override;
  void Watch(bool acceptable) override;
  const std::string& address() const override { return address_; }

 private:
  EpollListener(EpollLoop* loop, FileDescriptor fd, std::string address, int keepalive_seconds,
                base::AcceptHandler* handler);
  void OnEvents(uint32_t events) override;
  void TurnOneAway();

  EpollLoop* const loop_;
  FileDescriptor fd_;
  // Held so that, out of descriptors, there is one to take a connection with and close it: its
  // client learns at once, instead of waiting in the backlog.
  FileDescriptor reserve_;
  const std::string address_;
  const int keepalive_seconds_;
  base::AcceptHandler* const handler_;
};

}  // namespace bandb::net

#endif  // BANDB_NET_EPOLL_STREAM_H_
