// One outgoing link and everything that can be at its other end.
#include "net/dialer.h"

#include <sys/resource.h>

#include <cerrno>

#include "base/status.h"
#include "base/thread_executor.h"
#include "net/file_descriptor.h"
#include "net/link_acceptor.h"
#include "net/link_world.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

using Cause = net::LinkEnd::Cause;
constexpr uint32_t kFirst = net::kFirstLinkMessage;

class Dialing final : public net::DialerHandler {
 public:
  explicit Dialing(LinkWorld* world, const net::DialerOptions& options = {})
      : dialer(std::make_unique<net::Dialer>(net::Dialer::Parts{.loop = world->dialing_loop,
                                                                .resolver = resolver,
                                                                .host = &world->dialing,
                                                                .executor = &world->executor,
                                                                .logger = &world->logger,
                                                                .protocol = &world->protocol},
                                             options, base::Random(5), "b", this)),
        world_(world) {}

  std::string Hello() override { return "hello " + std::to_string(++hellos); }
  absl::Status OnHello(std::string_view) override { return verdict; }
  void OnUp() override {
    ups++;
    if (then) then();
  }
  void OnFrame(const net::Frame& frame) override { frames.emplace_back(frame.payload); }
  void OnWritable() override {}
  void OnDown(const net::LinkEnd& end) override { Ended(end, &downs); }
  void OnAttemptFailed(const net::LinkEnd& end) override { Ended(end, &failed); }

  absl::Status verdict;
  int hellos = 0;
  int ups = 0;
  std::vector<std::string> frames;
  std::vector<net::LinkEnd> downs;
  std::vector<net::LinkEnd> failed;
  std::vector<int64_t> times;  // of all ends
  std::function<void()> then;  // after an event
  const std::shared_ptr<TableResolver> resolver = std::make_shared<TableResolver>();
  std::unique_ptr<net::Dialer> dialer;

 private:
  void Ended(const net::LinkEnd& end, std::vector<net::LinkEnd>* list) {
    list->push_back(end);
    times.push_back(world_->now_nanos());
    if (then) then();
  }
  LinkWorld* const world_;
};

// The other end of a dialer.
class Serving final : public net::LinkAcceptorHandler {
 public:
  explicit Serving(LinkWorld* world, const std::string& address = "127.0.0.1:0")
      : acceptor({.host = &world->serving, .logger = &quiet_, .protocol = &world->protocol}, {}, this) {
    REQUIRE_OK(acceptor.Listen({.address = address}));
  }
  std::string Hello() override { return "I serve"; }
  absl::Status OnHello(std::string_view) override { return verdict; }
  void OnLink(std::unique_ptr<net::FrameLink> link, std::string_view hello) override {
    hellos.emplace_back(hello);
    if (drop_links) return;
    recordings.push_back(std::make_unique<RecordingLink>());
    link->SetHandler(recordings.back().get());
    links.push_back(std::move(link));
  }

  absl::Status verdict;
  bool drop_links = false;
  std::vector<std::string> hellos;
  std::vector<std::unique_ptr<RecordingLink>> recordings;
  std::vector<std::unique_ptr<net::FrameLink>> links;

 private:
  base::NullLogger quiet_;

 public:
  net::LinkAcceptor acceptor;
};

size_t Lines(const LinkWorld& world) {
  const std::string text = world.logger.Text();
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

// Lets time pass as dialers need it, on sockets too.
void RunLong(LinkWorld* world, int64_t nanos) {
  for (int64_t passed = 0; passed < nanos; passed += kSecond / 2) world->RunFor(kSecond / 2);
}

}  // namespace

TEST_CASE("a dialer connects, and connects again with a new hello when the link is lost") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2, 3));
  Serving serving(&world);
  Dialing dialing(&world);
  CHECK(dialing.dialer->link() == nullptr);
  dialing.dialer->Start(serving.acceptor.address());
  CHECK(dialing.ups == 0);
  for (size_t i = 1; i <= 3; i++) {
    for (int turns = 0; turns < 100 && serving.links.size() < i; turns++) world.RunFor(100 * kMillis);
    REQUIRE(serving.links.size() == i);
    REQUIRE(dialing.ups == static_cast<int>(i));
    REQUIRE(dialing.dialer->link() != nullptr);
    CHECK(dialing.dialer->link()->Send(kFirst, "x"));
    REQUIRE(world.RunUntil([&] { return serving.recordings.back()->frames.size() == 1; }));
    serving.links.back()->Close("move on");
    REQUIRE(world.RunUntil([&] { return dialing.downs.size() == i; }));
    CHECK(dialing.dialer->link() == nullptr);
    CHECK(dialing.downs.back().cause == Cause::kClosedByPeer);
    CHECK(dialing.downs.back().reason == "move on");
  }
  CHECK(serving.hellos == std::vector<std::string>{"hello 1", "hello 2", "hello 3"});
  CHECK(dialing.failed.empty());
}

