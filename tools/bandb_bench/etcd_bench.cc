#include "etcd_bench.h"

#include <fmt/format.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/time.h>

#include <optional>
#include <string_view>
#include <utility>

#include "base/coding.h"
#include "base/status.h"

namespace bandb::bench {

namespace {

constexpr const char* kPut = "/etcdserverpb.KV/Put";
constexpr const char* kRange = "/etcdserverpb.KV/Range";
constexpr const char* kStatus = "/etcdserverpb.Maintenance/Status";
constexpr int64_t kWaitMillis = 100;
constexpr int64_t kStatusMillis = 2000;
constexpr uint32_t kBytesField = 2;  // the wire type of protocol buffers

// Appends a field of bytes: the numbers of all fields here fit in one byte.
void AppendField(uint32_t number, std::string_view bytes, std::string* to) {
  to->push_back(static_cast<char>(number << 3 | kBytesField));
  base::PutLengthPrefixed(to, bytes);
}

// Fields of a message of protocol buffers, as far as etcd's have them: numbers and bytes.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : reader_(bytes) {}
  // False at the end, and at what is none.
  bool Next(uint64_t* number, uint64_t* value, std::string_view* bytes) {
    uint64_t tag = 0;
    if (!reader_.ReadVarint(&tag)) return false;
    *number = tag >> 3;
    if ((tag & 7) == 0) return reader_.ReadVarint(value);
    return (tag & 7) == kBytesField && reader_.ReadLengthPrefixed(bytes);
  }

 private:
  base::ByteReader reader_;
};

uint64_t NumberIn(std::string_view message, uint64_t wanted) {
  FieldReader reader(message);
  uint64_t number = 0;
  uint64_t value = 0;
  std::string_view bytes;
  while (reader.Next(&number, &value, &bytes)) {
    if (number == wanted) return value;
  }
  return 0;
}

std::string_view BytesIn(std::string_view message, uint64_t wanted) {
  FieldReader reader(message);
  uint64_t number = 0;
  uint64_t value = 0;
  std::string_view bytes;
  while (reader.Next(&number, &value, &bytes)) {
    if (number == wanted) return bytes;
  }
  return {};
}

::grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const ::grpc::Slice slice(bytes);
  return {&slice, 1};
}

std::string ToBytes(const ::grpc::ByteBuffer& buffer) {
  std::vector<::grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const ::grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

std::shared_ptr<::grpc::Channel> MakeChannel(const std::string& address) {
  ::grpc::ChannelArguments arguments;
  // Else all channels would share one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return ::grpc::CreateCustomChannel(address, ::grpc::InsecureChannelCredentials(), arguments);
}

int64_t Nanos(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

absl::Status ToStatus(const ::grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kUnavailable, "etcd: {}", status.error_message());
}

}  // namespace

struct EtcdBench::Lane {
  explicit Lane(const std::string& address) : stub(MakeChannel(address)) {}
  ::grpc::GenericStub stub;
};

struct EtcdBench::Call {
  Lane* lane = nullptr;
  bool is_read = false;
  int64_t begin_nanos = 0;
  std::optional<::grpc::ClientContext> context;
  std::unique_ptr<::grpc::GenericClientAsyncResponseReader> reader;
  ::grpc::ByteBuffer response;
  ::grpc::Status status;
};

struct EtcdBench::Meters {
  struct Meter {
    Measured Read() const { return {.latency_nanos = latency_nanos.Snapshot(), .not_found = not_found}; }
    Histogram latency_nanos;
    uint64_t not_found = 0;
  };
  // Replaced when the warm-up is over.
  std::unique_ptr<Meter> puts = std::make_unique<Meter>();
  std::unique_ptr<Meter> gets = std::make_unique<Meter>();
  ::grpc::CompletionQueue queue;
};

EtcdBench::EtcdBench(base::Clock* clock, const NetBenchOptions& options)
    : clock_(clock), options_(options), random_(options.seed), meters_(std::make_unique<Meters>()) {
  for (uint32_t i = 0; i < options.value_bytes; ++i) value_ += static_cast<char>('!' + random_.Uniform('~' - '!'));
}

EtcdBench::~EtcdBench() {
  // After an error calls are still under way, and end here.
  for (const std::unique_ptr<Call>& call : calls_) {
    if (call->context.has_value()) call->context->TryCancel();
  }
  meters_->queue.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (meters_->queue.Next(&tag, &ok)) {
  }
}

void EtcdBench::Connect() {
  for (int i = 0; i < options_.connections; ++i) {
    lanes_.push_back(std::make_unique<Lane>(options_.address));
    for (int j = 0; j < options_.depth; ++j) {
      calls_.push_back(std::make_unique<Call>());
      calls_.back()->lane = lanes_.back().get();
    }
  }
}

