// Three nodes in one process, over loopback, as an application sees them.
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "cluster/cluster_rig.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

constexpr const char* kNames[] = {"a", "b", "c"};

// The files of the log of a node, by number; the last one is a spare, perhaps.
std::set<std::string> Segments(const Nodes& nodes, const std::string& name) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(nodes.dir().File(name + "/groups/0/log"))) {
    if (entry.path().extension() == ".seg") names.insert(entry.path().filename().string());
  }
  return names;
}

}  // namespace

TEST_CASE("what one node acknowledges, every node reads; and a leader that is gone takes nothing with it") {
  Nodes nodes(3);
  for (const char* writer : kNames) {
    REQUIRE_OK(nodes[writer].Put("key", writer));
    for (const char* reader : kNames) CHECK(*nodes[reader].Get("key") == writer);
  }
  WriteBatch batch;
  batch.RequireValue("key", "none");
  batch.Put("key", "never");
  CHECK_CODE(nodes["b"].Write(batch), kAborted);
  CHECK_OK(nodes["a"].TransferLeadership("b"));
  REQUIRE_OK(nodes["c"].Put("key", "transferred"));
  nodes.Kill("b");
  CHECK(*nodes["c"].Get("key") == "transferred");
  REQUIRE_OK(nodes["c"].Put("key", "again"));
  CHECK(*nodes["a"].Get("key") == "again");
  nodes.Start("b");
  CHECK(*nodes["b"].Get("key") == "again");
  REQUIRE_OK(nodes["b"].Put("key", "back"));
  CHECK(*nodes["a"].Get("key") == "back");
}

TEST_CASE(
    "a version is the same at every node, and a batch that requires one is judged alike by whom it is sent through") {
  Nodes nodes(3);
  REQUIRE_OK(nodes["a"].PutWithTtl("key", "1", absl::Hours(1)));
  uint64_t version = nodes["a"].GetEntry("key")->version;
  CHECK(version != 0);
  int round = 0;
  for (const char* writer : kNames) {
    WriteBatch batch;
    batch.RequireVersion("key", version);
    batch.RequireEmptyRange(writer, PrefixLimit(writer));
    batch.Put("key", writer);
    batch.Put(writer + std::to_string(++round), "done");
    REQUIRE_OK(nodes[writer].Write(batch));
    // Another one has the same: so it does not hold any more.
    CHECK_CODE(nodes[kNames[round % 3]].Write(batch), kAborted);
    const Entry written = *nodes[writer].GetEntry("key");
    CHECK(written.value == writer);
    CHECK(written.version > version);
    version = written.version;
    for (const char* reader : kNames) CHECK(nodes[reader].GetEntry("key")->version == version);
    // The range is not empty now.
    batch.Clear();
    batch.RequireEmptyRange(writer, PrefixLimit(writer));
    batch.Put("key", "never");
    for (const char* through : kNames) CHECK_CODE(nodes[through].Write(batch), kAborted);
  }
  nodes.Kill("b");
  REQUIRE_OK(nodes["c"].Put("other", "1"));
  nodes.Start("b");
  CHECK(nodes["b"].GetEntry("key")->version == version);
  const std::unique_ptr<Iterator> it = nodes["b"].NewPrefixIterator("key");
  it->SeekToFirst();
  REQUIRE(it->Valid());
  CHECK(it->version() == version);
}

TEST_CASE("a read that may not wait asks nobody, and says so") {
  Nodes nodes(3);
  REQUIRE_OK(nodes["a"].Put("key", "1"));
  // Each of them would have to hear from a majority first.
  for (const char* name : kNames) {
    CHECK_CODE(nodes[name].Get("key", {.only_cached = true}).status(), kUnavailable);
    const std::string_view asked[] = {"key"};
    CHECK_CODE(nodes[name].MultiGet(asked, {.only_cached = true})[0].status(), kUnavailable);
  }
  CHECK(*nodes["a"].Get("key", {.only_cached = true, .consistency = Consistency::kLocal}) == "1");
}

TEST_CASE("a node that has missed more than the log keeps is given all of the database, each time") {
  Nodes nodes(3);
  REQUIRE_OK(nodes["a"].Put("early", "1"));
  for (int round = 0; round < 2; ++round) {
    nodes.Kill("c");
    const std::string missed = *Segments(nodes, "a").rbegin();
    REQUIRE_OK(nodes["a"].Delete("early"));
    int writes = 0;
    while (*Segments(nodes, "a").begin() <= missed) {
      REQUIRE(++writes < 200);
      REQUIRE_OK(
          nodes["a"].Put("large" + std::to_string(writes % 5), std::string(1 << 20, static_cast<char>('a' + round))));
    }
    nodes.Start("c");
    CHECK_CODE(nodes["c"].Get("early").status(), kNotFound);
    CHECK(nodes["c"].Get("large1")->front() == static_cast<char>('a' + round));
    REQUIRE_OK(nodes["c"].Put("early", "2"));
    CHECK(*nodes["a"].Get("early") == "2");
  }
}

TEST_CASE("what has a time to live expires on every node, though nobody writes") {
  Nodes nodes(3);
  WriteBatch batch;
  batch.PutWithTtl("short", "lived", absl::Milliseconds(300));
  batch.PutWithTtl("long", "lived", absl::Hours(1));
  REQUIRE_OK(nodes["b"].Write(batch));
  for (const char* name : kNames) {
    const ReadOptions local{.consistency = Consistency::kLocal};
    // Each of these reads waits for a round of messages, and writes nothing.
    while (nodes[name].Get("short", local).ok()) REQUIRE_OK(nodes[name].Get("long").status());
    CHECK_CODE(nodes[name].Get("short", local).status(), kNotFound);
    CHECK(nodes[name].Get("long", local).ok());
  }
}

TEST_CASE("a member is removed by any node, and the others go on; no majority, no write") {
  Nodes nodes(3);
  CHECK_CODE(nodes["b"].RemoveMember("nobody"), kNotFound);
  REQUIRE_OK(nodes["b"].RemoveMember("c"));
  nodes.AwaitVoters("a", 2);
  REQUIRE_OK(nodes["b"].Put("key", "two"));
  CHECK(*nodes["a"].Get("key") == "two");
  nodes.Kill("b");
  // Perhaps it was passed on, perhaps not: never that it was done, and never that it was not if it
  // was.
  const absl::Status put = nodes["a"].Put("key", "one", {.timeout = absl::Milliseconds(600)});
  CHECK((absl::IsUnknown(put) || absl::IsDeadlineExceeded(put)));
  CHECK_CODE(nodes["a"].Get("key", {.timeout = absl::Milliseconds(100)}).status(), kDeadlineExceeded);
  CHECK(nodes["a"].Get("key", {.consistency = Consistency::kLocal}).ok());
}

}  // namespace bandb::test
