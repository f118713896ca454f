// When a loop waits and what ends that: signals, wake-ups, tasks, however it watches its sockets.
#include <signal.h>
#include <sys/time.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/thread.h"
#include "net/socket_rig.h"

namespace bandb::test {
TEST_CASE("a loop waits while there is nothing that anybody wants to know") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  Taker taker(&rig);
  SECTION("bytes that nobody reads") {
    Ear ear;
    Peer peer = rig.Pair(&ear);
    peer.Send("unread");
    CHECK(rig.TurnsUntilTimer() <= 3);
    CHECK(ear.told() == 0);
  }
  SECTION("one half that has ended, and is known to have") {
    Peer peer = TcpPeer();
    peer.Connect(taker.listener->address());
    peer.CloseWrite();
    REQUIRE(rig.RunUntil([&] { return taker.ears.size() == 1; }));
    Ear& ear = *taker.ears[0];
    ear.stream()->Watch(true, false);
    REQUIRE(rig.RunUntil([&] { return ear.ended; }));
    CHECK(rig.TurnsUntilTimer() <= 3);
    // The other half is as it was.
    CHECK(ear.broken == 0);
    const std::string_view words[] = {"last ", "words"};
    CHECK(ear.stream()->Write(words).bytes == 10);
    ear.stream()->CloseWrite();
    CHECK(peer.ReadAll() == "last words");
  }
  SECTION("a peer that waits to be accepted by a listener that does not") {
    taker.listener->Watch(false);
    Peer peer = TcpPeer();
    peer.Connect(taker.listener->address());
    CHECK(rig.TurnsUntilTimer() <= 3);
    CHECK(taker.ears.empty());
    taker.listener->Watch(true);
    CHECK(rig.RunUntil([&] { return taker.ears.size() == 1; }));
  }
  SECTION("no socket at all") {
    taker.listener.reset();
    CHECK(rig.TurnsUntilTimer() <= 3);
  }
}

namespace {

std::atomic<int> signals{0};

// Signals that come all the time, and interrupt what waits.
class SignalStorm {
  using Action = struct sigaction;

 public:
  explicit SignalStorm(int micros) {
    Action action{};
    action.sa_handler = [](int) { signals.fetch_add(1, std::memory_order_relaxed); };
    REQUIRE(::sigaction(SIGALRM, &action, &before_) == 0);
    Every(micros);
  }
  ~SignalStorm() {
    Every(0);
    ::sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  static void Every(int micros) {
    const itimerval interval{{0, micros}, {0, micros}};
    REQUIRE(::setitimer(ITIMER_REAL, &interval, nullptr) == 0);
  }

  Action before_{};
};

}  // namespace

TEST_CASE("signals end a wait and nothing else") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  Ear ear;
  Peer peer = rig.Pair(&ear);
  ear.stream()->Watch(true, false);
  SECTION("while nothing is ready") {
    const SignalStorm storm(2000);
    const int before = signals.load();
    // Each of these would wait without an end.
    for (int i = 0; i < 20; i++) rig.loop->RunOnce(base::kForever);
    CHECK(signals.load() > before);
    CHECK(ear.told() == 0);
  }
  SECTION("while bytes come") {
    constexpr int kPieces = 2000;
    const SignalStorm storm(100);
    for (int i = 0; i < kPieces; i++) {
      while (::send(peer.fd(), "0123456789", 10, MSG_NOSIGNAL) != 10) {
      }
      rig.loop->RunOnce(1000000);
    }
    CHECK(rig.RunUntil([&] { return ear.received.size() == 10 * kPieces; }));
    CHECK(ear.broken == 0);
  }
}

namespace {

std::atomic<int> sends_to{-1};

}  // namespace

// As after a pause of the process, during which bytes came: the turn's time is after the pause.
TEST_CASE("what is there when a signal ends a wait is read in the same turn") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  Ear ear;
  Peer peer = rig.Pair(&ear);
  ear.stream()->Watch(true, false);
  rig.Turns(1);
  sends_to = peer.fd();
  using Action = struct sigaction;
  Action action{}, before{};
  action.sa_handler = [](int) { (void)!::send(sends_to.load(std::memory_order_relaxed), "word", 4, MSG_NOSIGNAL); };
  REQUIRE(::sigaction(SIGALRM, &action, &before) == 0);
  const itimerval once{{0, 0}, {0, 50'000}};
  REQUIRE(::setitimer(ITIMER_REAL, &once, nullptr) == 0);
  // Should the signal come before the wait begins, its bytes end the wait.
  rig.loop->RunOnce(base::kForever);
  CHECK(ear.received == "word");
  REQUIRE(::sigaction(SIGALRM, &before, nullptr) == 0);
}

TEST_CASE("no wake-up is lost, and a storm of them keeps no stream waiting") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  Ear ear;
  Peer peer = rig.Pair(&ear);
  ear.stream()->Watch(true, false);
  SECTION("one after the other, each of which the thread that posts waits for") {
    base::Thread loop_thread([&] { rig.loop->Run(); });
    bool all = true;
    for (int i = 0; all && i < 3000; i++) {
      base::Event done;
      rig.loop->Post([&done] { done.Set(); });
      all = done.BlockUntilSet(kMinuteNanos);
    }
    CHECK(all);
    rig.loop->Stop();
  }
  SECTION("more than any pipe would hold, before a single turn") {
    int ran = 0;
    for (int i = 0; i < 200000; i++) rig.loop->Post([&ran] { ran++; });
    rig.Turns(1);
    CHECK(ran == 200000);
    CHECK(rig.TurnsUntilTimer() <= 3);
  }
  SECTION("from many threads, while bytes come") {
    constexpr int kThreads = 4, kTasks = 3000;
    int ran = 0;
    std::vector<std::unique_ptr<base::Thread>> threads;
    for (int t = 0; t < kThreads; t++) {
      threads.push_back(std::make_unique<base::Thread>([&] {
        for (int i = 0; i < kTasks; i++) rig.loop->Post([&ran] { ran++; });
      }));
    }
    for (int i = 0; i < 100; i++) {
      peer.Send("x");
      rig.loop->RunOnce(1000000);
    }
    CHECK(rig.RunUntil([&] { return ran == kThreads * kTasks && ear.received.size() == 100; }));
  }
}

TEST_CASE("what tasks own that never ran goes with the loop, streams as well") {
  auto rig = std::make_unique<Rig>(GENERATE(kSockets, kPollSockets));
  auto late = std::make_shared<Ear>(), posted = std::make_shared<Ear>();
  Peer to_late = rig->Pair(late.get()), to_posted = rig->Pair(posted.get());
  late->stream()->Watch(true, true);
  rig->loop->After(kMinuteNanos, [held = late] { held->Close(); });
  rig->loop->Post([held = posted] { held->Close(); });
  const std::weak_ptr<Ear> watched = late;
  late.reset();
  posted.reset();
  rig.reset();
  CHECK(watched.expired());
  CHECK(to_late.ReadAll().empty());
  CHECK(to_posted.ReadAll().empty());
}

}  // namespace bandb::test
