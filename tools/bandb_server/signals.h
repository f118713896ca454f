// The signals that the server process knows, taken one after the other by the thread that waits for
// them, instead of interrupting one that works.
#ifndef BANDB_TOOLS_BANDB_SERVER_SIGNALS_H_
#define BANDB_TOOLS_BANDB_SERVER_SIGNALS_H_

#include <csignal>
#include <cstdint>

namespace bandb::server_program {

// Make it before the process has other threads: it blocks SIGTERM, SIGINT, SIGHUP and SIGUSR1 in
// the calling thread and in those that it starts. SIGPIPE and SIGXFSZ are ignored: the write that
// meets a client that is gone, or the limit on the size of files (ulimit -f), fails and is handled
// where it is made.
class Signals {
 public:
  Signals();
  // The next of them, or 0 if none comes within this time.
  int Wait(int64_t timeout_nanos) const;

 private:
  sigset_t signals_{};
};

// True for those that tell the process to end.
bool TellsToEnd(int signal);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_SIGNALS_H_
