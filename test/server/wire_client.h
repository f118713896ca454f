// A client that says exactly the bytes it is told to, over a real socket.
#ifndef BANDB_TEST_SERVER_WIRE_CLIENT_H_
#define BANDB_TEST_SERVER_WIRE_CLIENT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bandb/server.h"
#include "base/thread_executor.h"
#include "proto/frame.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "proto/response.h"
#include "support/memory_store.h"

namespace bandb::test {

// A reply with bytes of its own.
struct OwnedReply {
  bool ok = false;
  std::string body;
  uint16_t code = 0;
  std::string message;
  bool operator==(const OwnedReply&) const = default;
};

OwnedReply OkReply(std::string body = {});
OwnedReply ValueReply(std::string_view value);

// Blocks, but for a minute at most, after which whatever was waited for did not come.
class WireClient {
 public:
  explicit WireClient(const std::string& address);
  ~WireClient();
  WireClient(const WireClient&) = delete;
  WireClient& operator=(const WireClient&) = delete;

  bool connected() const { return connected_; }
  // False if the connection is gone, or nobody takes the bytes.
  bool Send(std::string_view bytes);
  // As much as the socket takes at once.
  size_t SendSome(std::string_view bytes);
  std::optional<OwnedReply> Receive();
  // The next `count` replies; fewer if the connection ended.
  std::vector<OwnedReply> ReceiveMany(size_t count);
  // Of another protocol: the next bytes; fewer if the connection ended. Not beside Receive.
  std::string ReceiveText(size_t bytes);
  // Sends one frame and waits for its reply.
  std::optional<OwnedReply> Ask(std::string_view frame);
  // True if the server closes, or resets, without another reply.
  bool SeesEnd();
  // True if nothing arrives within this time.
  bool StaysSilent(int millis);
  void CloseWrite();
  void Close();

 private:
  bool WaitReadable(int millis);
  // False at the end.
  bool Fill();

  int fd_ = -1;
  bool connected_ = false;
  proto::FrameReader reader_{proto::kFrameBytesHardMax};
};

std::string PutFrame(std::string_view key, std::string_view value);
std::string GetFrame(std::string_view key);
std::string DeleteFrame(std::string_view key);
std::string BatchFrame(const proto::BatchBuilder& builder);
std::string BatchFrame(const std::vector<proto::BatchOperation>& operations,
                       const std::vector<proto::BatchCondition>& conditions = {});
std::string ScanFrame(const proto::Scan& scan);

// A server over a MemoryStore, on a free port.
class ServerFixture {
 public:
  explicit ServerFixture(ServerOptions options = {}, ServerHooks hooks = {});
  ~ServerFixture();

  std::string address() const { return server->Address(); }
  // Waits until `done`, looking again and again.
  bool Eventually(const std::function<bool()>& done);

  base::ThreadExecutor executor{1};
  MemoryStore store{&executor};
  std::unique_ptr<Server> server;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SERVER_WIRE_CLIENT_H_
