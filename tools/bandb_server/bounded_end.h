// The end of the process, bounded in time whatever hangs: a disk that answers no more, or code that
// never returns.
#ifndef BANDB_TOOLS_BANDB_SERVER_BOUNDED_END_H_
#define BANDB_TOOLS_BANDB_SERVER_BOUNDED_END_H_

#include <cstdint>
#include <functional>

#include "base/clock.h"
#include "base/executor.h"

namespace bandb::server_program {

enum class EndOutcome : uint8_t {
  kDone,
  kToldAgain,    // by the operator, who does not want to wait
  kTookTooLong,  // the time passed
};

// Runs `work` on the executor and waits for it, for at most this time, and only until `told_again`,
// which is asked again and again and may itself wait for a moment, returns true. Lifetime: unless
// the outcome is kDone, `work` may still be running; the process must then end without another step
// that could wait for it or take away what it uses.
EndOutcome RunBounded(base::Executor* executor, base::Clock* clock, base::Task work, int64_t timeout_nanos,
                      const std::function<bool()>& told_again);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_BOUNDED_END_H_
