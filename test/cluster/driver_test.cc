// The driver with one core: in which order the duties of raft/core.h are done, and what waits for
// what.
#include "cluster/driver.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "support/catch.h"

namespace bandb::cluster {
namespace {

constexpr raft::Nanos kMillisecond = 1'000'000;

// All four sides of a driver; keeps an account of what it is asked for.
class Surroundings : public Driver::Host, public LogDevice, public StateMachine, public Transport {
 public:
  explicit Surroundings(const raft::Restart& restart) {
    raft::Options options;
    options.self = 1;
    options.cluster = 7;
    options.seed = 5;
    options.election_timeout_nanos = 1000 * kMillisecond;
    options.heartbeat_interval_nanos = 100 * kMillisecond;
    auto made = Driver::Create(options, restart, 0, {this, this, this, this});
    REQUIRE(made.ok());
    driver = *std::move(made);
  }

  // Steps what waits, then `event`; and turns. What was asked for.
  std::string Turn(raft::Event event) {
    account.clear();
    for (raft::Event& posted : std::exchange(events, {})) driver->Step(++now, std::move(posted));
    step = driver->Step(++now, std::move(event));
    driver->Turn();
    return account;
  }

  void Say(const std::string& text) { account += (account.empty() ? "" : ", ") + text; }
  void Post(raft::Event event) override { events.push_back(std::move(event)); }
  void OnOutput(const raft::Output&) override { Say("note"); }
  void OnRead(const raft::ReadResult& result) override { Say(fmt::format("read {}", result.id)); }
  void OnDeadline(raft::Nanos) override { Say("deadline"); }
  void WriteHardState(const raft::HardStateWrite& write) override {
    hard_state_write = write.write;
    Say("hard state");
  }
  void WriteLog(const raft::LogWrite& write) override {
    log_write = write;
    Say("log");
  }
  void Fetch(const raft::Fetch& asked) override {
    fetch = asked;
    Say("fetch");
  }
  void Reset(const raft::SnapshotMeta& floor) override { Say(fmt::format("reset {}", floor.index)); }
  void Compact(raft::Index index) override { Say(fmt::format("compact {}", index)); }
  void ApplyReady() override { Say("apply"); }
  void Install(const raft::SnapshotMeta& meta) override { Say(fmt::format("install {}", meta.index)); }
  void TakeSnapshot() override { Say("snapshot"); }
  void Send(const raft::Message& message) override { Say(fmt::format("send to {}", message.to)); }
  void SendSnapshot(const raft::SendSnapshot& send) override { Say(fmt::format("stream to {}", send.message.to)); }

