// What peers, the system and handlers do to a loop at the worst moment, however it watches.
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "net/socket_rig.h"

namespace bandb::test {

TEST_CASE("a peer that hangs up is noticed, whatever is watched, and told of once") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  const bool tcp = GENERATE(true, false);
  const bool resets = GENERATE(true, false);
  const bool reads = GENERATE(true, false);
  const bool writes = GENERATE(true, false);
  const bool unread = GENERATE(true, false);
  CAPTURE(tcp, resets, reads, writes, unread);
  Taker taker(&rig);
  Ear own;
  Peer peer = tcp ? TcpPeer() : rig.Pair(&own);
  if (tcp) {
    peer.Connect(taker.listener->address());
    REQUIRE(rig.RunUntil([&] { return taker.ears.size() == 1; }));
  }
  Ear& ear = tcp ? *taker.ears[0] : own;
  if (unread) peer.Send("words");
  ear.stream()->Watch(reads, writes);
  resets ? peer.Reset() : peer.Close();
  if (tcp && !resets && !reads) {
    // An end that nobody reads is nothing; it is there when somebody does.
    rig.Turns(10);
    CHECK(ear.broken == 0);
    ear.stream()->Watch(true, false);
  }
  REQUIRE(rig.RunUntil([&] { return ear.gone(); }));
  // What arrived before is not lost where it is wanted, unless a reset took it.
  if (reads && !(tcp && resets)) {
    CHECK(ear.ended);
    CHECK(ear.broken == 0);
    CHECK(ear.received == (unread ? "words" : ""));
  }
  if (resets && !reads) CHECK(ear.broken == 1);
  ear.stream()->Watch(false, false);
  rig.Turns(2);
  const int told = ear.told();
  CHECK(rig.TurnsUntilTimer() <= 3);
  CHECK(ear.told() == told);
  CHECK(ear.broken <= 1);
}

TEST_CASE("a peer that is gone before it was accepted, or before anybody listens to it, holds nothing up") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  const bool resets = GENERATE(true, false);
  const bool accepted = GENERATE(true, false);
  Taker taker(&rig);
  Peer peer = TcpPeer(), next = TcpPeer();
  std::unique_ptr<base::Stream> stream;
  peer.Connect(taker.listener->address());
  if (accepted) stream = *taker.listener->Accept(rig.loop.get());
  resets ? peer.Reset() : peer.Close();
  next.Connect(taker.listener->address());
  if (accepted) {
    REQUIRE(stream != nullptr);
    Ear ear;
    ear.Own(std::move(stream));
    ear.stream()->Watch(true, true);
    CHECK(rig.RunUntil([&] { return ear.gone(); }));
  }
  next.Send("served");
  CHECK(rig.RunUntil([&] {
    for (const auto& ear : taker.ears) ear->stream()->Watch(!ear->gone(), false);
    return std::any_of(taker.ears.begin(), taker.ears.end(), [](const auto& e) { return e->received == "served"; });
  }));
}

TEST_CASE("a stream destroyed in a call to its handler is told nothing after") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  Ear ear, other;
  Peer peer = rig.Pair(&ear), beside = rig.Pair(&other);
  other.stream()->Watch(true, true);
  beside.Send("here");
  SECTION("when it is readable, and writable as well") {
    ear.when_readable = [&] { ear.Close(); };
    ear.stream()->Watch(true, true);
    peer.Send("bytes");
    rig.Turns(3);
    CHECK(ear.readable == 1);
    CHECK(ear.writable == 0);
  }
  SECTION("when it is writable") {
    ear.when_writable = [&] { ear.Close(); };
    ear.stream()->Watch(false, true);
    rig.Turns(3);
    CHECK(ear.writable == 1);
  }
  SECTION("when it is broken") {
    ear.when_broken = [&] { ear.Close(); };
    ear.stream()->Watch(false, true);
    peer.Close();
    rig.Turns(3);
    CHECK(ear.told() == 1);
    CHECK(ear.broken == 1);
  }
  CHECK(ear.broken <= 1);
  CHECK(other.received == "here");
  CHECK(other.writable == 3);
}

TEST_CASE("a stream that is not watched any more is not told what was ready before") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  // Whichever is told first has the other watch nothing.
  Ear first, second;
  Peer to_first = rig.Pair(&first), to_second = rig.Pair(&second);
  first.when_readable = [&] { second.stream()->Watch(false, false); };
  second.when_readable = [&] { first.stream()->Watch(false, false); };
  for (Ear* ear : {&first, &second}) ear->stream()->Watch(true, true);
  to_first.Send("x");
  to_second.Send("x");
  rig.Turns(1);
  CHECK(first.readable + second.readable == 1);
  CHECK(first.writable + second.writable == 1);
}

