#include "client/client.h"

#include <utility>

#include "absl/types/span.h"

#include "base/status.h"
#include "net/address.h"
#include "proto/request.h"
#include "tls/tls_client_stream.h"

namespace bandb::client {

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const Target& target, const ClientOptions& options) {
  BANDB_ASSIGN_OR_RETURN(auto stream, net::ClientStream::Connect(target.address, options.connect_timeout_nanos));
  if (target.tls != nullptr) {
    const std::string host = net::HostOf(target.address);
    BANDB_ASSIGN_OR_RETURN(
        stream, tls::TlsClientStream::Over(std::move(stream), target.tls, host, options.connect_timeout_nanos));
  }
  std::unique_ptr<Client> client(new Client(std::move(stream), options));
  if (!target.user.empty()) BANDB_RETURN_IF_ERROR(client->LogIn(target));
  return client;
}

absl::Status Client::LogIn(const Target& target) {
  proto::Hello hello;
  hello.features = proto::kFeatureUsers;
  hello.name = "bandb";
  hello.user = target.user;
  hello.token = target.token;
  proto::AppendHello(&output_, hello);
  said_hello_ = true;
  proto::Reply reply;
  return CallForOk(&reply);
}

absl::Status Client::Put(std::string_view key, std::string_view value) {
  proto::AppendPut(&output_, key, value);
  return CallToChange();
}

absl::Status Client::Greet() {
  if (std::exchange(said_hello_, true)) return absl::OkStatus();
  proto::AppendHello(&output_, {.name = "bandb"});
  proto::Reply reply;
  return Call(&reply);
}

absl::StatusOr<std::string> Client::Get(std::string_view key) {
  proto::Reply reply;
  // A client that has not said it is not told why a GET failed, but cut off.
  const bool greets = !std::exchange(said_hello_, true);
  if (greets) proto::AppendHello(&output_, {.name = "bandb"});
  proto::AppendGet(&output_, key);
  if (greets) BANDB_RETURN_IF_ERROR(Call(&reply));
  BANDB_RETURN_IF_ERROR(CallForOk(&reply));
  std::string_view value;
  if (!proto::DecodeValueBody(reply.body, &value)) {
    return base::Error(absl::StatusCode::kDataLoss, "the reply to a GET holds no value");
  }
  return std::string(value);
}

absl::Status Client::Delete(std::string_view key) {
  proto::AppendDelete(&output_, key);
  return CallToChange();
}

absl::Status Client::Write(const proto::BatchBuilder& batch) {
  batch.AppendTo(&output_);
  return CallToChange();
}

absl::StatusOr<ScanPiece> Client::Scan(const proto::Scan& scan) {
  proto::AppendScan(&output_, scan);
  proto::Reply reply;
  BANDB_RETURN_IF_ERROR(CallForOk(&reply));
  ScanPiece piece;
  proto::ScanBodyReader body(reply.body, scan.expiries);
  for (proto::ScanEntry entry; body.Next(&entry);) {
    piece.entries.push_back({std::string(entry.key), std::string(entry.value), entry.expires_ms});
  }
  if (!body.Complete()) return base::Error(absl::StatusCode::kDataLoss, "the reply to a SCAN does not add up");
  piece.cursor = body.next_cursor();
  return piece;
}

absl::StatusOr<TakenSnapshot> Client::TakeSnapshot(uint32_t lease_ms) {
  proto::AppendSnapshot(&output_, {.lease_ms = lease_ms});
  proto::Reply reply;
  BANDB_RETURN_IF_ERROR(CallForOk(&reply));
  proto::SnapshotReply snapshot;
  if (!proto::DecodeSnapshotBody(reply.body, &snapshot)) {
    return base::Error(absl::StatusCode::kDataLoss, "the reply to a SNAPSHOT does not add up");
  }
  return TakenSnapshot{snapshot.id, std::string(snapshot.token)};
}

absl::Status Client::RenewSnapshot(uint64_t id, uint32_t lease_ms) {
  proto::AppendSnapshot(&output_, {.action = proto::SnapshotAction::kRenew, .lease_ms = lease_ms, .id = id});
  proto::Reply reply;
  return CallForOk(&reply);
}

absl::Status Client::DropSnapshot(uint64_t id) {
  proto::AppendSnapshot(&output_, {.action = proto::SnapshotAction::kDrop, .id = id});
  proto::Reply reply;
  return CallForOk(&reply);
}