TEST_CASE("rests double up to the most, are drawn from their upper half, and differ by seed") {
  LinkWorld world(GENERATE(1, 2, 3));
  Dialing dialing(&world);
  dialing.dialer->Start(world.Nowhere());
  REQUIRE(world.RunUntil([&] { return dialing.failed.size() == 14; }));
  int64_t rest = 50 * kMillis;
  for (size_t i = 1; i < 14; i++) {
    const int64_t waited = dialing.times[i] - dialing.times[i - 1];
    CHECK(waited >= rest / 2);
    // What connecting takes comes on top.
    CHECK(waited <= rest + kMillis);
    rest = std::min(2 * rest, 5 * kSecond);
  }
  CHECK(dialing.failed.back().cause == Cause::kUnreachable);
  CHECK(dialing.dialer->failures() == 14);
  CHECK(dialing.dialer->last_end()->cause == Cause::kUnreachable);
}

TEST_CASE("whatever a peer does wrong, attempts and lines are bounded") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1));
  const std::string kind = GENERATE("nobody", "silent", "garbage", "refuses", "refused here", "closes at once");
  std::unique_ptr<Serving> serving;
  RecordingListener raw;
  Dialing dialing(&world);
  std::string address;
  if (kind == "nobody") {
    address = world.Nowhere();
  } else if (kind == "silent" || kind == "garbage") {
    REQUIRE_OK(raw.Listen(world.serving_loop.get(), world.Anywhere()));
    address = raw.address();
  } else {
    serving = std::make_unique<Serving>(&world);
    address = serving->acceptor.address();
    if (kind == "refuses") serving->verdict = absl::FailedPreconditionError("removed");
    if (kind == "refused here") dialing.verdict = absl::FailedPreconditionError("not b");
    serving->drop_links = true;
  }
  dialing.dialer->Start(address);
  size_t answered = 0;
  for (int i = 0; i < 600; i++) {
    world.RunFor(kSecond / 2);
    for (; kind == "garbage" && answered < raw.ends.size(); answered++) raw.ends[answered]->Send("SSH-2.0-OpenSSH_9\n");
  }
  const size_t ended = dialing.failed.size() + dialing.downs.size();
  // Five minutes: each attempt rests 2.5 to 5 seconds in the end, and takes 3 more with the silent.
  CHECK(ended >= 30);
  CHECK(ended <= 140);
  CHECK(Lines(world) >= 4);
  CHECK(Lines(world) <= 24);
  CHECK(dialing.dialer->failures() == ended);
  const Cause cause = dialing.dialer->last_end()->cause;
  if (kind == "nobody") CHECK(cause == Cause::kUnreachable);
  if (kind == "silent") CHECK(cause == Cause::kTimedOut);
  if (kind == "garbage") CHECK(cause == Cause::kMalformed);
  if (kind == "refuses") CHECK(dialing.dialer->last_end()->reason == "removed");
  if (kind == "refused here") CHECK(cause == Cause::kRefusedHere);
  if (kind == "closes at once") CHECK(dialing.downs.size() == ended);
  CHECK(dialing.dialer->link() == nullptr);
}

TEST_CASE("a link that was up for a while makes the next rest short again") {
  LinkWorld world(GENERATE(1, 2));
  Dialing dialing(&world);
  const std::string address = world.Nowhere();
  dialing.dialer->Start(address);
  REQUIRE(world.RunUntil([&] { return dialing.failed.size() == 10; }));
  Serving serving(&world, address);
  REQUIRE(world.RunUntil([&] { return serving.links.size() == 1; }));
  // Not yet a success.
  CHECK(dialing.dialer->failures() == 10);
  world.RunFor(6 * kSecond);
  serving.links.clear();
  REQUIRE(world.RunUntil([&] { return dialing.downs.size() == 1; }));
  CHECK(dialing.dialer->failures() == 1);
  REQUIRE(world.RunUntil([&] { return dialing.ups == 2; }));
  CHECK(world.now_nanos() - dialing.times.back() <= 60 * kMillis);
}

