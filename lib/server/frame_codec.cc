#include "server/frame_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/coding.h"
#include "kv/limits.h"
#include "proto/frame.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "proto/response.h"
#include "server/changes_codec.h"
#include "server/message_table.h"

namespace bandb::server {

namespace {

constexpr std::string_view kServerName = "bandb";
constexpr std::string_view kReplyTooLarge = "the reply exceeds the frame limit";

std::string_view TextOf(net::Refusal refusal) {
  switch (refusal) {
    case net::Refusal::kUnknownMessage:
      return "no such message id";
    case net::Refusal::kOverloaded:
      return "the server is short of memory: not done, try again later";
    case net::Refusal::kOutcomeUnknown:
      return "closed: the server is short of memory, and this connection held most of it";
    case net::Refusal::kFrameTooLong:
      return "the frame exceeds the limit";
    case net::Refusal::kFrameTimedOut:
      return "the frame was not completed in time";
    case net::Refusal::kNotKnownInTime:
      return "no user logged in in time";
    case net::Refusal::kTooManyConnections:
      return "too many connections";
    case net::Refusal::kShuttingDown:
      return "the server is shutting down";
    case net::Refusal::kHookFailed:
      break;
  }
  return "a hook failed";
}

uint16_t NumberOf(net::Refusal refusal) {
  switch (refusal) {
    case net::Refusal::kUnknownMessage:
      return ToCode(proto::ErrorCode::kUnknownMessage);
    case net::Refusal::kOverloaded:
      return ToCode(proto::ErrorCode::kOverloaded);
    case net::Refusal::kOutcomeUnknown:
      return proto::ToCode(absl::StatusCode::kUnknown);
    case net::Refusal::kFrameTooLong:
      return ToCode(proto::ErrorCode::kTooLarge);
    case net::Refusal::kFrameTimedOut:
      return ToCode(proto::ErrorCode::kTimedOut);
    case net::Refusal::kNotKnownInTime:
      return proto::ToCode(absl::StatusCode::kUnauthenticated);
    case net::Refusal::kTooManyConnections:
      return ToCode(proto::ErrorCode::kTooManyConnections);
    case net::Refusal::kShuttingDown:
      return ToCode(proto::ErrorCode::kShuttingDown);
    case net::Refusal::kHookFailed:
      break;
  }
  return ToCode(proto::ErrorCode::kHookFailed);
}

Failure TooLarge(std::string_view message) { return {ToCode(proto::ErrorCode::kTooLarge), std::string(message)}; }

Operation ToOperation(const proto::BatchOperation& from) {
  switch (from.kind) {
    case proto::BatchKind::kDelete:
      return {.kind = OperationKind::kDelete, .key = from.key};
    case proto::BatchKind::kRangeDelete:
      return {.kind = OperationKind::kDeleteRange, .key = from.key, .value = from.value};
    case proto::BatchKind::kPut:
      break;
    case proto::BatchKind::kPutWithTtl:
      if (from.ttl_ms > static_cast<uint64_t>(INT64_MAX)) break;
      return {.kind = OperationKind::kPut,
              .key = from.key,
              .value = from.value,
              .time_to_live = absl::Milliseconds(static_cast<int64_t>(from.ttl_ms))};
    case proto::BatchKind::kPutUntil:
      if (from.expires_ms > static_cast<uint64_t>(INT64_MAX)) break;
      return {.kind = OperationKind::kPut,
              .key = from.key,
              .value = from.value,
              .expiry = absl::FromUnixMillis(static_cast<int64_t>(from.expires_ms))};
  }
  return {.kind = OperationKind::kPut, .key = from.key, .value = from.value};
}

Condition ToCondition(const proto::BatchCondition& from) {
  return {static_cast<Condition::Check>(from.check), from.key, from.value};
}

static_assert(static_cast<int>(Condition::Check::kHasValue) == static_cast<int>(proto::BatchCheck::kHasValue));
static_assert(static_cast<int>(Condition::Check::kPresent) == static_cast<int>(proto::BatchCheck::kPresent));
static_assert(static_cast<int>(Condition::Check::kAbsent) == static_cast<int>(proto::BatchCheck::kAbsent));

static_assert(static_cast<int>(SnapshotCommand::Action::kTake) == static_cast<int>(proto::SnapshotAction::kTake));
static_assert(static_cast<int>(SnapshotCommand::Action::kRenew) == static_cast<int>(proto::SnapshotAction::kRenew));
static_assert(static_cast<int>(SnapshotCommand::Action::kDrop) == static_cast<int>(proto::SnapshotAction::kDrop));

// The body of a reply to SCAN.
class FrameEntryWriter final : public EntryWriter {
 public:
  FrameEntryWriter(size_t body_bytes_max, bool expiries)
      : body_bytes_max_(body_bytes_max), expiries_(expiries), reply_(proto::kOkFrameBytes + sizeof(uint32_t), '\0') {}