TEST_CASE("the number of a descriptor that is closed and taken again in one turn is another stream's") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  const bool listens = GENERATE(true, false);
  Taker taker(&rig);
  Ear first, second, next;
  Peer to_first = rig.Pair(&first), to_second = rig.Pair(&second);
  for (Peer* peer : {&to_first, &to_second}) peer->Send("x");
  for (Ear* ear : {&first, &second}) ear->stream()->Watch(true, true);
  // Whichever is told first closes the other. The lowest number that is free is taken next.
  int number = -1;
  std::unique_ptr<Peer> to_next;
  const auto replace = [&](Ear* other) {
    if (other->stream() == nullptr) return;
    other->Close();
    number = ::dup(0);
    ::close(number);
    if (listens) {
      auto stream = rig.loop->Connect(taker.listener->address(), &next);
      REQUIRE_OK(stream.status());
      next.Own(*std::move(stream));
    } else {
      to_next = std::make_unique<Peer>(rig.Pair(&next));
    }
    next.stream()->Watch(true, false);
  };
  first.when_readable = [&] { replace(&second); };
  second.when_readable = [&] { replace(&first); };
  rig.Turns(1);
  CHECK(first.readable + second.readable == 1);
  CHECK(first.writable + second.writable == 1);
  CHECK(next.told() == 0);
  // It has the number, and is watched by it.
  sockaddr_storage of{};
  socklen_t length = sizeof(of);
  REQUIRE(::getsockname(number, reinterpret_cast<sockaddr*>(&of), &length) == 0);
  CHECK(of.ss_family == (listens ? AF_INET : AF_UNIX));
  if (listens) return;
  to_next->Send("to the next");
  CHECK(rig.RunUntil([&] { return next.received == "to the next"; }));
}

TEST_CASE("a listener may be destroyed when somebody waits, with others behind") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  Taker taker(&rig);
  std::vector<Peer> peers;
  for (int i = 0; i < 3; i++) {
    peers.push_back(TcpPeer());
    peers.back().Connect(taker.listener->address());
  }
  taker.closes = true;
  CHECK(rig.RunUntil([&] { return taker.listener == nullptr; }));
  CHECK(rig.TurnsUntilTimer() <= 3);
}

TEST_CASE("a loop without descriptors turns connections away, serves those it has, and recovers") {
  const int which = GENERATE(kSockets, kPollSockets);
  Rig rig(which);
  Taker taker(&rig);
  Ear ear;
  Peer peer = rig.Pair(&ear), refused = TcpPeer(), later = TcpPeer();
  ear.stream()->Watch(true, false);
  // The sanitizer looks through a pipe at an object that it has not met, and must meet the
  // category of errors while there are descriptors for one.
  CHECK_CODE(base::ErrnoStatus(ENOENT, "nothing"), kNotFound);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  {
    // No more than there are now.
    const net::FileDescriptor next(::dup(0));
    rlimit none = before;
    none.rlim_cur = static_cast<rlim_t>(next.get());
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  const absl::Status another_loop = net::SocketLoop::Create(&rig.clock, KindOf(which)).status();
  const absl::Status connection = rig.loop->Connect(taker.listener->address(), &ear).status();
  refused.Connect(taker.listener->address());
  peer.Send("served");
  const bool served = rig.RunUntil([&] { return !taker.failure.ok() && ear.received == "served"; });
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(served);
  CHECK_CODE(another_loop, kUnavailable);
  CHECK_CODE(connection, kUnavailable);
  CHECK_CODE(taker.failure, kResourceExhausted);
  CHECK(taker.ears.empty());
  CHECK(refused.ReadAll().empty());
  later.Connect(taker.listener->address());
  CHECK(rig.RunUntil([&] { return taker.ears.size() == 1; }));
}

TEST_CASE("a process that may have fewer descriptors than it has serves all of them") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  constexpr size_t kEnds = 60;
  std::vector<Ear> ears(kEnds);
  std::vector<Peer> peers;
  for (Ear& ear : ears) {
    peers.push_back(rig.Pair(&ear));
    ear.stream()->Watch(true, false);
  }
  bool posted = false;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit fewer = before;
  fewer.rlim_cur = 20;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &fewer) == 0);
  const int idle_turns = rig.TurnsUntilTimer();
  for (Peer& peer : peers) peer.Send("x");
  rig.loop->Post([&posted] { posted = true; });
  rig.Turns(2);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  // Epoll does not mind, and poll is asked one by one, with a pause where nothing is ready.
  CHECK(idle_turns <= 10);
  CHECK(posted);
  CHECK(std::all_of(ears.begin(), ears.end(), [](const Ear& ear) { return ear.received == "x"; }));
}

