// Named cursors of a cluster, as an application sees them: any member takes the call, and every one
// has them.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bandb/changes.h"
#include "bandb/stats.h"
#include "base/executor.h"
#include "cluster/cluster_rig.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

std::unique_ptr<ChangeReader> Read(Store& store, ChangesFrom from) {
  ChangesOptions options;
  options.from = std::move(from);
  auto reader = store.ReadChanges(options);
  REQUIRE_OK(reader.status());
  return *std::move(reader);
}

absl::Status ReadStatus(Store& store, ChangesFrom from) {
  ChangesOptions options;
  options.from = std::move(from);
  return store.ReadChanges(options).status();
}

// The key of the next commit, which is one put.
std::string NextKey(ChangeReader* reader) {
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::Seconds(20)));
  REQUIRE(commit.changes.size() == 1);
  return std::string(commit.changes[0].key);
}

// Once the node knows them.
std::vector<CursorInfo> CursorsOf(Store& store) {
  base::Event never;
  absl::StatusOr<std::vector<CursorInfo>> cursors = store.ListCursors();
  for (; cursors.status().code() == absl::StatusCode::kUnavailable; cursors = store.ListCursors()) {
    never.BlockUntilSet(5'000'000);
  }
  REQUIRE_OK(cursors.status());
  return *std::move(cursors);
}

CursorInfo InfoOf(Store& store, const std::string& name) {
  for (const CursorInfo& info : CursorsOf(store)) {
    if (info.name == name) return info;
  }
  FAIL("no cursor " << name);
  return {};
}

