// `bandb_bench net`: drives a server over many connections and measures what its clients see.
//
// One thread serves all connections, each of which keeps a number of requests under way; a request
// counts from the moment it is handed to the connection to the moment its reply is read. So the
// figures include the client's own queueing when it, and not the server, is the bottleneck: watch
// the client's processor time as well.
#ifndef BANDB_TOOLS_BANDB_BENCH_NET_BENCH_H_
#define BANDB_TOOLS_BANDB_BENCH_NET_BENCH_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/random.h"
#include "client/client.h"
#include "histogram.h"

namespace bandb::bench {

enum class Mode : uint8_t { kPut, kGet, kMixed };

struct NetBenchOptions {
  std::string address = "127.0.0.1:8080";
  Mode mode = Mode::kMixed;
  int connections = 50;
  int depth = 1;  // requests under way on each connection
  double duration_seconds = 10;
  double warm_up_seconds = 2;
  uint32_t key_bytes = 16;
  uint32_t value_bytes = 100;
  uint64_t keys = 100'000;
  double read_ratio = 0.5;  // of mixed
  bool fill = true;         // put every key once before reading
  uint64_t seed = 1;        // of the order of keys and operations
};

// What was measured of one kind of request.
struct Measured {
  HistogramSnapshot latency_nanos;
  uint64_t errors = 0;     // error replies other than "not found"
  uint64_t not_found = 0;  // of reads
};

// Used once.
class NetBench {
 public:
  // Lifetime: borrows the clock.
  NetBench(base::Clock* clock, const NetBenchOptions& options);

  // Connects, fills if asked to, warms up and measures. Errors: what broke the first connection
  // that broke.
  absl::Status Run();

  Measured puts() const { return puts_->Read(); }
  Measured gets() const { return gets_->Read(); }
  double measured_seconds() const { return measured_seconds_; }

 private:
  struct Request {
    bool is_read = false;
    int64_t begin_nanos = 0;
  };
  // What is being measured.
  struct Meter {
    Measured Read() const { return {latency_nanos.Snapshot(), errors, not_found}; }
    Histogram latency_nanos;
    uint64_t errors = 0;
    uint64_t not_found = 0;
  };
  struct Lane {
    std::unique_ptr<client::Client> client;
    std::deque<Request> under_way;
  };

  absl::Status Connect();
  absl::Status Fill();
  // Keeps every lane busy until the time has come.
  absl::Status RunUntil(int64_t end_nanos);
  // Reads what has arrived on one lane, and sends as many new requests.
  absl::Status Turn(Lane* lane);
  void SendOne(Lane* lane);
  void Record(const Request& request, const proto::Reply& reply, int64_t now_nanos);
  // The key of this number, key_bytes long.
  void FormatKey(uint64_t number);

  base::Clock* const clock_;
  const NetBenchOptions options_;
  base::Random random_;
  std::vector<Lane> lanes_;
  std::string key_;
  std::string value_;
  // Replaced when the warm-up is over.
  std::unique_ptr<Meter> puts_ = std::make_unique<Meter>();
  std::unique_ptr<Meter> gets_ = std::make_unique<Meter>();
  double measured_seconds_ = 0;
};

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_NET_BENCH_H_
