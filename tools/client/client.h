// A client of the protocol of docs/protocol.md: one connection, pipelined requests, replies in
// their order.
//
// Call Put, Get and Delete for one request at a time. To keep many under way, append frames to
// output() with the codecs of lib/proto, call Exchange, and take replies with Next until there is
// none.
#ifndef BANDB_TOOLS_CLIENT_CLIENT_H_
#define BANDB_TOOLS_CLIENT_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/target.h"
#include "net/client_stream.h"
#include "proto/changes.h"
#include "proto/frame.h"
#include "proto/request.h"
#include "proto/response.h"

namespace bandb::client {

// How long to wait. The original client gives each reply 5 s.
struct ClientOptions {
  int64_t connect_timeout_nanos = 5'000'000'000;
  // Without a byte from the server; a reply that comes slowly may take longer.
  int64_t reply_timeout_nanos = 10'000'000'000;
};

struct ScannedEntry {
  std::string key;
  std::string value;
  uint64_t expires_ms = 0;  // as proto::ScanEntry
};
// The reply to a SCAN.
struct ScanPiece {
  std::vector<ScannedEntry> entries;
  std::string cursor;  // for the next piece; empty: the range is done
};

// The reply to a SNAPSHOT that takes one.
struct TakenSnapshot {
  uint64_t id = 0;
  std::string token;  // of the change feed, after what the snapshot shows; empty: the server has none
};

// Errors of every call: kUnavailable the connection is gone or the server closed it, which for Put,
// Delete and Write is kUnknown: they may have been done · kUnknown no reply came in time ·
// kDataLoss what came is not a reply. After each of these the client is of no more use. Otherwise
// what the server said. Thread safety: one thread at a time.
class Client {
 public:
  // Errors also: kUnauthenticated there is no such user, or it has another token.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(const Target& target, const ClientOptions& options = {});

  // Says HELLO, unless it was said: a client that has not is not told why a GET failed, but cut
  // off.
  absl::Status Greet();
  absl::Status Put(std::string_view key, std::string_view value);
  absl::StatusOr<std::string> Get(std::string_view key);
  absl::Status Delete(std::string_view key);
  // Errors: kAborted a condition does not hold, or a hook rejected it.
  absl::Status Write(const proto::BatchBuilder& batch);
  absl::StatusOr<ScanPiece> Scan(const proto::Scan& scan);
  // A state that scans may name, as long as one does within the lease (0: as the server likes).
  absl::StatusOr<TakenSnapshot> TakeSnapshot(uint32_t lease_ms);
  // Errors: kFailedPrecondition there is none of this number any more.
  absl::Status RenewSnapshot(uint64_t id, uint32_t lease_ms);
  absl::Status DropSnapshot(uint64_t id);
  // The body of the reply, for proto::ChangesBodyReader. One that waits longer than the reply
  // timeout is kUnknown.
  absl::StatusOr<std::string> Changes(const proto::Changes& changes);
  absl::Status Acknowledge(std::string_view cursor, std::string_view token);
  // The body of the reply, for proto::CursorsBodyReader if they are to be listed.
  absl::StatusOr<std::string> Cursors(const proto::Cursors& cursors);
  absl::Status Ping();
  absl::StatusOr<std::string> Stats();
  // What the server does about the words of an operator; it may take as long as the reply timeout.
  absl::StatusOr<std::string> Administer(absl::Span<const std::string_view> words);

  // The code that the server gave for the failure of the last call; 0 if that did not come from the
  // server. Codes of hooks and of BanDB are finer than those of a status.
  uint16_t last_error_code() const { return last_error_code_; }

  // Whether the connection is open and nothing has come unasked, as it does before the server
  // closes one.
  bool IsIdle();

  // Frames that wait to be written; append to it.
  std::string* output() { return &output_; }
  // False once everything appended has been handed to the socket.
  bool has_output() const { return written_ < output_.size(); }
  // Writes what goes without waiting.
  absl::Status Write();
  // Writes and reads what goes without waiting.
  absl::Status Pump();
  // Pumps, and if nothing was read waits until something moves. kUnknown if nothing does in time.
  absl::Status Exchange();
  // Takes the next reply: false if there is none yet. Lifetime: its views are valid until the next
  // call of anything.
  absl::StatusOr<bool> Next(proto::Reply* reply);

  net::ClientStream* stream() { return stream_.get(); }

 private:
  Client(std::unique_ptr<net::ClientStream> stream, const ClientOptions& options)
      : options_(options), stream_(std::move(stream)), input_(kInputBytes), reader_(proto::kFrameBytesHardMax) {}

  absl::Status LogIn(const Target& target);
  // Sends what is in output_ and waits for one reply.
  absl::Status Call(proto::Reply* reply);
  // The same, and fails if the reply does.
  absl::Status CallForOk(proto::Reply* reply);
  // The same for a request that changes something.
  absl::Status CallToChange();

  static constexpr size_t kInputBytes = 64 << 10;

  const ClientOptions options_;
  const std::unique_ptr<net::ClientStream> stream_;
  std::string output_;
  size_t written_ = 0;  // bytes of output_ that the socket has taken
  std::vector<char> input_;
  proto::FrameReader reader_;
  uint16_t last_error_code_ = 0;
  bool said_hello_ = false;
};

}  // namespace bandb::client

#endif  // BANDB_TOOLS_CLIENT_CLIENT_H_