void EtcdBench::Send(Call* call) {
  const uint64_t number = filling_ ? next_fill_++ : random_.Uniform(options_.keys);
  const std::string key = fmt::format("{:0{}}", number, options_.key_bytes);
  call->is_read = !filling_ && (options_.mode == Mode::kGet ||
                                (options_.mode == Mode::kMixed && random_.Chance(options_.read_ratio)));
  std::string request;
  AppendField(1, key, &request);
  if (!call->is_read) AppendField(2, value_, &request);
  call->context.emplace();
  call->response.Clear();
  call->begin_nanos = clock_->MonotonicNanos();
  call->reader = call->lane->stub.PrepareUnaryCall(&*call->context, call->is_read ? kRange : kPut, ToBuffer(request),
                                                   &meters_->queue);
  call->reader->StartCall();
  call->reader->Finish(&call->response, &call->status, call);
  ++under_way_;
}

absl::Status EtcdBench::Take(Call* call) {
  --under_way_;
  BANDB_RETURN_IF_ERROR(ToStatus(call->status));
  Meters::Meter& meter = call->is_read ? *meters_->gets : *meters_->puts;
  meter.latency_nanos.Record(static_cast<uint64_t>(clock_->MonotonicNanos() - call->begin_nanos));
  // The entries that were found.
  constexpr uint64_t kCount = 4;
  if (call->is_read && NumberIn(ToBytes(call->response), kCount) == 0) ++meter.not_found;
  sends_ = sends_ && !(filling_ && next_fill_ == options_.keys);
  if (sends_) Send(call);
  return absl::OkStatus();
}

absl::Status EtcdBench::RunUntil(int64_t end_nanos) {
  void* tag = nullptr;
  bool ok = false;
  while (under_way_ > 0 && clock_->MonotonicNanos() < end_nanos) {
    if (meters_->queue.AsyncNext(&tag, &ok, gpr_time_from_millis(kWaitMillis, GPR_TIMESPAN)) !=
        ::grpc::CompletionQueue::GOT_EVENT)
      continue;
    BANDB_RETURN_IF_ERROR(Take(static_cast<Call*>(tag)));
  }
  return absl::OkStatus();
}

absl::Status EtcdBench::Run() {
  Connect();
  if (options_.fill && options_.mode != Mode::kPut) {
    filling_ = sends_ = true;
    for (const std::unique_ptr<Call>& call : calls_) {
      if (next_fill_ < options_.keys) Send(call.get());
    }
    // Until every key was put, and answered.
    BANDB_RETURN_IF_ERROR(RunUntil(INT64_MAX));
    filling_ = false;
  }
  sends_ = true;
  for (const std::unique_ptr<Call>& call : calls_) Send(call.get());
  BANDB_RETURN_IF_ERROR(RunUntil(clock_->MonotonicNanos() + Nanos(options_.warm_up_seconds)));
  meters_->puts = std::make_unique<Meters::Meter>();
  meters_->gets = std::make_unique<Meters::Meter>();
  const int64_t from = clock_->MonotonicNanos();
  BANDB_RETURN_IF_ERROR(RunUntil(from + Nanos(options_.duration_seconds)));
  measured_seconds_ = static_cast<double>(clock_->MonotonicNanos() - from) / 1e9;
  measured_puts_ = meters_->puts->Read();
  measured_gets_ = meters_->gets->Read();
  // What is under way ends, and is not counted.
  sends_ = false;
  return RunUntil(INT64_MAX);
}

absl::StatusOr<bool> EtcdLeads(const std::string& address) {
  ::grpc::GenericStub stub(MakeChannel(address));
  ::grpc::CompletionQueue queue;
  ::grpc::ClientContext context;
  context.set_deadline(gpr_time_from_millis(kStatusMillis, GPR_TIMESPAN));
  auto reader = stub.PrepareUnaryCall(&context, kStatus, ToBuffer(""), &queue);
  ::grpc::ByteBuffer response;
  ::grpc::Status status;
  reader->StartCall();
  reader->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  BANDB_RETURN_IF_ERROR(ToStatus(status));
  const std::string bytes = ToBytes(response);
  constexpr uint64_t kHeader = 1;
  constexpr uint64_t kMember = 2;
  constexpr uint64_t kLeader = 4;
  const uint64_t leader = NumberIn(bytes, kLeader);
  return leader != 0 && leader == NumberIn(BytesIn(bytes, kHeader), kMember);
}

}  // namespace bandb::bench