  std::unique_ptr<Driver> driver;
  raft::Nanos now = 0;
  raft::StepResult step;
  std::string account;
  std::vector<raft::Event> events;
  uint64_t hard_state_write = 0;
  raft::LogWrite log_write;
  raft::Fetch fetch;
};

template <typename T>
bool Posted(const Surroundings& node) {
  return node.events.size() == 1 && std::holds_alternative<T>(node.events.front());
}

raft::Message From(raft::NodeId peer, raft::MessageKind kind, raft::Term term) {
  raft::Message message;
  message.kind = kind;
  message.cluster = 7;
  message.from = peer;
  message.to = 1;
  message.term = term;
  return message;
}

raft::Restart Three() { return raft::FirstStart(raft::MakeConfiguration({1, 2, 3})); }

// A member of three whose log holds `last` entries, all known to be committed, none applied.
raft::Restart ThreeWithLog(raft::Index last) {
  raft::Restart restart = Three();
  restart.hard_state = {.term = 1, .vote = 2, .commit = last};
  for (raft::Index i = 1; i <= last; ++i) {
    REQUIRE_OK(restart.AddEntry({.term = 1, .index = i, .payload = raft::Payload("entry")}));
  }
  return restart;
}

raft::Message SnapshotAt(raft::Index index) {
  raft::Message message = From(2, raft::MessageKind::kSnapshot, 2);
  raft::SnapshotMeta meta{index, 2, raft::MakeConfiguration({1, 2, 3}), 0};
  message.snapshot = std::make_shared<const raft::SnapshotMeta>(meta);
  return message;
}

}  // namespace

TEST_CASE("a turn notes, writes, sends and applies, in this order") {
  Surroundings node(raft::FirstStart(raft::MakeConfiguration({1})));
  CHECK(node.Turn(raft::Campaign{}) == "note, hard state, deadline");
  node.driver->HardStateDurable(node.hard_state_write);
  CHECK(node.Turn(raft::Tick{}) == "note, log, deadline");
  node.driver->LogDurable(node.log_write.write, node.log_write.term, node.log_write.index);
  CHECK(node.Turn(raft::Propose{raft::Payload("a")}) == "note, log, apply, deadline");
  raft::Entries entries;
  REQUIRE(node.driver->TakeReady(&entries));
  CHECK(entries.back().index == 1);
  CHECK(entries.back().kind == raft::EntryKind::kNoop);
}

TEST_CASE("a vote is told once it is durable") {
  Surroundings node(Three());
  // Past the timeout in which a node that has just started grants no vote.
  node.now = 3000 * kMillisecond;
  CHECK(node.Turn(raft::Receive{From(2, raft::MessageKind::kVote, 4)}) == "note, hard state, deadline");
  node.driver->SendReady();
  CHECK(node.account == "note, hard state, deadline");
  node.driver->HardStateDurable(node.hard_state_write);
  CHECK(Posted<raft::HardStatePersisted>(node));
  node.account.clear();
  node.driver->SendReady();
  CHECK(node.account == "send to 2");
}

TEST_CASE("after a failed write nothing that was held is said, and no completion counts") {
  Surroundings node(Three());
  node.now = 3000 * kMillisecond;
  node.Turn(raft::Receive{From(2, raft::MessageKind::kVote, 4)});
  node.driver->WriteFailed();
  CHECK(node.driver->failed());
  CHECK(Posted<raft::PersistFailed>(node));
  node.account.clear();
  node.driver->HardStateDurable(node.hard_state_write);
  node.driver->SendReady();
  CHECK(node.account.empty());
  CHECK(Posted<raft::PersistFailed>(node));
  node.Turn(raft::Tick{});
  CHECK(node.driver->core().inspect().failed);
}

TEST_CASE("committed entries that the core no longer has are read from the log") {
  Surroundings node(ThreeWithLog(3));
  CHECK(node.Turn(raft::Tick{}) == "note, fetch, deadline");
  CHECK(node.fetch.first == 1);
  CHECK(node.fetch.last == 3);
  raft::Entries read;
  for (raft::Index i = 1; i <= 3; ++i) read.push_back({.term = 1, .index = i, .payload = raft::Payload("entry")});
  node.account.clear();
  node.driver->Fetched(node.fetch.fetch, true, read);
  CHECK(node.account == "apply");
  // Not the core's business.
  CHECK(node.events.empty());
  raft::Entries entries;
  REQUIRE(node.driver->TakeReady(&entries));
  CHECK(entries == read);
}

TEST_CASE("a committed entry that cannot be read takes the node out of service") {
  Surroundings node(ThreeWithLog(3));
  node.Turn(raft::Tick{});
  node.driver->Fetched(node.fetch.fetch, false, {});
  CHECK(node.driver->failed());
  CHECK(Posted<raft::PersistFailed>(node));
}

TEST_CASE("an install makes the state durable, empties the log, and only then tells the core") {
  Surroundings node(ThreeWithLog(3));
  node.Turn(raft::Tick{});
  CHECK(node.Turn(raft::Receive{SnapshotAt(9)}) == "note, hard state, install 9, deadline");
  raft::Entries entries;
  CHECK_FALSE(node.driver->TakeReady(&entries));
  node.account.clear();
  node.driver->StateInstalled(true);
  CHECK(node.account == "reset 9");
  CHECK(node.events.empty());
  node.driver->LogReset();
  REQUIRE(Posted<raft::SnapshotInstalled>(node));
  CHECK(std::get<raft::SnapshotInstalled>(node.events.front()).ok);
  // The read that was under way is of a log that is gone: its failure fails nothing.
  node.driver->Fetched(node.fetch.fetch, false, {});
  CHECK_FALSE(node.driver->failed());
  node.Turn(raft::Tick{});
  CHECK(node.driver->core().inspect().applied == 9);
}

TEST_CASE("after an install that changed nothing, what was committed goes on") {
  Surroundings node(ThreeWithLog(3));
  node.Turn(raft::Tick{});
  node.Turn(raft::Receive{SnapshotAt(9)});
  node.account.clear();
  node.driver->StateInstalled(false);
  CHECK(node.account.empty());
  REQUIRE(Posted<raft::SnapshotInstalled>(node));
  CHECK_FALSE(std::get<raft::SnapshotInstalled>(node.events.front()).ok);
  raft::Entries read;
  for (raft::Index i = 1; i <= 3; ++i) read.push_back({.term = 1, .index = i, .payload = raft::Payload("entry")});
  node.driver->Fetched(node.fetch.fetch, true, read);
  CHECK(node.account == "apply");
}

TEST_CASE("what the core itself wants to read is answered to the core") {
  Surroundings node(Three());
  node.driver->Fetched(12, true, {});
  CHECK(Posted<raft::EntriesFetched>(node));
}

}  // namespace bandb::cluster