void WriteMuch(Store& store, int count) {
  for (int i = 0; i < count; ++i) REQUIRE_OK(store.Put(fmt::format("much{}", i), std::string(100'000, 'v')));
}

// Until it is so: acknowledgements travel when the interval of their node has passed.
void Await(const std::function<bool()>& what) {
  base::Event never;
  while (!what()) never.BlockUntilSet(5'000'000);
}

}  // namespace

TEST_CASE(
    "cursors of a cluster of one: made, acknowledged, put elsewhere, listed, dropped, and there after a restart") {
  TempDir dir;
  ClusterOptions options = Alone(dir);
  options.storage.changes_keep_bytes = 64 << 20;
  auto node = MustStart(options);
  REQUIRE_OK(node->CreateCursor("a", ChangesFrom::Oldest()));
  CHECK_CODE(node->CreateCursor("a", ChangesFrom::Now()), kAlreadyExists);
  CHECK_CODE(node->CreateCursor("", ChangesFrom::Now()), kInvalidArgument);
  CHECK_CODE(node->Acknowledge("none", "x"), kNotFound);
  CHECK_CODE(node->ResetCursor("none", ChangesFrom::Now()), kNotFound);
  CHECK_CODE(node->DropCursor("none"), kNotFound);
  CHECK_CODE(ReadStatus(*node, ChangesFrom::Cursor("none")), kNotFound);
  for (int i = 0; i < 4; ++i) REQUIRE_OK(node->Put(fmt::format("k{}", i), "v"));
  REQUIRE_OK(node->CreateCursor("b", ChangesFrom::Now()));
  CHECK(InfoOf(*node, "a").lag_commits == 4);
  CHECK(InfoOf(*node, "a").lag_bytes > 0);
  CHECK(InfoOf(*node, "b").lag_commits == 0);
  CHECK(InfoOf(*node, "b").lag_time == absl::ZeroDuration());
  auto reader = Read(*node, ChangesFrom::Cursor("a"));
  CHECK(NextKey(reader.get()) == "k0");
  const std::string first = reader->token();
  CHECK(NextKey(reader.get()) == "k1");
  REQUIRE_OK(node->Acknowledge("a", reader->token()));
  REQUIRE_OK(node->Acknowledge("a", first));
  CHECK_CODE(node->Acknowledge("a", "noise"), kInvalidArgument);
  CHECK(NextKey(Read(*node, ChangesFrom::Cursor("a")).get()) == "k2");
  CHECK(InfoOf(*node, "a").lag_commits == 2);
  CHECK(node->GetStats().cursors == 2);
  // What was acknowledged is written when the node stops.
  for (int life = 0; life < 2; ++life) {
    node.reset();
    node = MustStart(options);
    CHECK(CursorsOf(*node).size() == 2);
    CHECK(NextKey(Read(*node, ChangesFrom::Cursor("a")).get()) == "k2");
    CHECK(InfoOf(*node, "a").lag_commits == 2);
    if (life == 0) REQUIRE_OK(node->Flush());
  }
  REQUIRE_OK(node->ResetCursor("a", ChangesFrom::Token(first)));
  CHECK(NextKey(Read(*node, ChangesFrom::Cursor("a")).get()) == "k1");
  REQUIRE_OK(node->DropCursor("a"));
  CHECK_CODE(node->Acknowledge("a", first), kNotFound);
  CHECK(node->GetStats().cursors == 1);
}

TEST_CASE("a cursor of a cluster from a time stands before the first commit that is not earlier") {
  TempDir dir;
  auto node = MustStart(Alone(dir));
  // More than the change index gives at once.
  constexpr int kCommits = 600;
  std::vector<absl::Time> times;
  const auto reader = Read(*node, ChangesFrom::Oldest());
  for (int i = 0; i < kCommits; ++i) {
    REQUIRE_OK(node->Put(fmt::format("k{}", i), "1"));
    Commit commit;
    REQUIRE_OK(reader->Next(&commit, absl::Seconds(20)));
    times.push_back(commit.time);
  }
  REQUIRE_OK(node->CreateCursor("old", ChangesFrom::Now()));
  for (const int wanted : {0, 1, 300, kCommits - 1}) {
    const absl::Time time = times[static_cast<size_t>(wanted)];
    const auto first = std::find(times.begin(), times.end(), time) - times.begin();
    const std::string name = fmt::format("c{}", wanted);
    REQUIRE_OK(node->CreateCursor(name, ChangesFrom::Time(time)));
    CHECK(NextKey(Read(*node, ChangesFrom::Cursor(name)).get()) == fmt::format("k{}", first));
    CHECK(InfoOf(*node, name).lag_commits == static_cast<uint64_t>(kCommits - first));
    REQUIRE_OK(node->ResetCursor("old", ChangesFrom::Time(time)));
    CHECK(NextKey(Read(*node, ChangesFrom::Cursor("old")).get()) == fmt::format("k{}", first));
  }
  // Those of the system are no commits of a user's, and a time to come is the end.
  REQUIRE_OK(node->CreateCursor("later", ChangesFrom::Time(times.back() + absl::Hours(1))));
  CHECK(InfoOf(*node, "later").lag_commits == 0);
  REQUIRE_OK(node->Put("last", "1"));
  CHECK(NextKey(Read(*node, ChangesFrom::Cursor("later")).get()) == "last");
}

TEST_CASE("a consumer at the end comes to rest: its own acknowledgements are nothing to acknowledge") {
  TempDir dir;
  auto node = MustStart(Alone(dir));
  REQUIRE_OK(node->CreateCursor("c", ChangesFrom::Now()));
  REQUIRE_OK(node->Put("a", "1"));
  const auto reader = Read(*node, ChangesFrom::Cursor("c"));
  CHECK(NextKey(reader.get()) == "a");
  REQUIRE_OK(node->Acknowledge("c", reader->token()));
  const std::string at_end = InfoOf(*node, "c").token;
  CHECK(at_end == reader->token());
  // What the cluster writes for itself moves the reader on.
  const auto session = node->OpenSession();
  REQUIRE_OK(session.status());
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::ZeroDuration()));
  CHECK(commit.empty());
  CHECK(reader->token() != at_end);
  REQUIRE_OK(node->Acknowledge("c", reader->token()));
  CHECK(InfoOf(*node, "c").token == at_end);
  CHECK(InfoOf(*node, "c").lag_commits == 0);
  REQUIRE_OK(node->Put("b", "1"));
  CHECK(NextKey(Read(*node, ChangesFrom::Cursor("c")).get()) == "b");
}

TEST_CASE("a cursor for which more would have to be kept than may be is lost, until it is put elsewhere") {
  TempDir dir;
  ClusterOptions options = Alone(dir);
  options.log_retained_bytes = 0;
  auto node = MustStart(options);
  REQUIRE_OK(node->CreateCursor("slow", ChangesFrom::Oldest()));
  REQUIRE_OK(node->Put("first", "v"));
  const std::string token = InfoOf(*node, "slow").token;
  WriteMuch(*node, 400);
  REQUIRE_OK(node->Flush());
  Await([&] { return InfoOf(*node, "slow").lost; });
  CHECK(InfoOf(*node, "slow").lag_commits == 0);
  CHECK_CODE(ReadStatus(*node, ChangesFrom::Cursor("slow")), kOutOfRange);
  CHECK_CODE(node->Acknowledge("slow", token), kOutOfRange);
  CHECK(node->GetStats().lost_cursors == 1);
  CHECK(node->GetStats().oldest_change > 1);
  CHECK_CODE(node->CreateCursor("gone", ChangesFrom::Token(token)), kOutOfRange);
  node.reset();
  node = MustStart(options);
  CHECK(InfoOf(*node, "slow").lost);
  REQUIRE_OK(node->ResetCursor("slow", ChangesFrom::Now()));
  CHECK(node->GetStats().lost_cursors == 0);
  REQUIRE_OK(node->Put("next", "v"));
  CHECK(NextKey(Read(*node, ChangesFrom::Cursor("slow")).get()) == "next");
}

