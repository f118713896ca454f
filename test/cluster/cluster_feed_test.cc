// The change feed of a cluster, as an application sees it: call by call. That members agree on it
// whatever happens is for the simulator to show.
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bandb/changes.h"
#include "changes/change_token.h"
#include "cluster/cluster_rig.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

ChangesOptions From(ChangesFrom from) {
  ChangesOptions options;
  options.from = std::move(from);
  return options;
}

std::unique_ptr<ChangeReader> Read(Store& store, ChangesFrom from) {
  auto reader = store.ReadChanges(From(std::move(from)));
  REQUIRE_OK(reader.status());
  return *std::move(reader);
}

absl::Status ReadStatus(Store& store, ChangesFrom from) { return store.ReadChanges(From(std::move(from))).status(); }

std::string TextOf(const Commit& commit) {
  std::string text;
  for (const Change& change : commit.changes) {
    if (!text.empty()) text += ' ';
    switch (change.kind) {
      case ChangeKind::kPut:
        text += fmt::format("{}={}", change.key, change.value);
        break;
      case ChangeKind::kDelete:
        text += fmt::format("-{}", change.key);
        break;
      case ChangeKind::kDeleteRange:
        text += fmt::format("-[{},{})", change.key, change.limit);
        break;
    }
  }
  return text;
}

// What comes, commit by commit, until a commit begins with the put of `last`.
std::vector<std::string> UpTo(ChangeReader* reader, const std::string& last) {
  std::vector<std::string> commits;
  Commit commit;
  uint64_t before = 0;
  while (commits.empty() || !commits.back().starts_with(last + "=")) {
    REQUIRE_OK(reader->Next(&commit, absl::Seconds(20)));
    REQUIRE(!commit.empty());
    REQUIRE(commit.first_sequence > before);
    REQUIRE(commit.last_sequence >= commit.first_sequence);
    before = commit.last_sequence;
    commits.push_back(TextOf(commit));
  }
  return commits;
}

// Nothing comes at once.
void CheckEmpty(ChangeReader* reader) {
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::ZeroDuration()));
  CHECK(commit.empty());
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("the feed of a cluster of one: what had an effect, and nothing else") {
  TempDir dir;
  auto node = MustStart(Alone(dir));
  const auto reader = Read(*node, ChangesFrom::Now());
  CheckEmpty(reader.get());
  const std::string before = reader->token();
  REQUIRE_OK(node->Put("a", "1"));
  WriteBatch batch;
  batch.Put("b", "2");
  batch.Delete("a");
  batch.DeleteRange("c", "d");
  REQUIRE_OK(node->Write(batch));
  WriteBatch refused;
  refused.Put("never", "1");
  refused.RequireAbsent("b");
  CHECK_CODE(node->Write(refused), kAborted);
  const absl::StatusOr<uint64_t> session = node->OpenSession();
  REQUIRE_OK(session.status());
  WriteBatch once;
  once.Put("once", "1");
  REQUIRE_OK(node->WriteOnce(*session, 1, once));
  REQUIRE_OK(node->WriteOnce(*session, 1, once));
  REQUIRE_OK(node->CloseSession(*session));
  WriteBatch expiring;
  expiring.PutWithTtl("soon", "1", absl::Hours(1));
  REQUIRE_OK(node->Write(expiring));
  CHECK(UpTo(reader.get(), "soon") == Texts{"a=1", "b=2 -a -[c,d)", "once=1", "soon=1"});
  CheckEmpty(reader.get());
  CHECK(UpTo(Read(*node, ChangesFrom::Token(before)).get(), "soon").size() == 4);
  CHECK(UpTo(Read(*node, ChangesFrom::Oldest()).get(), "soon").size() == 4);
}

TEST_CASE("a time to live comes as the time at which it ends, and the time of a commit is the log's") {
  TempDir dir;
  auto node = MustStart(Alone(dir));
  WriteBatch expiring;
  expiring.PutWithTtl("soon", "1", absl::Hours(1));
  REQUIRE_OK(node->Write(expiring));
  const auto reader = Read(*node, ChangesFrom::Oldest());
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::Seconds(20)));
  REQUIRE(commit.changes.size() == 1);
  CHECK(commit.changes[0].expiry == commit.time + absl::Hours(1));
  const auto later = Read(*node, ChangesFrom::Time(commit.time + absl::Milliseconds(1)));
  CheckEmpty(later.get());
  const auto then = Read(*node, ChangesFrom::Time(commit.time));
  CHECK(UpTo(then.get(), "soon") == Texts{"soon=1"});
}

