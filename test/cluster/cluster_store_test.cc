// A cluster of one voter, on real files and threads, as an application sees it.
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bandb/compaction_filter.h"
#include "bandb/db.h"
#include "base/executor.h"
#include "cluster/cluster_rig.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("a node of one voter does all that a store does, and finds it again") {
  TempDir dir;
  {
    const std::unique_ptr<Cluster> node = MustStart(Alone(dir));
    REQUIRE_OK(node->Put("a", "1"));
    WriteBatch batch;
    batch.RequireValue("a", "1");
    batch.Put("b", "2");
    batch.Put("c", "3");
    REQUIRE_OK(node->Write(batch));
    batch.Clear();
    batch.RequireAbsent("a");
    batch.Put("a", "never");
    CHECK_CODE(node->Write(batch), kAborted);
    const Snapshot snapshot = node->GetSnapshot();
    REQUIRE_OK(node->Delete("b"));
    CHECK(*node->Get("a") == "1");
    CHECK_CODE(node->Get("b").status(), kNotFound);
    CHECK(*node->Get("b", {.snapshot = &snapshot}) == "2");
    std::string keys;
    const std::unique_ptr<Iterator> iterator = node->NewIterator();
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) keys += iterator->key();
    CHECK(keys == "ac");
    const std::string_view asked[] = {"a", "b"};
    const auto values = node->MultiGet(asked);
    CHECK(*values[0] == "1");
    CHECK_CODE(values[1].status(), kNotFound);
    CHECK_CODE(node->Put(std::string(65 << 10, 'k'), "v"), kInvalidArgument);
    CHECK_OK(node->Stop());
    CHECK_OK(node->Stop());
    CHECK_CODE(node->Put("a", "late"), kFailedPrecondition);
    CHECK_CODE(node->Get("a").status(), kFailedPrecondition);
    CHECK_CODE(node->GetStatus().health, kFailedPrecondition);
  }
  ClusterOptions again = Alone(dir);
  again.bootstrap = false;
  const std::unique_ptr<Cluster> node = MustStart(again);
  CHECK(*node->Get("a") == "1");
  CHECK_CODE(node->Get("b").status(), kNotFound);
  CHECK(*node->Get("c") == "3");
  CHECK(node->GetStatus().role == NodeRole::kLeader);
  // While it runs nobody else has the directory.
  CHECK_CODE(Cluster::Start(again).status(), kFailedPrecondition);
  CHECK_CODE(Db::Open(again.dir).status(), kFailedPrecondition);
}

TEST_CASE("an asynchronous write that a node has not done gives its batch back") {
  TempDir dir;
  const std::unique_ptr<Cluster> node = MustStart(Alone(dir));
  WriteBatch batch;
  batch.RequireVersion("a", 0);
  batch.Put("a", "1");
  for (const bool first : {true, false}) {
    base::Event called;
    absl::Status outcome;
    std::string given;
    node->WriteAsyncOrReturn(batch, {}, [&](absl::Status status, const WriteBatch& back) {
      outcome = std::move(status);
      given = back.Serialize();
      called.Set();
    });
    while (!called.BlockUntilSet(base::kForever)) {
    }
    CHECK(outcome.code() == (first ? absl::StatusCode::kOk : absl::StatusCode::kAborted));
    CHECK(given == (first ? WriteBatch() : batch).Serialize());
  }
}

TEST_CASE("what is flushed needs the log no more, and a compaction leaves what is live") {
  TempDir dir;
  const std::unique_ptr<Cluster> node = MustStart(Alone(dir));
  for (int i = 0; i < 100; ++i) REQUIRE_OK(node->Put("key" + std::to_string(i), std::string(1000, 'v')));
  CHECK_OK(node->Flush());
  const ClusterStatus status = node->GetStatus();
  CHECK(status.flushed_index == status.applied_index);
  CHECK(node->GetStats().table_bytes > 0);
  // Nothing new: that is flushed, too.
  CHECK_OK(node->Flush());
  for (int i = 1; i < 100; ++i) REQUIRE_OK(node->Delete("key" + std::to_string(i)));
  CHECK_OK(node->CompactRange("", ""));
  CHECK(node->GetStats().table_bytes < 2000);
  CHECK(*node->Get("key0") == std::string(1000, 'v'));
  CHECK_OK(node->Stop());
  CHECK_CODE(node->Flush(), kFailedPrecondition);
  CHECK_CODE(node->CompactRange("", ""), kFailedPrecondition);
}

TEST_CASE("asynchronous writes and barriers call back once each, in order, and may call the store") {
  TempDir dir;
  const std::unique_ptr<Cluster> node = MustStart(Alone(dir));
  std::vector<int> order;
  base::Event done;
  constexpr int kWrites = 200;
  for (int i = 0; i < kWrites; ++i) {
    WriteBatch batch;
    batch.Put("key", std::to_string(i));
    node->WriteAsync(std::move(batch), {}, [&order, i](const absl::Status& status) {
      if (status.ok()) order.push_back(i);
    });
  }
  std::string read;
  node->ReadBarrierAsync({}, [&](const absl::Status& status) {
    if (status.ok()) read = node->Get("key", {.consistency = Consistency::kLocal}).value_or("none");
    // One that waits for a write of its own.
    if (!node->Put("from", "callback").ok()) read = "failed";
    done.Set();
  });
  done.BlockUntilSet(base::kForever);
  CHECK(read != "failed");
  REQUIRE_OK(node->Put("last", "1"));
  CHECK_OK(node->Stop());
  REQUIRE(order.size() == kWrites);
  for (int i = 0; i < kWrites; ++i) CHECK(order[static_cast<size_t>(i)] == i);
}