absl::StatusOr<std::string> Client::Changes(const proto::Changes& changes) {
  proto::AppendChanges(&output_, changes);
  proto::Reply reply;
  BANDB_RETURN_IF_ERROR(CallForOk(&reply));
  return std::string(reply.body);
}

absl::Status Client::Acknowledge(std::string_view cursor, std::string_view token) {
  proto::AppendAcknowledge(&output_, cursor, token);
  return CallToChange();
}

absl::StatusOr<std::string> Client::Cursors(const proto::Cursors& cursors) {
  proto::AppendCursors(&output_, cursors);
  proto::Reply reply;
  BANDB_RETURN_IF_ERROR(CallForOk(&reply));
  return std::string(reply.body);
}

absl::Status Client::Ping() {
  constexpr std::string_view kPayload = "bandb";
  proto::AppendPing(&output_, kPayload);
  proto::Reply reply;
  BANDB_RETURN_IF_ERROR(CallForOk(&reply));
  if (reply.body == kPayload) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDataLoss, "the reply to a PING is another text");
}

absl::StatusOr<std::string> Client::Stats() {
  proto::AppendStats(&output_);
  proto::Reply reply;
  BANDB_RETURN_IF_ERROR(CallForOk(&reply));
  std::string_view text;
  if (proto::DecodeTextBody(reply.body, &text)) return std::string(text);
  return base::Error(absl::StatusCode::kDataLoss, "the reply to STATS does not add up");
}

absl::StatusOr<std::string> Client::Administer(absl::Span<const std::string_view> words) {
  proto::AppendAdmin(&output_, words);
  proto::Reply reply;
  BANDB_RETURN_IF_ERROR(CallForOk(&reply));
  std::string_view text;
  if (proto::DecodeTextBody(reply.body, &text)) return std::string(text);
  return base::Error(absl::StatusCode::kDataLoss, "the reply to ADMIN does not add up");
}

bool Client::IsIdle() { return Pump().ok() && reader_.buffered_bytes() == 0; }

absl::Status Client::Write() {
  if (!has_output()) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(const size_t n, stream_->WriteSome(std::string_view(output_).substr(written_)));
  written_ += n;
  if (!has_output()) {
    output_.clear();
    written_ = 0;
  }
  return absl::OkStatus();
}

absl::Status Client::Pump() {
  BANDB_RETURN_IF_ERROR(Write());
  BANDB_ASSIGN_OR_RETURN(const size_t read, stream_->ReadSome(absl::MakeSpan(input_)));
  if (read > 0) reader_.Append(std::string_view(input_.data(), read));
  return absl::OkStatus();
}

absl::Status Client::Exchange() {
  const size_t buffered = reader_.buffered_bytes();
  BANDB_RETURN_IF_ERROR(Pump());
  if (reader_.buffered_bytes() > buffered) return absl::OkStatus();
  net::ClientStream::Interest interest{stream_.get(), has_output(), false};
  if (!net::ClientStream::Wait(absl::MakeSpan(&interest, 1), options_.reply_timeout_nanos)) {
    return base::Error(absl::StatusCode::kUnknown, "the server did not answer in time");
  }
  return Pump();
}

absl::StatusOr<bool> Client::Next(proto::Reply* reply) {
  proto::Frame frame;
  switch (reader_.Next(&frame)) {
    case proto::CutResult::kIncomplete:
      return false;
    case proto::CutResult::kTooLong:
      break;
    case proto::CutResult::kFrame:
      if (proto::DecodeReply(frame, reply)) return true;
      break;
  }
  return base::Error(absl::StatusCode::kDataLoss, "the answer is not a reply: is this a BanDB server?");
}

absl::Status Client::Call(proto::Reply* reply) {
  last_error_code_ = 0;
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool got, Next(reply));
    if (got) break;
    BANDB_RETURN_IF_ERROR(Exchange());
  }
  if (!reply->ok) last_error_code_ = reply->code;
  return absl::OkStatus();
}

absl::Status Client::CallForOk(proto::Reply* reply) {
  BANDB_RETURN_IF_ERROR(Call(reply));
  return reply->ToStatus();
}

absl::Status Client::CallToChange() {
  proto::Reply reply;
  const absl::Status status = Call(&reply);
  if (absl::IsUnavailable(status)) {
    return base::Error(absl::StatusCode::kUnknown, "{}; it may have been done", base::Message(status));
  }
  BANDB_RETURN_IF_ERROR(status);
  return reply.ToStatus();
}

}  // namespace bandb::client
