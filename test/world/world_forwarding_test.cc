// Writes that one node passes on to another, and how often.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bandb/write_batch.h"
#include "kv/batch_format.h"
#include "support/catch.h"
#include "world/three_machines.h"

namespace bandb::world {

namespace {

// What became of a write that nobody waits for.
using Outcome = std::shared_ptr<std::optional<absl::Status>>;

Outcome Begin(Machine* machine, std::string_view key, std::string_view value) {
  WriteBatch batch;
  batch.Put(key, value);
  auto outcome = std::make_shared<std::optional<absl::Status>>();
  cluster::WriteContent content{.operations = WriteBatchAccess::Operations(batch)};
  auto write = std::make_shared<cluster::ClientWrite>(std::move(content),
                                                      [outcome](absl::Status status) { *outcome = std::move(status); });
  machine->loop()->Post([machine, write = std::move(write)] { machine->node()->Write(write); });
  return outcome;
}

// How often its log holds the word, whatever lies across the border of two sectors.
size_t CountInLog(Machine* machine, std::string_view word) {
  size_t count = 0;
  for (const auto& [path, bytes] : machine->files().Files()) {
    if (!path.ends_with(".seg")) continue;
    const std::string content = machine->files().Content(path);
    for (size_t at = content.find(word); at != std::string::npos; at = content.find(word, at + 1)) ++count;
  }
  return count;
}

}  // namespace

// It is sent again until it is seen applied; what waits at the leader is there already.
TEST_CASE("a write that the leader cannot propose for long comes into the log once, however often it is sent") {
  ThreeMachines three(61);
  World& world = three.world;
  three.Settle();
  Machine* const leader = three.AwaitLeader();
  Machine* const sender = &world.machine(static_cast<size_t>(leader->host()) % 3);
  Machine* const down = &world.machine(static_cast<size_t>(leader->host() + 1) % 3);
  REQUIRE_OK(three.Put(sender, "key", "of the session that it opens"));
  three.Kill(down);
  // It answers heartbeats, and nothing more is agreed on.
  sender->syncs()->Hang(true);
  const Outcome fills = Begin(leader, "fills", std::string(leader->options().node.core.uncommitted_bytes_max, 'f'));
  world.RunFor(100 * kMilli);
  std::string value;
  constexpr size_t kWords = 500;
  for (size_t i = 0; i < kWords; ++i) value += "copied! ";
  const Outcome sent = Begin(sender, "sent", value);
  world.RunFor(6 * cluster::Forwarding::kRepeatNanos);
  REQUIRE(three.AwaitLeader() == leader);
  REQUIRE_FALSE(fills->has_value());
  REQUIRE_FALSE(sent->has_value());
  sender->syncs()->Hang(false);
  REQUIRE(world.RunUntil([&] { return fills->has_value() && sent->has_value(); }));
  CHECK_OK(**fills);
  CHECK_OK(**sent);
  three.Settle();
  const size_t count = CountInLog(leader, "copied!");
  INFO(three.Report());
  CHECK(count > kWords / 2);
  CHECK(count <= kWords);
  CHECK(three.Get(leader, "sent") == value);
  CHECK(!world.violation().has_value());
}

}  // namespace bandb::world
