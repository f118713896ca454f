// What was done to the server and may have to be accounted for, one line each, in a file of its
// own.
//
// Text:  2026-11-22T19:12:27.123Z login refused: user NAME from ADDRESS: detail
// JSON:  {"time":"2026-11-22T19:12:27.123Z","event":"login refused","user":"NAME",...}
//
// What a client chose ends no field and no line: a name that is no name of a user is in quotes, and
// so are words of a command that are more than letters, digits and a few signs.
#ifndef BANDB_TOOLS_BANDB_SERVER_AUDIT_LOG_H_
#define BANDB_TOOLS_BANDB_SERVER_AUDIT_LOG_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "bandb/logger.h"
#include "bandb/server.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace bandb::server_program {

// Everything that was done has a line. Of each kind of what was refused there are kBurst, and from
// then on kLinesPerSecond: so a flood of wrong logins neither fills the disk nor hides what else is
// done. Those that were left out, and those that could not be written, the next line of the kind
// counts. Thread safety: any thread. Lifetime: borrows everything.
class AuditLog {
 public:
  static constexpr int64_t kBurst = 100;
  static constexpr int64_t kLinesPerSecond = 10;

  struct Parts {
    // Writes a line, given without its end, from any thread. Must not wait for anybody.
    std::function<absl::Status(std::string_view line)> append;
    base::Clock* clock = nullptr;
    Logger* logger = nullptr;  // is told once when lines cannot be written, and once when they can again
    bool json = false;
  };
  explicit AuditLog(Parts parts) : parts_(std::move(parts)) {}

  void Record(const AuditEvent& event) ABSL_LOCKS_EXCLUDED(mutex_);
  // What an operator asked for and what became of it, if it was to change something.
  void RecordAdministration(const AdministrationRequest& request, const absl::Status& outcome);
  // That could not be written.
  uint64_t lines_lost() const { return lines_lost_.load(std::memory_order_relaxed); }

 private:
  // Kinds are few, and none of them a client's to choose.
  struct Kind {
    int64_t since_nanos = 0;  // when it was full
    int64_t lines = 0;        // since then
    uint64_t left_out = 0;    // since the last line
  };

  // Whether there is room for one more line of this kind.
  static bool Take(Kind* kind, int64_t now_nanos);
  // False: this one is left out. Else how many were before it.
  bool Begin(const std::string& what, uint64_t* left_out) ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeBack(const std::string& what, uint64_t left_out) ABSL_LOCKS_EXCLUDED(mutex_);
  void Tell(const absl::Status& written);

  const Parts parts_;
  std::atomic<uint64_t> lines_lost_{0};
  std::atomic<bool> fails_{false};
  base::Mutex mutex_;
  std::map<std::string, Kind, std::less<>> kinds_ ABSL_GUARDED_BY(mutex_);
};

// Whether such a command changes something, if it succeeds.
bool IsChange(const std::vector<std::string>& words);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_AUDIT_LOG_H_