  bool Add(std::string_view key, std::string_view value, absl::Time expiry) override {
    // After the entries comes the cursor, which holds the last key once more.
    const size_t with_entry = reply_.size() - proto::kOkFrameBytes + proto::ScanEntryHeadBytes(expiries_) + key.size() +
                              value.size() + sizeof(uint32_t) + 1 + key.size();
    if (with_entry > body_bytes_max_) return false;
    const bool expires = expiry != absl::InfiniteFuture();
    const auto expires_ms = expires ? static_cast<uint64_t>(absl::ToUnixMillis(expiry)) : 0;
    proto::AppendScanEntry(&reply_, {key, value, expires_ms}, expiries_);
    ++count_;
    return true;
  }

  bool HasRoomForCursor(size_t key_bytes) const override {
    return reply_.size() - proto::kOkFrameBytes + sizeof(uint32_t) + 1 + key_bytes <= body_bytes_max_;
  }

  std::string Finish(std::string_view cursor) override {
    base::StoreFixed<uint32_t>(reply_.data() + proto::kOkFrameBytes, count_);
    base::PutFixed32(&reply_, static_cast<uint32_t>(cursor.size()));
    reply_.append(cursor);
    proto::StoreOkHead(reply_.data(), reply_.size() - proto::kOkFrameBytes);
    return std::move(reply_);
  }

  size_t bytes() const override { return reply_.size(); }

 private:
  const size_t body_bytes_max_;
  const bool expiries_;
  std::string reply_;
  uint32_t count_ = 0;
};

constexpr uint32_t kScanBytesDefault = 1 << 20;

}  // namespace

Failure ToFailure(net::Refusal refusal) { return {NumberOf(refusal), std::string(TextOf(refusal))}; }

net::Cut FrameCodec::Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) {
  proto::Frame cut;
  switch (proto::CutFrame(bytes, static_cast<uint32_t>(payload_bytes_max()), &cut, frame_bytes)) {
    case proto::CutResult::kFrame:
      *frame = {cut.message_id, cut.payload};
      *frame_bytes = cut.ByteSize();
      return net::Cut::kFrame;
    case proto::CutResult::kIncomplete:
      if (bytes.size() < proto::kFrameHeaderBytes) return net::Cut::kIncomplete;
      frame->message_id = cut.message_id;
      return net::Cut::kHeader;
    case proto::CutResult::kTooLong:
      break;
  }
  return net::Cut::kTooLong;
}

net::Denial FrameCodec::Admit(uint32_t message_id) {
  Failure failure = session().Admit(PermissionOf(message_id));
  return {failure.code, std::move(failure.message)};
}

void FrameCodec::AppendError(uint16_t code, std::string_view message, std::string* to) const {
  proto::AppendError(to, code, message);
}

uint16_t FrameCodec::CodeOf(net::Refusal refusal) const { return NumberOf(refusal); }

std::string_view FrameCodec::MessageOf(net::Refusal refusal) const { return TextOf(refusal); }

std::string_view FrameCodec::OkReply() const { return proto::OkFrame(); }

Failure FrameCodec::Decode(uint32_t message_id, std::string_view payload, Command* command) {
  const Message* const message = FindMessage(message_id);
  return message == nullptr ? MalformedFailure() : message->decode(*this, payload, command);
}

Failure FrameCodec::DecodePut(const FrameCodec&, std::string_view payload, Command* command) {
  Operation operation{.kind = OperationKind::kPut};
  if (!proto::DecodePut(payload, &operation.key, &operation.value)) return MalformedFailure();
  *command = SingleCommand{operation, payload};
  return {};
}