TEST_CASE("streams that come and go leave nothing to be watched") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit few = before;
  few.rlim_cur = 200;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  for (int i = 0; i < 300; i++) {
    Ear ear;
    const Peer peer = rig.Pair(&ear);
    ear.stream()->Watch(true, true);
    rig.Turns(i % 3);
  }
  // More than the limit could not be watched together.
  CHECK(rig.TurnsUntilTimer() <= 3);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST_CASE("a descriptor that somebody else closed costs its stream, and nobody else anything") {
  const int which = GENERATE(kSockets, kPollSockets);
  Rig rig(which);
  Ear ear, other;
  Peer to_other = rig.Pair(&other);
  const int number = ::dup(0);
  ::close(number);
  Peer peer = rig.Pair(&ear);
  for (Ear* each : {&ear, &other}) each->stream()->Watch(true, false);
  REQUIRE(::close(number) == 0);
  const bool taken_at_once = GENERATE(true, false);
  if (!taken_at_once) {
    rig.Turns(3);
    // Epoll forgets it without a word.
    CHECK(ear.broken == (KindOf(which) == net::LoopKind::kPoll ? 1 : 0));
    CHECK(rig.TurnsUntilTimer() <= 3);
    to_other.Send("here");
    rig.Turns(1);
    CHECK(other.received == "here");
  }
  // What gets the number next has nothing to do with it.
  Ear next;
  Peer to_next = rig.Pair(&next);
  next.stream()->Watch(true, false);
  to_next.Send("new");
  rig.Turns(1);
  CHECK(next.received == "new");
  CHECK(ear.readable == 0);
  if (KindOf(which) == net::LoopKind::kPoll) ear.stream()->Watch(true, true);
  CHECK(rig.TurnsUntilTimer() <= 3);
  CHECK(next.writable == 0);
  next.Close();
}

TEST_CASE("at any time those are told that have something to hear, and no others") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  base::Random random(GENERATE(1, 2, 3));
  struct End {
    Ear ear;
    std::unique_ptr<Peer> peer;
    bool watched = false;
    size_t unread = 0;
  };
  std::vector<std::unique_ptr<End>> ends;
  for (int step = 0; step < 3000; step++) {
    const uint64_t what = random.Uniform(10);
    if (ends.empty() || (what == 0 && ends.size() < 40)) {
      ends.push_back(std::make_unique<End>());
      ends.back()->peer = std::make_unique<Peer>(rig.Pair(&ends.back()->ear));
      continue;
    }
    const size_t at = random.Uniform(ends.size());
    End& end = *ends[at];
    if (what == 1) {
      ends.erase(ends.begin() + static_cast<ptrdiff_t>(at));
    } else if (what < 5) {
      end.watched = !end.watched;
      end.ear.stream()->Watch(end.watched, false);
    } else if (what < 8) {
      end.peer->Send("bytes");
      end.unread += 5;
    } else {
      for (auto& each : ends) each->ear.readable = 0;
      rig.Turns(1);
      for (auto& each : ends) {
        REQUIRE(each->ear.readable == (each->watched && each->unread > 0 ? 1 : 0));
        // A turn reads up to 100 of them.
        if (each->watched) each->unread -= std::min<size_t>(each->unread, 100);
      }
    }
  }
  for (auto& end : ends) CHECK(end->ear.broken == 0);
}

TEST_CASE("ten thousand descriptors on one loop are served, each") {
  Rig rig(GENERATE(kSockets, kPollSockets));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit all = before;
  all.rlim_cur = before.rlim_max;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &all) == 0);
  // Both ends of each connection are on it.
  const size_t pairs = std::min<size_t>(5000, (all.rlim_cur - 200) / 2);
  if (pairs < 5000) WARN("the limit on open files leaves room for " << 2 * pairs << " descriptors");
  {
    std::vector<Ear> ears(2 * pairs);
    for (size_t i = 0; i < pairs; i++) {
      std::array<int, 2> fds{};
      REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()) == 0);
      for (size_t side = 0; side < 2; side++) {
        ears[2 * i + side].Own(rig.loop->NewStream({net::FileDescriptor(fds[side]), "a pair"}));
        ears[2 * i + side].stream()->Watch(true, false);
      }
    }
    const std::string_view word[] = {"word"};
    for (Ear& ear : ears) REQUIRE(ear.stream()->Write(word).bytes == 4);
    const auto heard = [&ears] {
      return std::all_of(ears.begin(), ears.end(), [](const Ear& ear) { return ear.received == "word"; });
    };
    CHECK(rig.RunUntil(heard));
    // One end of every other connection goes, in one turn, and its peers hear of it.
    rig.loop->Post([&] {
      for (size_t i = 0; i < pairs; i += 2) ears[2 * i].Close();
    });
    const auto told = [&ears, pairs] {
      for (size_t i = 0; i < pairs; i++) {
        if (ears[2 * i + 1].gone() != (i % 2 == 0)) return false;
      }
      return true;
    };
    CHECK(rig.RunUntil(told));
    CHECK(heard());
  }
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

}  // namespace bandb::test
