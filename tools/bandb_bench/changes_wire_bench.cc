#include "changes_wire_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "bandb/db.h"
#include "bandb/server.h"
#include "base/status.h"
#include "base/thread.h"
#include "client/client.h"
#include "proto/changes.h"

namespace bandb::bench {

namespace {

constexpr uint64_t kKeepBytes = uint64_t{1} << 40;
constexpr uint64_t kUnderWay = 512;
constexpr uint32_t kWaitMs = 5000;

using ClientPtr = std::unique_ptr<client::Client>;

// Goes on from one reply to the next.
class Reading {
 public:
  Reading(client::Client* client, std::string token) : client_(client), token_(std::move(token)) {}

  // Returns how many changes came.
  absl::StatusOr<uint64_t> Next(uint32_t wait_ms) {
    const bool now = token_.empty();
    const proto::Changes changes{
        .from = {.from = now ? proto::FeedFrom::kNow : proto::FeedFrom::kToken, .place = token_},
        .wait_ms = wait_ms,
        .skip = skip_};
    BANDB_ASSIGN_OR_RETURN(const std::string body, client_->Changes(changes));
    proto::ChangesBodyReader reader(body);
    proto::CommitHead head;
    uint64_t count = 0;
    while (reader.NextCommit(&head)) {
      for (proto::BatchOperation change; reader.NextChange(&change);) ++count;
    }
    if (!reader.Complete()) return base::Error(absl::StatusCode::kDataLoss, "a reply does not add up");
    skip_ = reader.cut() ? skip_ + head.changes : 0;
    token_ = reader.token();
    return count;
  }
  const std::string& token() const { return token_; }

 private:
  client::Client* const client_;
  std::string token_;
  uint32_t skip_ = 0;
};

class ChangesWireBench {
 public:
  ChangesWireBench(base::Clock* clock, const ChangesWireOptions& options, ChangesWireFigures* figures)
      : clock_(clock), options_(options), figures_(figures), value_(options.value_bytes, 'v') {}

  absl::Status Run() {
    target_.address = options_.address;
    if (target_.address.empty()) BANDB_RETURN_IF_ERROR(StartServer());
    absl::Status done = Measure();
    if (server_ == nullptr) return done;
    server_.reset();
    db_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(options_.dir, ignored);
    return done;
  }

 private:
  absl::Status StartServer() {
    Options options;
    options.error_if_exists = true;
    options.changes_keep_bytes = kKeepBytes;
    BANDB_ASSIGN_OR_RETURN(db_, Db::Open(options_.dir, options));
    ServerOptions server_options;
    server_options.listen = "127.0.0.1:0";
    BANDB_ASSIGN_OR_RETURN(server_, Server::Start(*db_, server_options, {}));
    target_.address = server_->Address();
    return absl::OkStatus();
  }

  absl::Status Measure() {
    BANDB_ASSIGN_OR_RETURN(const ClientPtr client, client::Client::Connect(target_));
    Reading now(client.get(), "");
    BANDB_RETURN_IF_ERROR(now.Next(0).status());
    BANDB_RETURN_IF_ERROR(PutAll());
    for (int round = 0; round < options_.rounds; ++round) BANDB_RETURN_IF_ERROR(ReadBack(client.get(), now.token()));
    return MeasureDelay();
  }

  absl::Status PutAll() {
    BANDB_ASSIGN_OR_RETURN(const ClientPtr client, client::Client::Connect(target_));
    const int64_t begin_nanos = clock_->MonotonicNanos();
    for (uint64_t sent = 0, answered = 0; answered < options_.puts;) {
      for (; sent < options_.puts && sent - answered < kUnderWay; ++sent) {
        proto::AppendPut(client->output(), fmt::format("{:016}", sent), value_);
      }
      BANDB_RETURN_IF_ERROR(client->Exchange());
      proto::Reply reply;
      while (true) {
        BANDB_ASSIGN_OR_RETURN(const bool found, client->Next(&reply));
        if (!found) break;
        if (!reply.ok) return base::Error(absl::StatusCode::kInternal, "a put failed: {}", reply.message);
        ++answered;
      }
    }
    figures_->puts = PerSecond(options_.puts, begin_nanos);
    return absl::OkStatus();
  }

  absl::Status ReadBack(client::Client* client, const std::string& token) {
    Reading reading(client, token);
    const int64_t begin_nanos = clock_->MonotonicNanos();
    uint64_t changes = 0;
    while (changes < options_.puts) {
      BANDB_ASSIGN_OR_RETURN(const uint64_t count, reading.Next(0));
      if (count == 0) break;
      changes += count;
    }
    figures_->changes_read = changes;
    figures_->read_back = std::max(figures_->read_back, PerSecond(changes, begin_nanos));
    if (changes == options_.puts) return absl::OkStatus();
    return base::Error(absl::StatusCode::kInternal, "{} changes were read of {}", changes, options_.puts);
  }

  absl::Status MeasureDelay() {
    BANDB_ASSIGN_OR_RETURN(const ClientPtr writer, client::Client::Connect(target_));
    BANDB_ASSIGN_OR_RETURN(const ClientPtr follower, client::Client::Connect(target_));
    Reading reading(follower.get(), "");
    BANDB_RETURN_IF_ERROR(reading.Next(0).status());
    std::vector<int64_t> acknowledged(options_.synced), arrived;
    absl::Status followed;
    std::atomic<bool> failed{false};
    base::Thread thread([&] {
      while (followed.ok() && arrived.size() < options_.synced && !failed.load()) {
        const absl::StatusOr<uint64_t> count = reading.Next(kWaitMs);
        followed = count.status();
        if (count.ok()) arrived.insert(arrived.end(), *count, clock_->MonotonicNanos());
      }
    });
    absl::Status put;
    for (uint64_t i = 0; i < options_.synced && put.ok(); ++i) {
      put = writer->Put(fmt::format("{:016}", i), value_);
      acknowledged[i] = clock_->MonotonicNanos();
    }
    failed = !put.ok();
    thread.Join();
    BANDB_RETURN_IF_ERROR(put);
    BANDB_RETURN_IF_ERROR(followed);
    Histogram behind_nanos;
    for (uint64_t i = 0; i < options_.synced; ++i) {
      behind_nanos.Record(static_cast<uint64_t>(std::max<int64_t>(arrived[i] - acknowledged[i], 0)));
    }
    figures_->behind_nanos = behind_nanos.Snapshot();
    return absl::OkStatus();
  }

  double PerSecond(uint64_t count, int64_t begin_nanos) const {
    const int64_t nanos = std::max<int64_t>(clock_->MonotonicNanos() - begin_nanos, 1);
    return static_cast<double>(count) * 1e9 / static_cast<double>(nanos);
  }

  base::Clock* const clock_;
  const ChangesWireOptions options_;
  ChangesWireFigures* const figures_;
  const std::string value_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<Server> server_;
  client::Target target_;
};

}  // namespace

absl::Status RunChangesWireBench(base::Clock* clock, const ChangesWireOptions& options, ChangesWireFigures* figures) {
  return ChangesWireBench(clock, options, figures).Run();
}

}  // namespace bandb::bench
