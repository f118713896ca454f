// Exactly once: writes that many threads send through all nodes while leadership moves.
#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cluster/cluster_rig.h"
#include "kv/checkpoint_sink.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// Puts keys of its own, each of which must not be there yet: one that is done twice is aborted.
struct Writer {
  std::string prefix;
  std::vector<std::string> done, unknown;
  std::vector<absl::Status> odd;

  void Write(Cluster* node, int count) {
    for (int i = 0; i < count; ++i) {
      const std::string key = prefix + std::to_string(i);
      WriteBatch batch;
      batch.RequireAbsent(key);
      batch.Put(key, prefix);
      const absl::Status status = node->Write(batch);
      if (status.ok()) {
        done.push_back(key);
      } else if (absl::IsUnknown(status)) {
        unknown.push_back(key);
      } else if (!absl::IsUnavailable(status)) {
        odd.push_back(status);
      }
    }
  }
};

}  // namespace

TEST_CASE("each write is done once and answered once, through whichever node, while leadership moves") {
  Nodes nodes(3);
  constexpr int kWrites = 150;
  std::vector<Writer> writers;
  for (const char* name : {"a", "b", "c"}) {
    for (int i = 0; i < 2; ++i) writers.push_back({name + std::to_string(i) + "/", {}, {}, {}});
  }
  std::atomic<size_t> ended{0};
  std::vector<std::thread> threads;
  for (Writer& writer : writers) {
    threads.emplace_back([&] {
      writer.Write(&nodes[writer.prefix.substr(0, 1)], kWrites);
      ++ended;
    });
  }
  // And asynchronously, each with one callback.
  std::vector<std::atomic<int>> calls(3 * kWrites);
  std::atomic<int> aborted{0};
  for (int i = 0; i < 3 * kWrites; ++i) {
    WriteBatch batch;
    const std::string key = "async" + std::to_string(i);
    batch.RequireAbsent(key);
    batch.Put(key, "value");
    nodes[std::string(1, "abc"[i % 3])].WriteAsync(std::move(batch), {}, [&, i](const absl::Status& status) {
      ++calls[static_cast<size_t>(i)];
      aborted += absl::IsAborted(status) ? 1 : 0;
    });
  }
  int moves = 0;
  while (ended < writers.size() || moves < 3) {
    const std::string at(1, "abc"[moves % 3]);
    if (nodes[at].TransferLeadership().ok()) ++moves;
  }
  for (std::thread& thread : threads) thread.join();
  for (const Writer& writer : writers) {
    INFO(writer.prefix);
    CHECK(writer.odd.empty());
    CHECK(writer.unknown.empty());
    CHECK(writer.done.size() == kWrites);
    for (const std::string& key : writer.done) {
      for (const char* name : {"a", "b", "c"}) REQUIRE(nodes[name].Get(key).ok());
    }
  }
  for (const char* name : {"a", "b", "c"}) CHECK_OK(nodes[name].Stop());
  for (const std::atomic<int>& count : calls) REQUIRE(count == 1);
  CHECK(aborted == 0);
}

// The ids of sessions follow the log, and that of the new cluster begins at the beginning.
TEST_CASE("a cluster that begins with the data of another one has none of its sessions") {
  constexpr int kSessions = 20;
  const TempDir dir;
  ClusterOptions options = Alone(dir);
  std::vector<uint64_t> before;
  const auto open = [](Cluster* cluster) {
    const absl::StatusOr<uint64_t> session = cluster->OpenSession(absl::Seconds(10));
    REQUIRE_OK(session.status());
    return *session;
  };
  WriteBatch batch;
  batch.Put("key", "of the first");
  {
    const std::unique_ptr<Cluster> first = MustStart(options);
    for (int i = 0; i < kSessions; ++i) before.push_back(open(first.get()));
    for (const uint64_t session : before) REQUIRE_OK(first->WriteOnce(session, 1, batch, {}));
    REQUIRE_OK(internal::DbAccess::Checkpoint(first.get(), dir.File("copy"), nullptr));
    REQUIRE_OK(first->Stop());
  }
  options.dir = dir.File("copy");
  std::unique_ptr<Cluster> second = MustStart(options);
  CHECK(second->Get("key").value() == "of the first");
  CHECK_CODE(second->WriteOnce(before.front(), 2, batch, {}), kFailedPrecondition);
  // Those that are opened now have what they do done, also under an id that was given before.
  std::vector<uint64_t> after;
  for (int i = 0; i < kSessions / 2; ++i) after.push_back(open(second.get()));
  CHECK(std::count(before.begin(), before.end(), after.back()) == 1);
  for (const uint64_t session : after) {
    const std::string key = "key" + std::to_string(session);
    WriteBatch own;
    own.Put(key, "of the second");
    REQUIRE_OK(second->WriteOnce(session, 1, own, {}));
    CHECK(second->Get(key).value() == "of the second");
  }
  CHECK_CODE(second->WriteOnce(before.back(), 1, batch, {}), kFailedPrecondition);
  // Nor after another start.
  REQUIRE_OK(second->Stop());
  second = MustStart(options);
  CHECK_CODE(second->WriteOnce(before.back(), 1, batch, {}), kFailedPrecondition);
  CHECK_OK(second->WriteOnce(after.back(), 1, batch, {}));
  CHECK(second->Get("key").value() == "of the first");
  REQUIRE_OK(second->Stop());
}

}  // namespace bandb::test
