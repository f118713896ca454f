// A codec of a connection as the service wants it: bytes to commands, outcomes to bytes.
#ifndef BANDB_SERVER_CODEC_H_
#define BANDB_SERVER_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "net/protocol.h"
#include "net/quota.h"
#include "net/reply.h"
#include "server/commands.h"
#include "server/request_mark.h"
#include "server/session.h"

namespace bandb::server {

// "put", "admin" or "message 70000".
std::string NameOfMessage(uint32_t id);

// Up to this a value is copied into the output; above, what it lies in is kept until it was
// written.
inline constexpr size_t kCopyBytesMax = 16 << 10;

// Thread safety: the loop's thread, but for the writers that it makes.
class Codec : public net::Codec {
 public:
  explicit Codec(UserRegistry* users = nullptr) : session_(users) {}
  virtual Session& session() { return session_; }
  virtual ClientProtocol protocol() const { return ClientProtocol::kBanDb; }
  bool restricted() const override { return session_.is_nobody(); }
  std::string_view user() const override { return session_.name(); }
  // What it calls itself. Lifetime: until the next call of anything.
  virtual std::string_view client_name() const { return {}; }
  // What the client asked for last, "put" for one. `message_id`: by what BanNet routed it.
  virtual std::string LastOperation(uint32_t message_id) const { return NameOfMessage(message_id); }
  // Its message ids are those of the table of messages, which hooks may be on.
  virtual bool HasMessages() const { return false; }
  // The command is made of views of the payload. A failure is the answer; `command` is then any.
  virtual Failure Decode(uint32_t message_id, std::string_view payload, Command* command) = 0;
  // The reply, made of views of `outcome`, of `bytes` and of the codec, and of what it took from
  // `outcome`. What has no room in a frame becomes a failure.
  virtual net::Reply Encode(Outcome* outcome, net::Quota* quota, std::string* bytes) = 0;

 private:
  Session session_;
};

// Keeps the value where it lies. Others may keep it, too, so its memory is counted by the quota.
net::OwnedBytes Keep(PinnedValue value, net::Quota* quota);

}  // namespace bandb::server

#endif  // BANDB_SERVER_CODEC_H_
