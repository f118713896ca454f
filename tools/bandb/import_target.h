// Imports into a server: batches, several under way, in order, over new connections if need be.
//
// The idea is that of load.h: what is not acknowledged waits in order, and from the first of it on
// everything is sent again when the connection broke or the server asks to try later. A batch that
// is refused is replaced by a batch for each of its entries, so that only those that are at fault
// are counted out; everything after them is sent again, so that the last entry of a key wins as it
// would have.
#ifndef BANDB_TOOLS_BANDB_IMPORT_TARGET_H_
#define BANDB_TOOLS_BANDB_IMPORT_TARGET_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "client/client.h"
#include "proto/response.h"
#include "transfer/importer.h"

namespace bandb::cli {

struct ServerTargetOptions {
  client::Target target{};
  // Gives up when nothing was acknowledged for so long.
  int64_t retry_for_nanos = 30'000'000'000;
};

class ServerTarget final : public transfer::ImportTarget {
 public:
  // Lifetime: borrows everything.
  ServerTarget(base::Clock* clock, base::Executor* executor, ServerTargetOptions options)
      : clock_(clock), executor_(executor), options_(std::move(options)) {}

  // Errors: kUnavailable there is no server.
  absl::Status Begin();
  // Errors: kUnavailable the server stayed away.
  absl::Status Add(transfer::ImportEntry entry, transfer::ImportSummary* summary) override;
  absl::Status Finish(transfer::ImportSummary* summary) override;

  uint64_t reconnections() const { return reconnections_; }

 private:
  struct Batch {
    std::vector<transfer::ImportEntry> entries;
    uint64_t bytes = 0;
  };

  // Puts what is being filled among what is pending.
  void Close();
  void Send(const Batch& batch);
  void SendAgain();
  // Exchanges bytes with the server; a broken connection is made again.
  absl::Status Advance(transfer::ImportSummary* summary);
  // Until it is not needed any more, which counts as progress; fails once there was none for too
  // long.
  absl::Status AdvanceWhile(const std::function<bool()>& is_needed, transfer::ImportSummary* summary);
  absl::Status TakeReplies(transfer::ImportSummary* summary);
  absl::Status OnReply(const proto::Reply& reply, transfer::ImportSummary* summary);
  void Refuse(const proto::Reply& reply, transfer::ImportSummary* summary);
  void Settle();
  absl::Status Connect();
  // Waits a little longer each time; fails once there was no progress for too long.
  absl::Status BackOff(const absl::Status& cause);

  base::Clock* const clock_;
  base::Executor* const executor_;
  const ServerTargetOptions options_;
  std::unique_ptr<client::Client> client_;
  Batch filling_;
  std::deque<Batch> pending_;  // not acknowledged, in order
  uint64_t pending_bytes_ = 0;
  size_t outstanding_ = 0;      // replies that will still come over this connection
  bool sending_again_ = false;  // the first pending batch failed; the replies to the others do not count
  absl::Status last_failure_;
  int64_t last_progress_nanos_ = 0;
  int64_t back_off_nanos_ = 0;
  uint64_t reconnections_ = 0;
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_IMPORT_TARGET_H_