TEST_CASE("a name is looked up on the executor, for each attempt, and its addresses are tried in order") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  Serving serving(&world);
  Dialing dialing(&world);
  world.HoldExecutor(true);
  dialing.resolver->names["name-b:7400"] = {world.Nowhere(), "nonsense", serving.acceptor.address()};
  dialing.dialer->Start("name-b:7400");
  world.RunFor(10 * kMillis);
  // Not on the loop.
  CHECK(dialing.resolver->lookups.empty());
  world.HoldExecutor(false);
  REQUIRE(world.RunUntil([&] { return serving.links.size() == 1; }));
  CHECK(dialing.ups == 1);
  CHECK(dialing.failed.empty());
  CHECK(dialing.resolver->lookups.size() == 1);
  // It has moved.
  Serving moved(&world);
  dialing.resolver->names["name-b:7400"] = {moved.acceptor.address()};
  serving.links.clear();
  for (int turns = 0; turns < 100 && moved.links.empty(); turns++) world.RunFor(100 * kMillis);
  CHECK(dialing.ups == 2);
  CHECK(moved.links.size() == 1);
  CHECK(dialing.resolver->lookups.size() == 2);
}

TEST_CASE("a name of the system is looked up on threads, also when the dialer goes meanwhile") {
  LinkWorld world(GENERATE(kSockets, kPollSockets));
  Serving serving(&world);
  Dialing handler(&world);
  base::ThreadExecutor threads(2);
  const std::string port = serving.acceptor.address().substr(serving.acceptor.address().rfind(':'));
  const net::Dialer::Parts parts{.loop = world.dialing_loop,
                                 .resolver = std::make_shared<net::SystemResolver>(),
                                 .host = &world.dialing,
                                 .executor = &threads,
                                 .logger = &world.logger,
                                 .protocol = &world.protocol};
  for (int i = 0; i < 20; i++) {
    net::Dialer gone(parts, {}, base::Random(6), "gone", &handler);
    gone.Start("localhost" + port);
    world.RunFor(kMillis);
  }
  net::Dialer dialer(parts, {}, base::Random(7), "localhost", &handler);
  dialer.Start("localhost" + port);
  REQUIRE(world.RunUntil([&] { return dialer.link() != nullptr; }));
  CHECK(dialer.failures() == 0);
}

TEST_CASE("a name that nobody has fails, and is looked up again until somebody has it") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1));
  Dialing dialing(&world);
  dialing.dialer->Start("name-b:7400");
  RunLong(&world, 20 * kSecond);
  REQUIRE(dialing.failed.size() >= 5);
  CHECK(dialing.failed.size() <= 15);
  CHECK(dialing.failed.back().cause == Cause::kUnresolved);
  CHECK(dialing.failed.back().reason == "'name-b:7400': no such host");
  Serving serving(&world);
  dialing.resolver->names["name-b:7400"] = {serving.acceptor.address()};
  RunLong(&world, 10 * kSecond);
  CHECK(dialing.ups == 1);
}

TEST_CASE("a lookup that hangs is one lookup, fails attempts in time, and serves the next when it ends") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1));
  Serving serving(&world);
  Dialing dialing(&world);
  dialing.resolver->names["name-b:7400"] = {serving.acceptor.address()};
  world.HoldExecutor(true);
  dialing.dialer->Start("name-b:7400");
  RunLong(&world, 40 * kSecond);
  REQUIRE(dialing.failed.size() >= 3);
  CHECK(dialing.failed.back().reason == "the lookup of the name takes too long");
  world.HoldExecutor(false);
  RunLong(&world, 10 * kSecond);
  CHECK(dialing.ups == 1);
  CHECK(dialing.resolver->lookups.size() == 1);
}

TEST_CASE("a lookup for an address that is dialed no more is of no use to the next") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1));
  Serving old(&world), serving(&world);
  Dialing dialing(&world);
  dialing.resolver->names["name-a:1"] = {old.acceptor.address()};
  dialing.resolver->names["name-b:1"] = {serving.acceptor.address()};
  world.HoldExecutor(true);
  dialing.dialer->Start("name-a:1");
  RunLong(&world, kSecond);
  dialing.dialer->Start("name-b:1");
  RunLong(&world, kSecond);
  world.HoldExecutor(false);
  REQUIRE(world.RunUntil([&] { return dialing.ups == 1; }));
  REQUIRE(world.RunUntil([&] { return serving.links.size() == 1; }));
  CHECK(old.links.empty());
  CHECK(dialing.resolver->lookups == std::vector<std::string>{"name-a:1", "name-b:1"});
}

