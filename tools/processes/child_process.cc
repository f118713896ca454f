#include "processes/child_process.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/status.h"

namespace bandb::processes {

namespace {

constexpr int kNoProgram = 127;

// In the child. Nothing but what may be called after a fork.
[[noreturn]] void Become(const std::vector<char*>& words, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  // It may have died before that.
  if (::getppid() != parent) ::_exit(kNoProgram);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvp(words[0], words.data());
  ::_exit(kNoProgram);
}

}  // namespace

void KeepEndsOfChildren() {
  struct sigaction present {};
  if (::sigaction(SIGCHLD, nullptr, &present) != 0) return;
  if (present.sa_handler == SIG_IGN || (present.sa_flags & SA_NOCLDWAIT) != 0) std::signal(SIGCHLD, SIG_DFL);
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const std::vector<std::string>& words,
                                                                  const std::string& output_path) {
  // The shell opens the file, and becomes the program.
  std::vector<std::string> all{"sh", "-c", R"(exec "$@" >>"$0" 2>&1)", output_path};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> pointers;
  for (std::string& word : all) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  KeepEndsOfChildren();
  const pid_t parent = ::getpid();
  const pid_t id = ::fork();
  if (id == 0) Become(pointers, parent);
  if (id < 0) return base::ErrnoStatus(errno, words[0]);
  return std::unique_ptr<ChildProcess>(new ChildProcess(id));
}

ChildProcess::~ChildProcess() {
  Signal(SIGKILL);
  Wait();
}

bool ChildProcess::Reap(int options) {
  int status = 0;
  if (ended_) return true;
  const pid_t found = ::waitpid(id_, &status, options);
  if (found == 0 || (found < 0 && errno == EINTR)) return false;
  ended_ = true;
  // What became of it was told to somebody else.
  if (found != id_) return true;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

bool ChildProcess::IsRunning() { return !Reap(WNOHANG); }

void ChildProcess::Signal(int signal) {
  if (IsRunning()) ::kill(id_, signal);
}

int ChildProcess::Wait() {
  while (!Reap(0)) {
  }
  return exit_code_;
}

}  // namespace bandb::processes
