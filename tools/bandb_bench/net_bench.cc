#include "net_bench.h"

#include <algorithm>

#include "absl/types/span.h"
#include "base/status.h"
#include "net/client_stream.h"
#include "proto/request.h"

namespace bandb::bench {

namespace {

constexpr int64_t kWaitNanos = 100'000'000;
constexpr uint64_t kFillWindow = 512;

int64_t Nanos(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

}  // namespace

NetBench::NetBench(base::Clock* clock, const NetBenchOptions& options)
    : clock_(clock), options_(options), random_(options.seed), key_(options.key_bytes, '0') {
  // Bytes that do not compress to nothing.
  for (uint32_t i = 0; i < options.value_bytes; ++i) value_ += static_cast<char>('!' + random_.Uniform('~' - '!'));
}

absl::Status NetBench::Run() {
  BANDB_RETURN_IF_ERROR(Connect());
  if (options_.fill && options_.mode != Mode::kPut) BANDB_RETURN_IF_ERROR(Fill());
  const int64_t begin = clock_->MonotonicNanos();
  const int64_t measure_from = begin + Nanos(options_.warm_up_seconds);
  BANDB_RETURN_IF_ERROR(RunUntil(measure_from));
  puts_ = std::make_unique<Meter>();
  gets_ = std::make_unique<Meter>();
  const int64_t measured_from = clock_->MonotonicNanos();
  BANDB_RETURN_IF_ERROR(RunUntil(measured_from + Nanos(options_.duration_seconds)));
  measured_seconds_ = static_cast<double>(clock_->MonotonicNanos() - measured_from) / 1e9;
  return absl::OkStatus();
}

absl::Status NetBench::Connect() {
  for (int i = 0; i < options_.connections; ++i) {
    BANDB_ASSIGN_OR_RETURN(auto client, client::Client::Connect(options_.address));
    Lane lane;
    lane.client = std::move(client);
    lanes_.push_back(std::move(lane));
  }
  return absl::OkStatus();
}

absl::Status NetBench::Fill() {
  client::Client* const client = lanes_.front().client.get();
  uint64_t sent = 0;
  uint64_t answered = 0;
  while (answered < options_.keys) {
    while (sent < options_.keys && sent - answered < kFillWindow) {
      FormatKey(sent++);
      proto::AppendPut(client->output(), key_, value_);
    }
    BANDB_RETURN_IF_ERROR(client->Exchange());
    while (true) {
      proto::Reply reply;
      BANDB_ASSIGN_OR_RETURN(const bool got, client->Next(&reply));
      if (!got) break;
      BANDB_RETURN_IF_ERROR(reply.ToStatus());
      ++answered;
    }
  }
  return absl::OkStatus();
}

absl::Status NetBench::RunUntil(int64_t end_nanos) {
  for (Lane& lane : lanes_) {
    while (lane.under_way.size() < static_cast<size_t>(options_.depth)) SendOne(&lane);
    BANDB_RETURN_IF_ERROR(Turn(&lane));
  }
  std::vector<net::ClientStream::Interest> interests(lanes_.size());
  while (clock_->MonotonicNanos() < end_nanos) {
    for (size_t i = 0; i < lanes_.size(); ++i) {
      interests[i] = {lanes_[i].client->stream(), lanes_[i].client->has_output(), false};
    }
    net::ClientStream::Wait(absl::MakeSpan(interests), kWaitNanos);
    for (size_t i = 0; i < lanes_.size(); ++i) {
      if (interests[i].ready) BANDB_RETURN_IF_ERROR(Turn(&lanes_[i]));
    }
  }
  return absl::OkStatus();
}

absl::Status NetBench::Turn(Lane* lane) {
  BANDB_RETURN_IF_ERROR(lane->client->Pump());
  const int64_t now = clock_->MonotonicNanos();
  size_t answered = 0;
  while (true) {
    proto::Reply reply;
    BANDB_ASSIGN_OR_RETURN(const bool got, lane->client->Next(&reply));
    if (!got) break;
    if (lane->under_way.empty()) return reply.ToStatus();
    Record(lane->under_way.front(), reply, now);
    lane->under_way.pop_front();
    ++answered;
  }
  if (answered == 0) return absl::OkStatus();
  for (size_t i = 0; i < answered; ++i) SendOne(lane);
  return lane->client->Write();
}

void NetBench::SendOne(Lane* lane) {
  FormatKey(random_.Uniform(options_.keys));
  const bool is_read =
      options_.mode == Mode::kGet || (options_.mode == Mode::kMixed && random_.Chance(options_.read_ratio));
  if (is_read) {
    proto::AppendGet(lane->client->output(), key_);
  } else {
    proto::AppendPut(lane->client->output(), key_, value_);
  }
  lane->under_way.push_back({is_read, clock_->MonotonicNanos()});
}

void NetBench::Record(const Request& request, const proto::Reply& reply, int64_t now_nanos) {
  Meter& meter = request.is_read ? *gets_ : *puts_;
  meter.latency_nanos.Record(static_cast<uint64_t>(now_nanos - request.begin_nanos));
  if (reply.ok) return;
  if (request.is_read && reply.code == proto::ToCode(absl::StatusCode::kNotFound)) {
    ++meter.not_found;
  } else {
    ++meter.errors;
  }
}

void NetBench::FormatKey(uint64_t number) {
  for (size_t at = key_.size(); at > 0; --at) {
    key_[at - 1] = static_cast<char>('0' + number % 10);
    number /= 10;
  }
}

}  // namespace bandb::bench
