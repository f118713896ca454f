// What else comes to the port: noise, silence, crowds, and those who ask to be let in.
#include <algorithm>

#include "cluster/join.h"
#include "cluster/joiner.h"
#include "cluster/raw_peer.h"
#include "net/stream_world.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

bool Has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// A connection that speaks no protocol of ours.
struct Noise {
  Noise(PeerWorld* world, base::EventLoop* loop, const std::string& address, std::string_view bytes) : world_(world) {
    auto stream = loop->Connect(address, &end);
    REQUIRE_OK(stream.status());
    end.Own(*std::move(stream));
    said = bytes;
  }
  void Say() {
    if (end.connected && !end.broken && !said.empty()) end.Send(std::exchange(said, {}));
  }
  bool over() const { return end.ended || end.broken; }
  RecordingEnd end;
  std::string said;
  PeerWorld* const world_;
};

// Joins a cluster by asking these addresses.
struct Guest {
  Guest(PeerWorld* world, raft::NodeId id)
      : loop(world->network.MakeLoop()),
        host(loop.get()),
        joiner(std::make_unique<cluster::Joiner>(
            cluster::PeerSelf{.cluster = 0, .node = id, .incarnation = id, .versions = {}}, cluster::JoinerOptions(),
            net::Dialer::Parts{.loop = loop,
                               .resolver = world->resolver,
                               .host = &host,
                               .executor = &world->executor,
                               .logger = &world->logger},
            base::Random(id))) {}
  void Ask(const std::vector<std::string>& addresses, const std::string& request) {
    joiner->Ask(addresses, request, [this](absl::StatusOr<cluster::Joiner::Answer> got) { answer = std::move(got); });
  }
  const std::shared_ptr<base::EventLoop> loop;
  net::LinkHost host;
  std::unique_ptr<cluster::Joiner> joiner;
  std::optional<absl::StatusOr<cluster::Joiner::Answer>> answer;
};

}  // namespace

TEST_CASE("noise on the port is closed, and nobody else notices") {
  PeerWorld world(GENERATE(1, 2));
  PeerNode a(&world, 1);
  PeerNode b(&world, 2);
  for (PeerNode* node : {&a, &b}) {
    node->Start();
    node->peers->SetMembers(MembersOf({&a, &b}));
  }
  REQUIRE(world.RunUntil([&] { return a.Up(2) && b.Up(1); }));
  const auto loop = world.network.MakeLoop();
  std::vector<std::unique_ptr<Noise>> all;
  base::Random random(5);
  for (int i = 0; i < 60; ++i) {
    std::string bytes;
    if (i % 4 == 0) bytes = "GET / HTTP/1.1\r\n\r\n";
    if (i % 4 == 1) bytes = "*1\r\n$4\r\nPING\r\n";
    if (i % 4 == 2) {
      for (uint64_t n = random.Uniform(9000); n > 0; --n) bytes.push_back(static_cast<char>(random.Next()));
    }
    // A frame that begins well: a hello of the right length, and of noise.
    if (i % 4 == 3) proto::AppendFrame(&bytes, 1, std::string(44, static_cast<char>(i)));
    all.push_back(std::make_unique<Noise>(&world, loop.get(), a.PeerAddress(), bytes));
  }
  REQUIRE(world.RunUntil([&] {
    for (const auto& noise : all) noise->Say();
    return std::all_of(all.begin(), all.end(), [](const auto& noise) { return noise->over(); });
  }));
  CHECK(a.Up(2));
  CHECK(b.Up(1));
  CHECK(a.StatusOf(2).failures == 0);
  CHECK(a.messages.empty());
  // The log does not fill with it.
  const std::string log = world.logger.Text();
  CHECK(std::count(log.begin(), log.end(), '\n') < 30);
}

TEST_CASE("a node that nobody lets in says so, and fills no log") {
  PeerWorld world(1);
  base::Random random(7);
  const std::shared_ptr<base::EventLoop> loop = world.network.MakePeerLoop();
  cluster::JoinTask task({.env = {.files = nullptr,
                                  .clock = world.network.clock(),
                                  .executor = &world.executor,
                                  .logger = &world.logger,
                                  .random = &random},
                          .loop = loop,
                          .resolver = world.resolver},
                         {"nobody:1", "nobody:2"}, {.node = 9, .address = "me:1"});
  world.RunFor(20 * kSecond);
  world.RunFor(40 * kSecond);
  CHECK_FALSE(task.ended());
  const std::string log = world.logger.Text();
  CHECK(Has(log, "not let in yet"));
  CHECK(Has(log, "lines left out"));
  CHECK(std::count(log.begin(), log.end(), '\n') <= 20);
}

TEST_CASE("thousands of silent strangers keep no member out") {
  PeerWorld world(1);
  PeerNode a(&world, 1);
  PeerNode b(&world, 2);
  a.Start();
  a.peers->SetMembers(MembersOf({&a, &b}));
  const auto loop = world.network.MakeLoop();
  std::vector<std::unique_ptr<Noise>> all;
  const auto come = [&](int count) {
    for (int i = 0; i < count; ++i) {
      all.push_back(std::make_unique<Noise>(&world, loop.get(), a.PeerAddress(), ""));
    }
  };
  come(1000);
  world.RunFor(kSecond);
  b.Start();
  b.peers->SetMembers(MembersOf({&a, &b}));
  for (int i = 0; i < 20; ++i) {
    come(50);
    world.RunFor(100 * kMillis);
  }
  CHECK(a.Up(2));
  CHECK(b.Up(1));
  // All of them are sent away in time.
  REQUIRE(world.RunUntil(
      [&] { return std::all_of(all.begin(), all.end(), [](const auto& noise) { return noise->over(); }); },
      10 * kSecond));
}