TEST_CASE("stop is at once, in every state, and start begins again") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  Serving serving(&world);
  RecordingListener silent;
  REQUIRE_OK(silent.Listen(world.serving_loop.get(), world.Anywhere()));
  const std::string state = GENERATE("new", "resolving", "connecting", "greeting", "up", "resting");
  auto dialing = std::make_unique<Dialing>(&world);
  dialing->resolver->names["name-b:7400"] = {serving.acceptor.address()};
  world.HoldExecutor(true);
  if (state == "resolving") dialing->dialer->Start("name-b:7400");
  if (state == "connecting" || state == "up") dialing->dialer->Start(serving.acceptor.address());
  if (state == "greeting") dialing->dialer->Start(silent.address());
  if (state == "resting") dialing->dialer->Start(world.Nowhere());
  if (state == "resolving") world.RunFor(10 * kMillis);
  if (state == "greeting") REQUIRE(world.RunUntil([&] { return !silent.ends.empty(); }));
  if (state == "up") REQUIRE(world.RunUntil([&] { return dialing->ups == 1 && !serving.links.empty(); }));
  if (state == "resting") REQUIRE(world.RunUntil([&] { return dialing->failed.size() == 1; }));
  const bool destroy = GENERATE(true, false);
  const size_t events = dialing->failed.size() + dialing->downs.size();
  if (destroy) {
    dialing->dialer.reset();
  } else {
    dialing->dialer->Stop("shutting down");
    CHECK(dialing->dialer->link() == nullptr);
  }
  world.HoldExecutor(false);
  RunLong(&world, 20 * kSecond);
  CHECK(dialing->failed.size() + dialing->downs.size() == events);
  CHECK(dialing->ups == (state == "up" ? 1 : 0));
  if (state == "up") {
    REQUIRE(serving.recordings[0]->down());
    CHECK(serving.recordings[0]->ends[0].reason == (destroy ? "the peer ended the connection" : "shutting down"));
  }
  if (destroy) return;
  dialing->dialer->Start(serving.acceptor.address());
  REQUIRE(world.RunUntil([&] { return dialing->dialer->link() != nullptr; }));
}

TEST_CASE("a dialer may be stopped, started or destroyed inside its handler") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  Serving serving(&world);
  const std::string when = GENERATE("up", "down", "failed");
  const std::string what = GENERATE("stop", "destroy", "start");
  Dialing dialing(&world);
  serving.drop_links = when == "down";
  int acted = 0;
  dialing.then = [&] {
    const bool now = when == "up"     ? dialing.ups == 1
                     : when == "down" ? !dialing.downs.empty()
                                      : !dialing.failed.empty();
    if (!now || acted++ > 0) return;
    serving.drop_links = false;
    if (what == "stop") dialing.dialer->Stop("enough");
    if (what == "destroy") dialing.dialer.reset();
    if (what == "start") dialing.dialer->Start(serving.acceptor.address());
  };
  dialing.dialer->Start(when == "failed" ? world.Nowhere() : serving.acceptor.address());
  REQUIRE(world.RunUntil([&] { return acted > 0; }));
  RunLong(&world, 10 * kSecond);
  if (what == "start") {
    CHECK(dialing.dialer->link() != nullptr);
  } else {
    CHECK(acted == 1);
  }
}

TEST_CASE("out of descriptors, a dialer tries again later") {
  LinkWorld world(GENERATE(kSockets, kPollSockets));
  Serving serving(&world);
  Dialing dialing(&world);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  // The sanitizer looks through a pipe at an object that it has not met, and must meet the
  // category of errors while there are descriptors for one.
  CHECK_CODE(base::ErrnoStatus(ENOENT, "nothing"), kNotFound);
  {
    // No more than there are now.
    const net::FileDescriptor next(::dup(0));
    rlimit none = before;
    none.rlim_cur = static_cast<rlim_t>(next.get());
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  dialing.dialer->Start(serving.acceptor.address());
  RunLong(&world, 20 * kSecond);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(dialing.ups == 0);
  CHECK(dialing.failed.size() >= 5);
  CHECK(dialing.failed.size() <= 15);
  CHECK(dialing.failed.back().cause == Cause::kUnreachable);
  RunLong(&world, 10 * kSecond);
  CHECK(dialing.ups == 1);
}

TEST_CASE("a network that breaks again and again is survived, and each up has its down") {
  LinkWorld world(GENERATE(1, 2, 3, 4, 5));
  Serving serving(&world);
  Dialing dialing(&world);
  dialing.dialer->Start(serving.acceptor.address());
  for (int i = 0; i < 30; i++) {
    world.RunFor(kSecond);
    world.network()->BreakAll();
  }
  REQUIRE(world.RunUntil([&] { return dialing.dialer->link() != nullptr; }));
  CHECK(dialing.ups >= 5);
  CHECK(dialing.downs.size() + 1 == static_cast<size_t>(dialing.ups));
}

}  // namespace bandb::test