TEST_CASE("any member takes the calls, and every one has the cursors, in any of its lives") {
  Nodes nodes(3);
  REQUIRE_OK(nodes["b"].CreateCursor("c", ChangesFrom::Oldest()));
  for (int i = 0; i < 6; ++i) REQUIRE_OK(nodes["a"].Put(fmt::format("k{}", i), "v"));
  const std::vector<std::string> names = {"a", "b", "c"};
  const auto place_at = [&](const std::string& name) { return InfoOf(nodes[name], "c").token; };
  const auto await_everywhere = [&](const std::string& token) {
    for (const std::string& name : names) Await([&] { return place_at(name) == token; });
  };
  std::string token;
  for (int i = 0; i < 3; ++i) {
    const std::string& name = names[static_cast<size_t>(i)];
    const auto reader = Read(nodes[name], ChangesFrom::Cursor("c"));
    CHECK(NextKey(reader.get()) == fmt::format("k{}", i));
    token = reader->token();
    REQUIRE_OK(nodes[name].Acknowledge("c", token));
    await_everywhere(token);
  }
  // At its end a member leaves what was acknowledged at it.
  const auto reader = Read(nodes["c"], ChangesFrom::Cursor("c"));
  CHECK(NextKey(reader.get()) == "k3");
  token = reader->token();
  REQUIRE_OK(nodes["c"].Acknowledge("c", token));
  nodes.Kill("c");
  for (const std::string name : {"a", "b"}) Await([&] { return place_at(name) == token; });
  nodes.Start("c");
  await_everywhere(token);
  REQUIRE_OK(nodes["a"].TransferLeadership("b"));
  REQUIRE_OK(nodes["c"].ResetCursor("c", ChangesFrom::Oldest()));
  CHECK(NextKey(Read(nodes["c"], ChangesFrom::Cursor("c")).get()) == "k0");
  REQUIRE_OK(nodes["a"].DropCursor("c"));
  for (const std::string& name : names) {
    Await([&] { return CursorsOf(nodes[name]).empty(); });
  }
}

TEST_CASE("a node that was removed acknowledges nothing, and says what it says of a write") {
  Nodes nodes(3);
  REQUIRE_OK(nodes["a"].CreateCursor("c", ChangesFrom::Oldest()));
  REQUIRE_OK(nodes["a"].Put("k", "v"));
  Await([&] { return CursorsOf(nodes["c"]).size() == 1; });
  const auto reader = Read(nodes["c"], ChangesFrom::Cursor("c"));
  CHECK(NextKey(reader.get()) == "k");
  REQUIRE_OK(nodes["a"].RemoveMember("c"));
  nodes.Await("c", [](const ClusterStatus& status) { return !status.health.ok(); });
  const absl::Status written = nodes["c"].Put("k", "w");
  CHECK_CODE(written, kFailedPrecondition);
  CHECK(nodes["c"].Acknowledge("c", reader->token()) == written);
  CHECK(nodes["c"].ListCursors().status() == written);
  CHECK(ReadStatus(nodes["c"], ChangesFrom::Cursor("c")) == written);
  REQUIRE_OK(nodes["c"].Stop());
  CHECK_CODE(nodes["c"].Acknowledge("c", reader->token()), kFailedPrecondition);
}

TEST_CASE("a member that is given a copy has the cursors, and one at the end is good there") {
  Nodes nodes(1, [](const std::string&, ClusterOptions* options) { options->log_retained_bytes = 0; });
  REQUIRE_OK(nodes["a"].CreateCursor("behind", ChangesFrom::Oldest()));
  WriteMuch(nodes["a"], 200);
  REQUIRE_OK(nodes["a"].CreateCursor("at end", ChangesFrom::Now()));
  // What comes after it is the cluster's own.
  for (int i = 0; i < 3; ++i) REQUIRE_OK(nodes["a"].OpenSession().status());
  REQUIRE_OK(nodes["a"].Flush());
  nodes.Start("b");
  nodes.AwaitVoters("b", 2);
  CHECK(CursorsOf(nodes["b"]).size() == 2);
  CHECK(InfoOf(nodes["b"], "behind").lost);
  CHECK_CODE(ReadStatus(nodes["b"], ChangesFrom::Cursor("behind")), kOutOfRange);
  CHECK_FALSE(InfoOf(nodes["b"], "at end").lost);
  const auto reader = Read(nodes["b"], ChangesFrom::Cursor("at end"));
  REQUIRE_OK(nodes["a"].Put("next", "v"));
  CHECK(NextKey(reader.get()) == "next");
  REQUIRE_OK(nodes["b"].Acknowledge("at end", reader->token()));
  Await([&] { return InfoOf(nodes["a"], "at end").lag_commits == 0; });
}

}  // namespace bandb::test
