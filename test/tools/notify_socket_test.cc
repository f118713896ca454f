// What the manager of services is told, also where it does not take it at once.
#include "processes/notify_socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/system_env.h"
#include "support/catch.h"
#include "support/manual_clock.h"
#include "support/temp_dir.h"

namespace bandb::processes {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

// What listens where NOTIFY_SOCKET says.
class Manager {
 public:
  explicit Manager(const std::string& path) : socket_(NewSocket()) {
    REQUIRE(path.size() < sizeof(address_.sun_path));
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path, path.data(), path.size());
    REQUIRE(::bind(socket_, Address(), sizeof(address_)) == 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~Manager() { ::close(socket_); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // The next datagram; empty: there is none.
  std::string Take() {
    std::array<char, 4096> buffer;
    const ssize_t count = ::recv(socket_, buffer.data(), buffer.size(), 0);
    return count <= 0 ? "" : std::string(buffer.data(), static_cast<size_t>(count));
  }
  // Leaves it no room for one more, whatever sends it.
  void Fill() {
    for (bool full = false; !full;) {
      const int sender = NewSocket();
      full = ::sendto(sender, "x", 1, 0, Address(), sizeof(address_)) < 0;
      while (::sendto(sender, "x", 1, 0, Address(), sizeof(address_)) >= 0) {
      }
      ::close(sender);
    }
  }
  void Drain() {
    while (Take() == "x") {
    }
  }

 private:
  static int NewSocket() { return ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }
  const sockaddr* Address() const { return reinterpret_cast<const sockaddr*>(&address_); }

  sockaddr_un address_{};
  const int socket_;
};

}  // namespace

TEST_CASE("what a manager does not take at once it is told again, in order") {
  test::TempDir dir;
  test::ManualClock clock;
  Manager manager(dir.File("notify"));
  NotifySocket notify(&clock);
  manager.Fill();
  notify.TellReady("here");
  notify.TellReloading();
  notify.Look(true);
  manager.Drain();
  CHECK(manager.Take().empty());
  notify.Look(true);
  CHECK(manager.Take() == "READY=1\nSTATUS=here\n");
  CHECK(manager.Take().starts_with("RELOADING=1\n"));
  CHECK(manager.Take().empty());
  // Of very many, the last.
  manager.Fill();
  for (int i = 0; i < 100; i++) notify.TellReady(std::to_string(i));
  manager.Drain();
  notify.TellEnding();
  std::string last, told;
  int count = 0;
  for (; !(told = manager.Take()).empty(); count++) last = told;
  CHECK(count == 8);
  CHECK(last == "STOPPING=1\nSTATUS=ending\n");
}

TEST_CASE("the time of a reload is by the clock of the manager, whatever this process goes by") {
  test::TempDir dir;
  test::ManualClock clock;
  Manager manager(dir.File("notify"));
  NotifySocket notify(&clock);
  const int64_t before = base::AwakeNanos() / 1000;
  notify.TellReloading();
  const int64_t after = base::AwakeNanos() / 1000;
  const std::string told = manager.Take();
  constexpr std::string_view kHead = "RELOADING=1\nMONOTONIC_USEC=";
  REQUIRE(told.starts_with(kHead));
  const int64_t usec = std::stoll(told.substr(kHead.size()));
  CHECK(usec >= before);
  CHECK(usec <= after);
}

TEST_CASE("a watchdog hears of it in time, also where it did not take the last sign of life") {
  test::TempDir dir;
  test::ManualClock clock;
  Manager manager(dir.File("notify"));
  ::setenv("WATCHDOG_USEC", "2000000", 1);
  NotifySocket notify(&clock);
  CHECK(notify.look_nanos() == kSecond / 2);
  notify.Look(true);
  CHECK(manager.Take() == "WATCHDOG=1\n");
  clock.Advance(notify.look_nanos());
  notify.Look(true);
  CHECK(manager.Take().empty());
  clock.Advance(notify.look_nanos());
  notify.Look(false);
  CHECK(manager.Take().empty());
  manager.Fill();
  notify.Look(true);
  manager.Drain();
  notify.Look(true);
  CHECK(manager.Take() == "WATCHDOG=1\n");
  CHECK(manager.Take().empty());
}

TEST_CASE("it is looked several times before a watchdog runs out, and once a second without") {
  test::TempDir dir;
  test::ManualClock clock;
  const struct {
    const char* usec;
    int64_t look_nanos;
  } rows[] = {{"", kSecond}, {"60000000", kSecond}, {"1000000", kSecond / 4}, {"1000", kSecond / 100}};
  for (const auto& row : rows) {
    Manager manager(dir.File(std::string("notify") + row.usec));
    ::setenv("WATCHDOG_USEC", row.usec, 1);
    CHECK(NotifySocket(&clock).look_nanos() == row.look_nanos);
  }
}

}  // namespace bandb::processes
