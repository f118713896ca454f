// What the server tells the manager of services that has started it (systemd, and others that speak
// its protocol, sd_notify(3)): datagrams of KEY=VALUE lines to the socket that NOTIFY_SOCKET names.
#ifndef BANDB_TOOLS_PROCESSES_NOTIFY_SOCKET_H_
#define BANDB_TOOLS_PROCESSES_NOTIFY_SOCKET_H_

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace bandb::processes {

// Without a manager nothing is told. It waits for nobody: what the manager does not take at once,
// whose queue may be full, is kept and sent again at the next call. Thread safety: one thread.
class NotifySocket {
 public:
  // Takes what concerns this process out of the environment, so that no program that it starts
  // speaks in its name. Make it before the process has other threads.
  explicit NotifySocket(base::Clock* clock);
  ~NotifySocket();
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  // It serves, and what it says of itself.
  void TellReady(std::string_view status);
  // It reads its configuration again; TellReady is to follow.
  void TellReloading();
  void TellEnding();
  // To be called again and again, at least each look_nanos: sends what was kept and, if it
  // `is_alive`, that it is well, as often as the manager's watchdog needs it.
  void Look(bool is_alive);
  // Several times before the watchdog runs out.
  int64_t look_nanos() const;

 private:
  // What it `is`, which the manager has to learn.
  void Tell(std::string state);
  void SendKept();
  // False: the manager did not take it.
  bool Send(std::string_view lines);

  base::Clock* const clock_;
  std::string path_;
  int socket_ = -1;
  int64_t alive_every_nanos_ = 0;  // 0: no watchdog
  int64_t alive_told_nanos_ = 0;
  std::deque<std::string> kept_;  // oldest first
};

}  // namespace bandb::processes

#endif  // BANDB_TOOLS_PROCESSES_NOTIFY_SOCKET_H_
