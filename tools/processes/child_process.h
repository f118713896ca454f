// A program that this one has started, and that ends with it.
#ifndef BANDB_TOOLS_PROCESSES_CHILD_PROCESS_H_
#define BANDB_TOOLS_PROCESSES_CHILD_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace bandb::processes {

// Has the system keep what became of children until it is asked for: a process that was started
// with SIGCHLD ignored, as some supervisors do, would never learn it.
void KeepEndsOfChildren();

// Thread safety: one thread at a time.
class ChildProcess {
 public:
  // Runs words[0], found like a shell finds it, with what it prints appended to the file. It is
  // told to end (SIGTERM) if this process dies first. Call it before this process has other
  // threads, or from the one that lives as long as it. Errors: kInternal the system refused; that
  // there is no such program shows as an exit code of 127.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const std::vector<std::string>& words,
                                                             const std::string& output_path);
  // Kills it if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t id() const { return id_; }
  bool IsRunning();
  void Signal(int signal);
  // Waits for its end; returns its exit code, or 128 and the signal that has ended it, or -1 if the
  // system does not tell.
  int Wait();

 private:
  explicit ChildProcess(pid_t id) : id_(id) {}
  // Takes its exit code if it has ended.
  bool Reap(int options);

  const pid_t id_;
  bool ended_ = false;
  int exit_code_ = -1;
};

}  // namespace bandb::processes

#endif  // BANDB_TOOLS_PROCESSES_CHILD_PROCESS_H_