TEST_CASE("a token goes on where it was after a restart, whether all was flushed or nothing") {
  TempDir dir;
  const bool flushed = GENERATE(false, true);
  auto node = MustStart(Alone(dir));
  for (int i = 0; i < 10; ++i) REQUIRE_OK(node->Put(fmt::format("k{}", i), "1"));
  const auto reader = Read(*node, ChangesFrom::Oldest());
  CHECK(UpTo(reader.get(), "k4").size() == 5);
  const std::string token = reader->token();
  if (flushed) REQUIRE_OK(node->Flush());
  REQUIRE_OK(node->Put("k10", "1"));
  node.reset();
  // It may give what it holds, and no more.
  Commit commit;
  absl::Status status;
  for (int i = 0; i < 10 && status.ok(); ++i) status = reader->Next(&commit, absl::ZeroDuration());
  CHECK_CODE(status, kFailedPrecondition);
  for (int life = 0; life < 3; ++life) {
    node = MustStart(Alone(dir));
    const auto again = Read(*node, ChangesFrom::Token(token));
    const Texts rest = UpTo(again.get(), "k10");
    CHECK(rest.size() == 6);
    CHECK(rest.front() == "k5=1");
    CHECK(UpTo(Read(*node, ChangesFrom::Oldest()).get(), "k10").size() == 11);
    CheckEmpty(again.get());
    node.reset();
  }
}

TEST_CASE("who scans a snapshot and reads on from it has all, and nothing twice") {
  TempDir dir;
  auto node = MustStart(Alone(dir));
  for (int i = 0; i < 50; ++i) REQUIRE_OK(node->Put(fmt::format("k{}", i % 7), fmt::format("{}", i)));
  const Snapshot snapshot = node->GetSnapshot();
  const auto reader = Read(*node, ChangesFrom::Snapshot(snapshot));
  for (int i = 50; i < 60; ++i) REQUIRE_OK(node->Put(fmt::format("k{}", i % 7), fmt::format("{}", i)));
  REQUIRE_OK(node->Put("end", "1"));
  const Texts commits = UpTo(reader.get(), "end");
  CHECK(commits.size() == 11);
  CHECK(commits.front() == "k1=50");
}

TEST_CASE("a reader that waits is woken by a commit, and by the end of the node") {
  TempDir dir;
  auto node = MustStart(Alone(dir));
  const auto reader = Read(*node, ChangesFrom::Now());
  base::Event written;
  absl::Status outcome = absl::UnknownError("not called");
  WriteBatch batch;
  batch.Put("a", "1");
  node->WriteAsync(std::move(batch), {}, [&](absl::Status status) {
    outcome = std::move(status);  // on a thread of the node: Catch2 asserts on one thread alone
    written.Set();
  });
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::InfiniteDuration()));
  CHECK(TextOf(commit) == "a=1");
  written.BlockUntilSet(base::kForever);
  CHECK_OK(outcome);
  REQUIRE_OK(node->Stop());
  CHECK_CODE(reader->Next(&commit, absl::InfiniteDuration()), kFailedPrecondition);
  node.reset();
  CHECK_CODE(reader->Next(&commit, absl::InfiniteDuration()), kFailedPrecondition);
}

