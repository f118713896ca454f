// The entries of a server, for an export: a SCAN that goes on where it was after the connection
// broke.
//
// With a snapshot the whole is one state of the store; without one each piece is that of its own
// moment.
#ifndef BANDB_TOOLS_BANDB_EXPORT_SOURCE_H_
#define BANDB_TOOLS_BANDB_EXPORT_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "client/client.h"
#include "transfer/exporter.h"

namespace bandb::cli {

struct ScanSourceOptions {
  client::Target target{};
  std::string begin{};  // the range [begin, limit); empty means unbounded
  std::string limit{};
  uint64_t snapshot = 0;  // 0: none
  // Gives up when the server stayed away for so long.
  int64_t retry_for_nanos = 30'000'000'000;
};

// Asks for the next piece before it gives out the one it has.
class ScanSource final : public transfer::EntrySource {
 public:
  // Lifetime: borrows everything.
  ScanSource(base::Clock* clock, base::Executor* executor, ScanSourceOptions options)
      : clock_(clock), executor_(executor), options_(std::move(options)) {}

  // Connects and asks for the first piece. Errors: kUnavailable there is no server.
  absl::Status Begin();
  // Errors: kUnavailable the server stayed away; and what it said.
  absl::StatusOr<bool> Next(transfer::Entry* entry) override;

 private:
  static constexpr uint32_t kPieceBytes = 1 << 20;

  absl::Status Connect();
  // Sends the request for the piece at cursor_.
  absl::Status Ask();
  // Waits for the piece, over new connections if need be.
  absl::Status TakePiece();
  absl::Status TryTakePiece();

  base::Clock* const clock_;
  base::Executor* const executor_;
  const ScanSourceOptions options_;
  std::unique_ptr<client::Client> client_;
  std::string cursor_;
  uint32_t bytes_max_ = kPieceBytes;  // of the next piece
  bool asked_ = false;                // there is another piece, and it was asked for
  std::string body_;
  std::vector<transfer::Entry> entries_;  // of body_
  size_t next_ = 0;
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_EXPORT_SOURCE_H_
