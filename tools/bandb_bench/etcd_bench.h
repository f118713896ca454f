// The side of etcd in `bandb_bench cluster`: what NetBench is for BanDB, over etcd's gRPC.
//
// As there one thread serves all connections, and a request counts from the moment it is handed to
// gRPC to the moment its reply is there. gRPC's client takes more of the machine than ours does:
// watch the processor time.
#ifndef BANDB_TOOLS_BANDB_BENCH_ETCD_BENCH_H_
#define BANDB_TOOLS_BANDB_BENCH_ETCD_BENCH_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/random.h"
#include "net_bench.h"

namespace bandb::bench {

// Whether the member of etcd at this address leads. Errors: kUnavailable it does not answer.
absl::StatusOr<bool> EtcdLeads(const std::string& address);

// Used once.
class EtcdBench {
 public:
  // `depth` calls on each of `connections` channels. Lifetime: borrows the clock.
  EtcdBench(base::Clock* clock, const NetBenchOptions& options);
  ~EtcdBench();

  // Errors: what the first call failed with.
  absl::Status Run();

  const Measured& puts() const { return measured_puts_; }
  const Measured& gets() const { return measured_gets_; }
  double measured_seconds() const { return measured_seconds_; }

 private:
  struct Lane;
  struct Call;
  struct Meters;

  void Connect();
  // Until then, or nothing is under way.
  absl::Status RunUntil(int64_t end_nanos);
  absl::Status Take(Call* call);
  void Send(Call* call);

  base::Clock* const clock_;
  const NetBenchOptions options_;
  base::Random random_;
  std::string value_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::unique_ptr<Meters> meters_;
  int under_way_ = 0;
  uint64_t next_fill_ = 0;
  bool filling_ = false;
  bool sends_ = false;
  Measured measured_puts_;
  Measured measured_gets_;
  double measured_seconds_ = 0;
};

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_ETCD_BENCH_H_
