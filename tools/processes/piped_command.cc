#include "processes/piped_command.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <map>

#include "base/status.h"
#include "processes/child_process.h"

namespace bandb::processes {

namespace {

constexpr int kNoShell = 127;

// This process's, with some replaced.
std::vector<std::string> EnvironmentWith(const Variables& variables) {
  std::map<std::string, std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t end = std::min(text.find('='), text.size());
    all.emplace(text.substr(0, end), text.substr(end));
  }
  for (const auto& [name, value] : variables) all[name] = "=" + value;
  std::vector<std::string> entries;
  for (const auto& [name, rest] : all) entries.push_back(name + rest);
  return entries;
}

std::vector<char*> Pointers(std::vector<std::string>* strings) {
  std::vector<char*> pointers;
  for (std::string& one : *strings) pointers.push_back(one.data());
  pointers.push_back(nullptr);
  return pointers;
}

// In the child. Nothing but what may be called after a fork.
[[noreturn]] void Become(char* const* words, char* const* environment, const int (&ends)[2], pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  // It may have died before that.
  if (::getppid() != parent || ::dup2(ends[0], STDIN_FILENO) < 0) ::_exit(kNoShell);
  for (const int end : ends) {
    if (end != STDIN_FILENO) ::close(end);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  ::execve("/bin/sh", words, environment);
  ::_exit(kNoShell);
}

void WriteAll(int descriptor, std::string_view input) {
  while (!input.empty()) {
    const ssize_t written = ::write(descriptor, input.data(), input.size());
    if (written > 0) {
      input.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      // It reads no more.
      return;
    }
  }
}

}  // namespace

absl::StatusOr<int> RunPiped(const std::string& command, std::string_view input, const Variables& variables) {
  std::vector<std::string> words{"sh", "-c", command};
  std::vector<std::string> entries = EnvironmentWith(variables);
  const std::vector<char*> word_pointers = Pointers(&words);
  const std::vector<char*> entry_pointers = Pointers(&entries);
  int ends[2];
  if (::pipe(ends) != 0) return base::ErrnoStatus(errno, command);
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  KeepEndsOfChildren();
  const pid_t parent = ::getpid();
  const pid_t id = ::fork();
  if (id == 0) Become(word_pointers.data(), entry_pointers.data(), ends, parent);
  const int error = errno;
  ::close(ends[0]);
  if (id > 0) WriteAll(ends[1], input);
  ::close(ends[1]);
  ::sigaction(SIGPIPE, &before, nullptr);
  if (id < 0) return base::ErrnoStatus(error, command);
  int status = 0;
  pid_t ended = 0;
  do {
    ended = ::waitpid(id, &status, 0);
  } while (ended < 0 && errno == EINTR);
  if (ended != id) return base::ErrnoStatus(errno, command);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace bandb::processes