Failure FrameCodec::DecodeGet(const FrameCodec&, std::string_view payload, Command* command) {
  Operation operation{.kind = OperationKind::kGet};
  if (!proto::DecodeKey(payload, &operation.key)) return MalformedFailure();
  *command = SingleCommand{operation, payload};
  return {};
}

Failure FrameCodec::DecodeDelete(const FrameCodec&, std::string_view payload, Command* command) {
  Operation operation{.kind = OperationKind::kDelete};
  if (!proto::DecodeKey(payload, &operation.key)) return MalformedFailure();
  *command = SingleCommand{operation, payload};
  return {};
}

Failure FrameCodec::DecodeBatch(const FrameCodec& codec, std::string_view payload, Command* command) {
  proto::BatchReader cursor(payload);
  // A count that the payload has no room for is malformed.
  const uint64_t announced = uint64_t{cursor.conditions_left()} + cursor.operations_left();
  if (announced > payload.size() / proto::kBatchEntryBytesMin) return MalformedFailure();
  if (announced > codec.limits_.batch_operations_max) {
    return TooLarge(
        fmt::format("a batch of more than {} operations and conditions", codec.limits_.batch_operations_max));
  }
  BatchCommand batch;
  batch.bytes = payload.size();
  batch.conditions.reserve(cursor.conditions_left());
  batch.operations.reserve(cursor.operations_left());
  proto::BatchCondition condition;
  while (cursor.NextCondition(&condition)) batch.conditions.push_back(ToCondition(condition));
  proto::BatchOperation operation;
  while (cursor.NextOperation(&operation)) batch.operations.push_back(ToOperation(operation));
  if (!cursor.Complete()) return MalformedFailure();
  *command = std::move(batch);
  return {};
}

Failure FrameCodec::DecodeScan(const FrameCodec& codec, std::string_view payload, Command* command) {
  proto::Scan scan;
  if (!proto::DecodeScan(payload, &scan)) return MalformedFailure();
  // Of the payload: the status byte comes before the body.
  const uint32_t bytes = scan.bytes_max == 0 ? kScanBytesDefault : scan.bytes_max;
  const uint32_t bytes_max = std::min(bytes, codec.limits_.frame_bytes_max);
  *command = ScanCommand{.range = {.kind = OperationKind::kScan, .key = scan.begin, .value = scan.limit},
                         .cursor = scan.cursor,
                         .reverse = scan.reverse,
                         .keys_only = scan.keys_only,
                         .entries_max = scan.entries_max,
                         .snapshot = scan.snapshot,
                         .writer = std::make_unique<FrameEntryWriter>(bytes_max - 1, scan.expiries)};
  return {};
}

Failure FrameCodec::DecodeSnapshot(const FrameCodec&, std::string_view payload, Command* command) {
  proto::SnapshotRequest snapshot;
  if (!proto::DecodeSnapshot(payload, &snapshot)) return MalformedFailure();
  *command = SnapshotCommand{.action = static_cast<SnapshotCommand::Action>(snapshot.action),
                             .lease_ms = snapshot.lease_ms,
                             .id = snapshot.id};
  return {};
}

Failure FrameCodec::DecodeChanges(const FrameCodec& codec, std::string_view payload, Command* command) {
  return server::DecodeChanges(payload, codec.limits_.frame_bytes_max, command);
}

Failure FrameCodec::DecodeAcknowledge(const FrameCodec&, std::string_view payload, Command* command) {
  return server::DecodeAcknowledge(payload, command);
}

Failure FrameCodec::DecodeCursors(const FrameCodec&, std::string_view payload, Command* command) {
  return server::DecodeCursors(payload, command);
}

Failure FrameCodec::DecodeHello(const FrameCodec&, std::string_view payload, Command* command) {
  proto::Hello hello;
  if (!proto::DecodeHello(payload, &hello)) return MalformedFailure();
  if (hello.version_min > proto::kProtocolVersion || hello.version_max < proto::kProtocolVersion) {
    return {ToCode(proto::ErrorCode::kUnsupportedVersion), "this server speaks version 1"};
  }
  if ((hello.features & proto::kFeatureUsers) == 0) {
    *command = HelloCommand{};
    return {};
  }
  *command = LoginCommand{.user = std::string(hello.user), .token = std::string(hello.token), .answer = nullptr};
  return {};
}