TEST_CASE("what the log has let go is told as such, with a token from which one can read on") {
  TempDir dir;
  ClusterOptions options = Alone(dir);
  options.log_retained_bytes = 0;
  auto node = MustStart(options);
  const auto slow = Read(*node, ChangesFrom::Oldest());
  const std::string token = slow->token();
  absl::Status status;
  for (int i = 0; i < 400 && status.ok(); ++i) {
    REQUIRE_OK(node->Put(fmt::format("k{}", i), std::string(100'000, 'v')));
    status = ReadStatus(*node, ChangesFrom::Token(token));
  }
  REQUIRE(status.code() == absl::StatusCode::kOutOfRange);
  const std::string message(status.message());
  const std::string digits = message.substr(message.rfind(' ') + 1);
  std::string oldest;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    oldest += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  REQUIRE_OK(node->Put("end", "1"));
  const size_t left = UpTo(Read(*node, ChangesFrom::Token(oldest)).get(), "end").size();
  CHECK(left > 1);
  CHECK(UpTo(Read(*node, ChangesFrom::Oldest()).get(), "end").size() <= left);
  Commit commit;
  CHECK_CODE(slow->Next(&commit, absl::ZeroDuration()), kOutOfRange);
  CHECK_CODE(ReadStatus(*node, ChangesFrom::Time(absl::FromUnixMillis(1))), kOutOfRange);
  // And after a restart.
  node.reset();
  node = MustStart(options);
  CHECK_CODE(ReadStatus(*node, ChangesFrom::Token(token)), kOutOfRange);
  CHECK(UpTo(Read(*node, ChangesFrom::Oldest()).get(), "end").size() <= left);
}

TEST_CASE("the log is kept for readers as far as there may be, over restarts, and no further") {
  TempDir dir;
  ClusterOptions options = Alone(dir);
  options.log_retained_bytes = 0;
  options.storage.changes_keep_bytes = 64 << 20;
  auto node = MustStart(options);
  const std::string token = Read(*node, ChangesFrom::Oldest())->token();
  const auto slow = Read(*node, ChangesFrom::Token(token));
  const auto write = [&](int from, int to) {
    for (int i = from; i < to; ++i) REQUIRE_OK(node->Put(fmt::format("k{}", i), std::string(100'000, 'v')));
    REQUIRE_OK(node->Put("end", "1"));
  };
  const auto kept_files = [&] {
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(options.dir / "groups/0/log")) {
      files += entry.path().extension() == ".kept" ? 1 : 0;
    }
    return files;
  };
  write(0, 400);
  CHECK(UpTo(slow.get(), "end").size() == 401);
  REQUIRE_OK(node->Flush());
  for (int life = 0; life < 2; ++life) {
    node.reset();
    CHECK(kept_files() > 2);
    node = MustStart(options);
    CHECK(UpTo(Read(*node, ChangesFrom::Token(token)).get(), "end").size() == 401);
  }
  write(400, 1200);
  CHECK_CODE(ReadStatus(*node, ChangesFrom::Token(token)), kOutOfRange);
  CHECK(UpTo(Read(*node, ChangesFrom::Oldest()).get(), "end").size() > 400);
  node.reset();
  CHECK(kept_files() <= 9);
  // With less room, less is kept.
  options.storage.changes_keep_bytes = 0;
  node = MustStart(options);
  node.reset();
  CHECK(kept_files() == 0);
}

TEST_CASE("tokens that are none, or another database's, are refused") {
  TempDir dir;
  TempDir other_dir;
  auto node = MustStart(Alone(dir));
  auto other = MustStart(Alone(other_dir));
  const std::string token = Read(*node, ChangesFrom::Now())->token();
  CHECK_CODE(ReadStatus(*node, ChangesFrom::Token("noise")), kInvalidArgument);
  CHECK_CODE(ReadStatus(*other, ChangesFrom::Token(token)), kInvalidArgument);
  auto place = changes::DecodeToken(token);
  REQUIRE_OK(place.status());
  ++place->branch;
  CHECK_CODE(ReadStatus(*node, ChangesFrom::Token(changes::EncodeToken(*place))), kFailedPrecondition);
  // Ahead of all that was written: a cursor would pass over what is to come.
  place = changes::DecodeToken(token);
  place->sequence += 1000;
  CHECK_CODE(node->CreateCursor("c", ChangesFrom::Token(changes::EncodeToken(*place))), kFailedPrecondition);
}

TEST_CASE("three members give the same commits under the same tokens, and a reader may move between them") {
  Nodes nodes(3);
  const std::vector<std::string> names = {"a", "b", "c"};
  std::map<std::string, std::unique_ptr<ChangeReader>> readers;
  for (const std::string& name : names) readers[name] = Read(nodes[name], ChangesFrom::Oldest());
  for (int i = 0; i < 30; ++i) {
    WriteBatch batch;
    batch.Put(fmt::format("k{}", i), "1");
    if (i % 3 == 1) batch.RequirePresent("never");
    const absl::Status written = nodes[names[i % 3]].Write(batch);
    CHECK((written.ok() || written.code() == absl::StatusCode::kAborted));
    if (i == 15) REQUIRE_OK(nodes["a"].TransferLeadership("b"));
  }
  const auto wandering = Read(nodes["a"], ChangesFrom::Oldest());
  Texts wandered;
  std::string token = wandering->token();
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> seen;
  for (const std::string& name : names) {
    Commit commit;
    while (seen[name].size() < 20) {
      REQUIRE_OK(readers[name]->Next(&commit, absl::Seconds(20)));
      REQUIRE(!commit.empty());
      seen[name].emplace_back(TextOf(commit), readers[name]->token());
    }
  }
  CHECK(seen["a"] == seen["b"]);
  CHECK(seen["a"] == seen["c"]);
  for (size_t i = 0; i < 20; ++i) {
    const auto here = Read(nodes[names[i % 3]], ChangesFrom::Token(token));
    Commit commit;
    REQUIRE_OK(here->Next(&commit, absl::Seconds(20)));
    CHECK(TextOf(commit) == seen["a"][i].first);
    token = here->token();
    CHECK(token == seen["a"][i].second);
  }
}

}  // namespace bandb::test
