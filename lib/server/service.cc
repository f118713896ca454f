#include "server/service.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/coding.h"
#include "kv/limits.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "proto/response.h"

namespace bandb::server {

namespace {

// Writes overlap: the store keeps the order of WriteAsync. Reads overlap: the read path keeps
// theirs.
constexpr net::Lane kWriteLane = 1;
constexpr net::Lane kReadLane = 2;

constexpr std::string_view kServerName = "bandb";

}  // namespace

class Service::MethodHandler final : public net::Handler {
 public:
  MethodHandler(Service* service, Method method) : service_(service), method_(method) {}
  void Handle(net::Call& call) override { (service_->*method_)(call); }

 private:
  Service* const service_;
  const Method method_;
};

Service::Service(const ServiceParts& parts, const ServiceOptions& options)
    : options_(options),
      stats_(parts.stats),
      durable_(parts.store, parts.loop, parts.completions, parts.quota),
      context_{.completions = parts.completions,
               .counters = &counters_,
               .quota = parts.quota,
               .readers = parts.readers,
               .durable = options.sync ? &durable_ : nullptr,
               .frame_bytes_max = options.frame_bytes_max,
               .memory_bytes_max = options.memory_bytes_max},
      writes_(parts.store, parts.loop, context_,
              {.sync = options.sync,
               .operations_max = options.batch_operations_max,
               .stall_timeout_nanos = options.stall_timeout_nanos}),
      reads_(parts.store, parts.loop, context_, options.reads_inline),
      scans_(parts.store, parts.loop, context_) {}

Service::~Service() = default;

void Service::AddTo(net::Router* router) {
  const auto add = [this, router](proto::MessageId id, Method method, net::Lane lane) {
    handlers_.push_back(std::make_unique<MethodHandler>(this, method));
    router->Add(static_cast<uint32_t>(id), handlers_.back().get(), lane);
  };
  add(proto::MessageId::kPut, &Service::Put, kWriteLane);
  add(proto::MessageId::kGet, &Service::Get, kReadLane);
  add(proto::MessageId::kDelete, &Service::Delete, kWriteLane);
  add(proto::MessageId::kBatch, &Service::Batch, kWriteLane);
  for (const proto::MessageId id : {proto::MessageId::kPut, proto::MessageId::kDelete, proto::MessageId::kBatch}) {
    router->SetGate(static_cast<uint32_t>(id), &writes_);
  }
  add(proto::MessageId::kScan, &Service::Scan, net::kLaneExclusive);
  add(proto::MessageId::kHello, &Service::Hello, net::kLaneFree);
  add(proto::MessageId::kPing, &Service::Ping, net::kLaneFree);
  add(proto::MessageId::kStats, &Service::Stats, net::kLaneFree);
}

void Service::EndTurn() {
  writes_.EndTurn();
  reads_.EndTurn();
  durable_.EndTurn();
}

void Service::Put(net::Call& call) {
  std::string_view key, value;
  if (!proto::DecodePut(call.request().payload, &key, &value)) return AnswerMalformed(call, &counters_);
  writes_.Put(call, key, value);
}

void Service::Get(net::Call& call) {
  std::string_view key;
  if (!proto::DecodeKey(call.request().payload, &key)) return AnswerMalformed(call, &counters_);
  reads_.Get(call, key);
}

void Service::Delete(net::Call& call) {
  std::string_view key;
  if (!proto::DecodeKey(call.request().payload, &key)) return AnswerMalformed(call, &counters_);
  writes_.Delete(call, key);
}

void Service::Batch(net::Call& call) { writes_.Batch(call, call.request().payload); }

void Service::Scan(net::Call& call) { scans_.Scan(call, call.request().payload); }

void Service::AnswerBody(net::Call& call, std::string_view body) {
  if (body.size() + 1 > options_.frame_bytes_max) {
    return AnswerError(call, ToCode(proto::ErrorCode::kTooLarge), "the reply exceeds the frame limit");
  }
  std::array<char, proto::kOkFrameBytes> head;
  proto::StoreOkHead(head.data(), body.size());
  call.Answer({.head = std::string_view(head.data(), head.size()), .body = body});
}

void Service::Hello(net::Call& call) {
  proto::Hello hello;
  if (!proto::DecodeHello(call.request().payload, &hello)) return AnswerMalformed(call, &counters_);
  if (hello.version_min > proto::kProtocolVersion || hello.version_max < proto::kProtocolVersion) {
    return AnswerError(call, ToCode(proto::ErrorCode::kUnsupportedVersion), "this server speaks version 1");
  }
  proto::HelloReply reply;
  reply.version = proto::kProtocolVersion;
  reply.frame_bytes_max = options_.frame_bytes_max;
  reply.key_bytes_max = kv::kKeyBytesMax;
  // A PUT must fit in a frame, too.
  const size_t in_frame = options_.frame_bytes_max - 2 * sizeof(uint32_t);
  reply.value_bytes_max = static_cast<uint32_t>(std::min<size_t>(kv::kValueBytesMax, in_frame));
  reply.in_flight_max = options_.in_flight_requests_max;
  reply.name = kServerName;
  std::string body;
  proto::AppendHelloBody(&body, reply);
  AnswerBody(call, body);
}

void Service::Ping(net::Call& call) {
  if (call.request().payload.size() > proto::kPingBytesMax) return AnswerMalformed(call, &counters_);
  AnswerBody(call, call.request().payload);
}

void Service::Stats(net::Call& call) {
  if (!call.request().payload.empty()) return AnswerMalformed(call, &counters_);
  const std::string text = stats_();
  std::string body;
  base::PutFixed32(&body, static_cast<uint32_t>(text.size()));
  AnswerBody(call, body.append(text));
}

}  // namespace bandb::server
