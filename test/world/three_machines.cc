#include "world/three_machines.h"

#include <utility>

#include "base/status.h"
#include "kv/batch_format.h"
#include "support/catch.h"

namespace bandb::world {

ThreeMachines::ThreeMachines(uint64_t seed, const WorldOptions& options) : world(seed, options, nullptr, 200) {
  for (size_t i = 0; i < 3; ++i) {
    world.Start(world.Add());
    const bool up = world.RunUntil([&] { return world.machine(i).node() != nullptr; });
    INFO(Report());
    REQUIRE(up);
  }
  REQUIRE(world.RunUntil([&] {
    const Machine* const leader = world.Leader();
    if (leader == nullptr) return false;
    const raft::Configuration& now = leader->node()->core()->committed_configuration();
    size_t voters = 0;
    for (const raft::Member& member : now.members) voters += member.voter ? 1 : 0;
    return voters == 3 && !now.joint();
  }));
}

absl::Status ThreeMachines::Write(Machine* machine, const WriteBatch& batch) {
  return Await(machine,
               {.conditions = WriteBatchAccess::Conditions(batch), .operations = WriteBatchAccess::Operations(batch)});
}

absl::Status ThreeMachines::ChangeCursor(Machine* machine, const cluster::CursorChange& change) {
  std::string bytes;
  cluster::AppendCursorChange(change, &bytes);
  return Await(machine, {.operations = std::move(bytes), .kind = cluster::CommandKind::kCursors});
}

absl::Status ThreeMachines::AcceptClock(Machine* machine) {
  return Await(machine, {.kind = cluster::CommandKind::kAcceptClock});
}

absl::Status ThreeMachines::Await(Machine* machine, cluster::WriteContent content) {
  auto outcome = std::make_shared<std::optional<absl::Status>>();
  content.deadline_nanos = world.now() + 10 * kSecond;
  auto write = std::make_shared<cluster::ClientWrite>(std::move(content),
                                                      [outcome](absl::Status status) { *outcome = std::move(status); });
  machine->loop()->Post([machine, write = std::move(write)] { machine->node()->Write(write); });
  world.RunUntil([&] { return outcome->has_value(); });
  return outcome->value_or(absl::InternalError("no answer"));
}

absl::Status ThreeMachines::Put(Machine* machine, std::string_view key, std::string_view value) {
  WriteBatch batch;
  batch.Put(key, value);
  return Write(machine, batch);
}

absl::Status ThreeMachines::PutWithTtl(Machine* machine, std::string_view key, std::string_view value,
                                       absl::Duration ttl) {
  WriteBatch batch;
  batch.PutWithTtl(key, value, ttl);
  return Write(machine, batch);
}

absl::Status ThreeMachines::Change(Machine* machine, const raft::Change& change) {
  auto outcome = std::make_shared<std::optional<absl::Status>>();
  machine->loop()->Post([machine, outcome, change, deadline = world.now() + 10 * kSecond] {
    machine->node()->Change(change, deadline, [outcome](absl::Status status) { *outcome = std::move(status); });
  });
  world.RunUntil([&] { return outcome->has_value(); });
  return outcome->value_or(absl::InternalError("no answer"));
}

std::string ThreeMachines::Get(Machine* machine, std::string_view key) {
  auto ready = std::make_shared<std::optional<absl::Status>>();
  machine->loop()->Post([machine, ready, deadline = world.now() + 10 * kSecond] {
    machine->node()->Read(
        {.deadline_nanos = deadline, .done = [ready](absl::Status status) { *ready = std::move(status); }});
  });
  world.RunUntil([&] { return ready->has_value(); });
  if (!ready->has_value() || !(*ready)->ok()) return "no answer";
  return Local(machine, key);
}

std::string ThreeMachines::Local(Machine* machine, std::string_view key) {
  PinnedValue value;
  const absl::Status got = machine->node()->replica().engine().Get(key, {}, &value);
  return got.ok() ? std::string(value.value()) : std::string(base::ToStd(absl::StatusCodeToString(got.code())));
}

Machine* ThreeMachines::AwaitLeader(const Machine* other_than) {
  REQUIRE(world.RunUntil([&] {
    const Machine* const leader = world.Leader();
    return leader != nullptr && leader != other_than;
  }));
  return world.Leader();
}

void ThreeMachines::Kill(Machine* machine) {
  machine->Kill({.power_loss = test::Damage::kLost});
  REQUIRE(world.RunUntil([&] { return machine->state() == Machine::State::kDown; }));
}

void ThreeMachines::Restart(Machine* machine) {
  world.Start(machine);
  REQUIRE(world.RunUntil([&] { return machine->node() != nullptr; }));
  Settle();
}

void ThreeMachines::Settle() {
  REQUIRE(world.RunUntil([&] {
    const Machine* const leader = world.Leader();
    if (leader == nullptr) return false;
    const raft::Inspect now = leader->node()->core()->inspect();
    for (const auto& machine : world.machines()) {
      if (machine->node() != nullptr && machine->node()->published().applied.load() != now.last) return false;
    }
    return now.commit == now.last;
  }));
}

raft::Index ThreeMachines::LastIndex() { return AwaitLeader()->node()->core()->inspect().last; }

std::string ThreeMachines::Report() {
  std::string report = world.violation().value_or("no violation") + "\n";
  for (const std::string& line : world.trace().recent()) report += line + "\n";
  for (const auto& machine : world.machines()) report += machine->name() + ":\n" + machine->LogText();
  return report;
}

}  // namespace bandb::world