TEST_CASE("a node that is stopped under load answers every write, and keeps those that it acknowledged") {
  TempDir dir;
  constexpr int kThreads = 4;
  std::vector<int> acknowledged(kThreads);
  {
    std::unique_ptr<Cluster> node = MustStart(Alone(dir));
    std::vector<std::thread> writers;
    for (int t = 0; t < kThreads; ++t) {
      writers.emplace_back([&, t] {
        for (int i = 1;; ++i) {
          const absl::Status put = node->Put("key" + std::to_string(t), std::to_string(i));
          if (!put.ok()) return;
          acknowledged[static_cast<size_t>(t)] = i;
        }
      });
    }
    REQUIRE_OK(node->Put("warm", "up"));
    CHECK_OK(node->Stop());
    for (std::thread& writer : writers) writer.join();
  }
  const std::unique_ptr<Cluster> node = MustStart(Alone(dir));
  for (int t = 0; t < kThreads; ++t) {
    const int kept = std::stoi(node->Get("key" + std::to_string(t)).value_or("0"));
    CHECK(kept >= acknowledged[static_cast<size_t>(t)]);
    CHECK(kept <= acknowledged[static_cast<size_t>(t)] + 1);
  }
}

TEST_CASE("a session does each of its numbers once") {
  TempDir dir;
  const std::unique_ptr<Cluster> node = MustStart(Alone(dir));
  const auto session = node->OpenSession();
  REQUIRE_OK(session.status());
  WriteBatch batch;
  batch.RequireAbsent("once");
  batch.Put("once", "1");
  REQUIRE_OK(node->WriteOnce(*session, 1, batch));
  CHECK_OK(node->WriteOnce(*session, 1, batch));
  CHECK_CODE(node->WriteOnce(*session, 2, batch), kAborted);
  CHECK_CODE(node->WriteOnce(*session, 0, batch), kInvalidArgument);
  CHECK_CODE(node->WriteOnce(*session + 1, 1, batch), kFailedPrecondition);
  REQUIRE_OK(node->CloseSession(*session));
  CHECK_CODE(node->WriteOnce(*session, 3, batch), kFailedPrecondition);
}

TEST_CASE("a standalone database is taken over with all that it holds") {
  TempDir dir;
  {
    auto db = Db::Open(dir.File("node"));
    REQUIRE_OK(db.status());
    REQUIRE_OK((*db)->Put("a", "1"));
    CHECK_OK((*db)->Close());
  }
  ClusterOptions options = Alone(dir);
  options.bootstrap = false;
  CHECK_CODE(Cluster::Start(options).status(), kFailedPrecondition);
  for (int time = 0; time < 2; ++time) {
    const std::unique_ptr<Cluster> node = MustStart(Alone(dir));
    CHECK(*node->Get("a") == "1");
    REQUIRE_OK(node->Put("b", "2"));
  }
}

TEST_CASE("options that make no sense are refused, all of them named, and nothing is made") {
  TempDir dir;
  ClusterOptions options = Alone(dir);
  options.join = {"10.0.0.1:7400"};
  options.election_timeout = absl::Milliseconds(1);
  options.priority = 11;
  options.log_file_bytes = 1;
  const absl::Status status = Cluster::Start(options).status();
  CHECK_CODE(status, kInvalidArgument);
  for (const char* name : {"bootstrap", "election_timeout", "priority", "log_file_bytes", "listen"}) {
    INFO(name);
    CHECK(std::string(status.message()).find(name) != std::string::npos);
  }
  options = Alone(dir);
  options.bootstrap = false;
  CHECK_CODE(Cluster::Start(options).status(), kNotFound);
  CHECK_FALSE(std::filesystem::exists(options.dir));
}

TEST_CASE("what would have members differ by their own compactions is refused") {
  class KeepAll final : public CompactionFilter {
    Decision Filter(int, std::string_view, std::string_view, std::string*) override { return Decision::kKeep; }
  };
  TempDir dir;
  KeepAll filter;
  ClusterOptions options = Alone(dir);
  options.storage.compaction_filter = &filter;
  options.storage.compaction_style = CompactionStyle::kFifo;
  options.storage.fifo_bytes_max = uint64_t{1} << 30;
  const absl::Status refused = Cluster::Start(options).status();
  CHECK_CODE(refused, kInvalidArgument);
  for (const char* name : {"compaction_filter", "compaction_style"}) {
    INFO(name);
    CHECK(std::string(refused.message()).find(name) != std::string::npos);
  }
  options.storage.compaction_filter = nullptr;
  options.storage.compaction_style = CompactionStyle::kTiered;
  CHECK_OK(Cluster::Start(options).status());
}

TEST_CASE("a forked child has no part in the node, and takes nothing with it") {
  TempDir dir;
  std::unique_ptr<Cluster> node = MustStart(Alone(dir));
  REQUIRE_OK(node->Put("a", "1"));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const bool refused = absl::IsFailedPrecondition(node->Put("a", "child")) &&
                         absl::IsFailedPrecondition(node->Get("a").status()) &&
                         absl::IsFailedPrecondition(node->Stop()) &&
                         absl::IsFailedPrecondition(node->GetStatus().health) && node->GetStats().memtable_bytes == 0;
    (void)node->GetSnapshot();
    node.reset();
    ::_exit(refused ? 0 : 1);
  }
  int state = 0;
  REQUIRE(::waitpid(child, &state, 0) == child);
  CHECK(WIFEXITED(state));
  CHECK(WEXITSTATUS(state) == 0);
  CHECK(*node->Get("a") == "1");
  CHECK_OK(node->Put("b", "2"));
}

}  // namespace bandb::test