TEST_CASE("nodes that are no members have links only up to a number, and members always") {
  PeerWorld world(1);
  PeerNode a(&world, 1);
  PeerNode b(&world, 2);
  a.options.strangers_max = 3;
  a.Start();
  a.peers->SetMembers(MembersOf({&a, &b}));
  std::vector<std::unique_ptr<RawPeer>> strangers;
  for (raft::NodeId id = 100; id < 110; ++id) {
    strangers.push_back(std::make_unique<RawPeer>(&world, a.PeerAddress(), HelloOf(id)));
  }
  world.RunFor(kSecond);
  CHECK(std::count_if(strangers.begin(), strangers.end(), [](const auto& s) { return s->up && !s->down; }) == 3);
  CHECK(std::all_of(strangers.begin(), strangers.end(),
                    [](const auto& s) { return (s->up && !s->down) || Has(s->end, "nodes that are no members"); }));
  b.Start();
  b.peers->SetMembers(MembersOf({&a, &b}));
  REQUIRE(world.RunUntil([&] { return a.Up(2) && b.Up(1); }, 3 * kSecond));
  // When those who came first have gone there is room again.
  strangers.clear();
  world.RunFor(3 * kSecond);
  RawPeer late(&world, a.PeerAddress(), HelloOf(200));
  REQUIRE(world.RunUntil([&] { return late.up; }, kSecond));
}

TEST_CASE("a node asks to be let in, one address after the other, and hears the answer") {
  PeerWorld world(GENERATE(1, 2));
  PeerNode a(&world, 1);
  a.Start();
  Guest guest(&world, 50);
  guest.Ask({"nowhere:1", "nonsense", a.PeerAddress()}, "let me in");
  REQUIRE(world.RunUntil([&] { return a.join_requests.size() == 1; }));
  CHECK(a.join_requests[0] == "let me in");
  CHECK(a.peers->Status().empty());
  // The answer may take its time.
  world.RunFor(30 * kSecond);
  CHECK_FALSE(guest.answer.has_value());
  a.join_replies[0]("welcome");
  REQUIRE(world.RunUntil([&] { return guest.answer.has_value(); }));
  REQUIRE_OK(guest.answer->status());
  CHECK((*guest.answer)->cluster == kTestCluster);
  CHECK((*guest.answer)->bytes == "welcome");
  a.join_replies[0]("twice");
  world.RunFor(kSecond);
}

TEST_CASE("a node that nobody lets in hears what each has said") {
  PeerWorld world(1);
  PeerNode a(&world, 1);
  a.options.joins.links_max = 1;
  a.Start();
  Guest first(&world, 49);
  first.Ask({a.PeerAddress()}, "I was first");
  REQUIRE(world.RunUntil([&] { return a.join_requests.size() == 1; }));
  Guest guest(&world, 50);
  guest.Ask({"nowhere:1", a.PeerAddress()}, "let me in");
  REQUIRE(world.RunUntil([&] { return guest.answer.has_value(); }));
  CHECK(guest.answer->status().code() == absl::StatusCode::kUnavailable);
  CHECK(Has(guest.answer->status().ToString(), "nowhere:1: cannot connect"));
  CHECK(Has(guest.answer->status().ToString(), "try again later"));
  // The first waits no longer than a while, and then there is room.
  REQUIRE(world.RunUntil([&] { return first.answer.has_value(); }, 70 * kSecond));
  CHECK(first.answer->status().code() == absl::StatusCode::kUnavailable);
  a.join_replies[0]("too late");
  guest.answer.reset();
  guest.Ask({a.PeerAddress()}, "let me in");
  REQUIRE(world.RunUntil([&] { return a.join_requests.size() == 2; }));
  // The node that asks may go, and the one that is asked as well.
  guest.joiner.reset();
  world.RunFor(kSecond);
  a.peers.reset();
  a.join_replies[1]("nobody hears this");
}

TEST_CASE("who asks to be let in may say little, once, and nothing else") {
  PeerWorld world(1);
  PeerNode a(&world, 1);
  a.Start();
  proto::PeerHello hello = HelloOf(50, proto::LinkClass::kPrompt);
  hello.kind = proto::HelloKind::kJoin;
  hello.cluster = 0;
  RawPeer guest(&world, a.PeerAddress(), hello);
  REQUIRE(world.RunUntil([&] { return guest.up; }));
  const int what = GENERATE(0, 1, 2, 3);
  if (what == 0) guest.Say(cluster::PeerFrame::kJoinRequest, std::string(cluster::kJoinBytesMax + 1, 'x'));
  if (what == 1) guest.Say(cluster::PeerFrame::kMessage, "m");
  if (what == 2) guest.Say(cluster::kFirstNodeFrame, "m");
  if (what == 3) {
    guest.Say(cluster::PeerFrame::kJoinRequest, "a");
    guest.Say(cluster::PeerFrame::kJoinRequest, "b");
  }
  REQUIRE(world.RunUntil([&] { return guest.down; }));
  CHECK(a.messages.empty());
  CHECK(a.frames.empty());
  CHECK(a.join_requests.size() == (what == 3 ? 1 : 0));
  // One that knows a cluster must know the right one.
  hello.cluster = kTestCluster + 1;
  RawPeer other(&world, a.PeerAddress(), hello);
  REQUIRE(world.RunUntil([&] { return other.down; }));
  CHECK(Has(other.end, "another cluster"));
}

}  // namespace bandb::test