Failure FrameCodec::DecodePing(const FrameCodec&, std::string_view payload, Command* command) {
  if (payload.size() > proto::kPingBytesMax) return MalformedFailure();
  *command = PingCommand{payload};
  return {};
}

Failure FrameCodec::DecodeStats(const FrameCodec&, std::string_view payload, Command* command) {
  if (!payload.empty()) return MalformedFailure();
  *command = StatsCommand{};
  return {};
}

net::Reply FrameCodec::Encode(Outcome* outcome, net::Quota* quota, std::string* bytes) {
  bytes->clear();
  if (!outcome->ok()) return EncodeFailure(outcome->failure, bytes);
  if (auto* value = std::get_if<PinnedValue>(&outcome->answer)) return EncodeValue(value, quota, bytes);
  if (auto* entries = std::get_if<EntriesAnswer>(&outcome->answer)) {
    if (entries->reply.size() > kCopyBytesMax)
      return {.head = {}, .tail = net::OwnedBytes::Of(std::move(entries->reply))};
    return {.head = entries->reply};
  }
  if (const auto* echo = std::get_if<EchoAnswer>(&outcome->answer)) return EncodeBody(echo->bytes, bytes);
  if (const auto* text = std::get_if<TextAnswer>(&outcome->answer)) {
    std::string body;
    base::PutFixed32(&body, static_cast<uint32_t>(text->text.size()));
    return EncodeBody(body.append(text->text), bytes);
  }
  if (const auto* cursors = std::get_if<CursorsAnswer>(&outcome->answer)) {
    return EncodeBody(CursorsBody(*cursors), bytes);
  }
  if (const auto* snapshot = std::get_if<SnapshotAnswer>(&outcome->answer)) {
    std::string body;
    proto::AppendSnapshotBody(&body, {snapshot->id, snapshot->lease_ms, snapshot->token});
    return EncodeBody(body, bytes);
  }
  if (const auto* hello = std::get_if<HelloAnswer>(&outcome->answer)) return EncodeHello(*hello, bytes);
  return {.head = proto::OkFrame()};
}

net::Reply FrameCodec::EncodeFailure(const Failure& failure, std::string* bytes) const {
  bytes->clear();
  if (failure.no_leader && !said_hello_) return {.head = {}, .ok = false, .code = failure.code, .closes = true};
  proto::AppendError(bytes, failure.code, failure.message);
  return {.head = *bytes, .ok = false, .code = failure.code};
}

net::Reply FrameCodec::EncodeValue(PinnedValue* value, net::Quota* quota, std::string* bytes) const {
  const std::string_view view = value->value();
  if (view.size() + 1 + sizeof(uint32_t) > limits_.frame_bytes_max) {
    return EncodeFailure(TooLarge("the value exceeds the frame limit"), bytes);
  }
  bytes->resize(proto::kValueHeadBytes);
  proto::StoreValueHead(bytes->data(), view.size());
  if (view.size() > kCopyBytesMax) return {.head = *bytes, .tail = Keep(std::move(*value), quota)};
  return {.head = *bytes, .body = view};
}

net::Reply FrameCodec::EncodeBody(std::string_view body, std::string* bytes) const {
  if (body.size() + 1 > limits_.frame_bytes_max) return EncodeFailure(TooLarge(kReplyTooLarge), bytes);
  bytes->resize(proto::kOkFrameBytes);
  proto::StoreOkHead(bytes->data(), body.size());
  bytes->append(body);
  return {.head = *bytes};
}

net::Reply FrameCodec::EncodeHello(const HelloAnswer& hello, std::string* bytes) {
  said_hello_ = true;
  proto::HelloReply reply;
  reply.version = proto::kProtocolVersion;
  reply.frame_bytes_max = limits_.frame_bytes_max;
  reply.key_bytes_max = kv::kKeyBytesMax;
  // A PUT must fit in a frame, too.
  const size_t in_frame = limits_.frame_bytes_max - 2 * sizeof(uint32_t);
  reply.value_bytes_max = static_cast<uint32_t>(std::min<size_t>(kv::kValueBytesMax, in_frame));
  reply.in_flight_max = hello.in_flight_max;
  reply.features = hello.features;
  reply.name = kServerName;
  std::string body;
  proto::AppendHelloBody(&body, reply);
  return EncodeBody(body, bytes);
}

}  // namespace bandb::server
