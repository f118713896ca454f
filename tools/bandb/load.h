// `bandb load`: puts lines into a server, many at a time, and survives the server being restarted
// meanwhile.
//
// The idea: lines wait in order in a bounded window until the server has acknowledged them. When
// the connection breaks, or the server asks to try later, everything from the first line that is
// not acknowledged is sent again in the same order. Sending a put twice changes nothing, and since
// the order is kept, the last line of a key wins, as it would have.
//
// Where keys are numbers of lines, and other values are not to be replaced, a window of lines is
// read, then their keys are looked at, then they are sent, so that no line is sent whose key holds
// another value.
#ifndef BANDB_TOOLS_BANDB_LOAD_H_
#define BANDB_TOOLS_BANDB_LOAD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "client/client.h"
#include "line_source.h"
#include "progress.h"

namespace bandb::cli {

struct LoadOptions {
  client::Target target;
  // Without a delimiter the key of line n, counted from 0 over all files, is prefix + (first_number
  // + n), twelve digits.
  std::string prefix = "line:";
  uint64_t first_number = 1;
  // If not empty: the key is what precedes the first delimiter, the value what follows it.
  std::string delimiter{};
  // Lines to skip at the beginning; they keep their numbers.
  uint64_t skip_lines = 0;
  // Lines end in \r\n; neither byte belongs to the value.
  bool crlf = false;
  // Without a delimiter: replace values of other lines that have the same keys.
  bool overwrite = false;
  // Lines under way at once.
  size_t window_lines = 1024;
  // Gives up when no line was acknowledged for so long.
  int64_t retry_for_nanos = 30'000'000'000;
};

struct LoadSummary {
  uint64_t lines = 0;  // read, those skipped included
  uint64_t acknowledged_lines = 0;
  uint64_t acknowledged_bytes = 0;  // keys and values
  uint64_t refused_lines = 0;       // by the server, for lack of a delimiter, or too long
  std::string first_refusal{};      // with its line number
  uint64_t reconnections = 0;
};

// Used once.
class Loader {
 public:
  // Lifetime: borrows everything.
  Loader(base::Clock* clock, base::Executor* executor, Progress* progress, LoadOptions options)
      : clock_(clock), executor_(executor), progress_(progress), options_(std::move(options)) {}

  // Loads all lines. Errors: kUnavailable the server could not be reached, or not any more for
  // retry_for_nanos · kAlreadyExists a line has a key that holds another value, and neither it nor
  // what follows was stored; or whatever stopped the server from taking more. summary() tells how
  // far it came.
  absl::Status Run(LineSource* source);

  const LoadSummary& summary() const { return summary_; }
  // What to pass over, as skip_lines, to go on: every line before it was acknowledged, refused or
  // skipped. Some lines after it may have been as well; loading them again changes nothing.
  // Thread safety: this one may be called from any thread.
  uint64_t settled_lines() const { return settled_lines_.load(std::memory_order_relaxed); }
  // What to tell the user who goes on there: the flag, and which lines before were refused, since a
  // run that skips them knows nothing of them. Thread safety: any thread.
  std::string HowToGoOn() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Pending {
    uint64_t line = 0;
    std::string key;
    uint64_t value_bytes = 0;
    std::string frame;
  };

  absl::Status Connect();
  // Waits a little longer each time; fails once there was no progress for too long.
  absl::Status BackOff(const absl::Status& cause);
  // Hands all pending frames to the connection, from the first on.
  void SendAgain();
  // Looks whether the pending lines would replace values of other lines, and sends them if not.
  // Errors: kAlreadyExists they would.
  absl::Status CheckKeys();
  absl::Status CheckOnce();
  absl::Status CheckKey(const Pending& pending, const proto::Reply& stored) const;
  client::ClientOptions connection_options() const;
  void NoteSettled();
  // Reads lines into the window while there is room.
  absl::Status FillWindow(LineSource* source);
  void AddLine(std::string_view line);
  // Counts a line that is too long to be read.
  void RefuseLongLine();
  void Refuse(uint64_t line, std::string_view why) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status TakeReplies();
  absl::Status OnReply(const proto::Reply& reply);
  // Exchanges bytes with the server; a broken connection is made again.
  absl::Status Advance();

  base::Clock* const clock_;
  base::Executor* const executor_;
  Progress* const progress_;
  const LoadOptions options_;
  LoadSummary summary_;

  std::unique_ptr<client::Client> client_;
  std::deque<Pending> pending_;  // not acknowledged, in order
  size_t pending_bytes_ = 0;
  size_t outstanding_ = 0;      // replies that will still come over this connection
  bool sending_again_ = false;  // the first pending line failed; the replies to the others do not count
  absl::Status last_failure_;
  bool end_of_input_ = false;
  bool checking_ = false;  // what is pending is sent once its keys were looked at
  std::atomic<uint64_t> settled_lines_ = 0;
  int64_t last_progress_nanos_ = 0;
  int64_t back_off_nanos_ = 0;

  mutable base::Mutex mutex_;
  std::vector<uint64_t> refused_lines_ ABSL_GUARDED_BY(mutex_);  // the first of them
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_LOAD_H_
