// What time has to do with elections, and whose messages count at all.
#include <algorithm>
#include <limits>
#include <memory>

#include "raft/core.h"
#include "raft/types/configuration_codec.h"
#include "support/catch.h"

namespace bandb::raft {
namespace {

constexpr ClusterId kCluster = 7;
constexpr Nanos kTimeout = 1'000'000'000;

Options OptionsOf(uint64_t seed) {
  Options options;
  options.self = 1;
  options.cluster = kCluster;
  options.seed = seed;
  options.election_timeout_nanos = kTimeout;
  return options;
}

// A voter of three that ran before, in term 4, with two entries.
std::unique_ptr<Core> RestartedVoter(uint64_t seed, Nanos now) {
  Restart state = FirstStart(MakeConfiguration({1, 2, 3}));
  state.hard_state.term = 4;
  for (Index i = 1; i <= 2; ++i) REQUIRE_OK(state.AddEntry({.term = 4, .index = i, .payload = Payload("x")}));
  auto core = Core::Create(OptionsOf(seed), state, now);
  REQUIRE_OK(core.status());
  return *std::move(core);
}

Message VoteFrom(NodeId from, MessageKind kind, Term term) {
  Message message;
  message.kind = kind;
  message.cluster = kCluster;
  message.from = from;
  message.to = 1;
  message.term = term;
  message.index = 2;
  message.log_term = 4;
  message.round = 1;
  return message;
}

Nanos DeadlineOf(const Options& options) {
  Restart state = FirstStart(MakeConfiguration({1, 2, 3}));
  auto core = Core::Create(options, state, 0);
  REQUIRE_OK(core.status());
  Output output;
  (*core)->TakeOutput(&output);
  return output.next_deadline;
}

TEST_CASE("the seed alone decides when a node stands for election, anywhere within one election timeout", "[raft]") {
  Nanos earliest = std::numeric_limits<Nanos>::max();
  Nanos latest = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Nanos deadline = DeadlineOf(OptionsOf(seed));
    CHECK(DeadlineOf(OptionsOf(seed)) == deadline);
    CHECK(deadline >= kTimeout);
    CHECK(deadline < 2 * kTimeout);
    earliest = std::min(earliest, deadline);
    latest = std::max(latest, deadline);
  }
  CHECK(earliest < kTimeout + kTimeout / 20);
  CHECK(latest > 2 * kTimeout - kTimeout / 20);
}

TEST_CASE("each step below the highest priority puts an election off by half an election timeout", "[raft]") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Options options = OptionsOf(seed);
    const Nanos preferred = DeadlineOf(options);
    for (uint32_t steps = 1; steps <= kPriorityMax; ++steps) {
      options.priority = kPriorityMax - steps;
      CHECK(DeadlineOf(options) == preferred + kTimeout / 2 * static_cast<Nanos>(steps));
    }
  }
}

TEST_CASE("a restarted voter is quiet for one election timeout and asks for votes before the second is over",
          "[raft]") {
  // Keeping a promise that may have been given is one thing. Waiting for longer than that keeps a
  // cluster waiting.
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Nanos started = 77;
    const auto core = RestartedVoter(seed, started);
    Output output;
    core->TakeOutput(&output);
    CHECK(output.next_deadline >= started + kTimeout);
    REQUIRE(output.next_deadline < started + 2 * kTimeout);
    core->Step(output.next_deadline, Tick{});
    core->TakeOutput(&output);
    REQUIRE(output.messages.size() == 2);
    CHECK(output.messages[0].message.kind == MessageKind::kPreVote);
  }
}

TEST_CASE("a restarted voter votes again once its promise is over", "[raft]") {
  const auto core = RestartedVoter(1, 0);
  CHECK_FALSE(core->Step(kTimeout - 1, Receive{VoteFrom(2, MessageKind::kVote, 5)}).ok());
  CHECK(core->inspect().term == 4);
  CHECK(core->Step(kTimeout, Receive{VoteFrom(2, MessageKind::kVote, 5)}).ok());
  CHECK(core->inspect().vote == 2);
}

TEST_CASE("a promise to a leader ends with its silence, not only with another leader", "[raft]") {
  const auto core = RestartedVoter(1, 0);
  Message heartbeat = VoteFrom(3, MessageKind::kAppend, 4);
  REQUIRE(core->Step(kTimeout, Receive{heartbeat}).ok());
  CHECK(core->inspect().leader == 3);
  Output output;
  core->TakeOutput(&output);
  REQUIRE(core->Step(2 * kTimeout - 1, Receive{VoteFrom(2, MessageKind::kPreVote, 5)}).ok());
  core->TakeOutput(&output);
  REQUIRE(output.messages.size() == 1);
  CHECK(output.messages[0].message.reject);
  REQUIRE(core->Step(2 * kTimeout, Receive{VoteFrom(2, MessageKind::kPreVote, 5)}).ok());
  core->TakeOutput(&output);
  REQUIRE(output.messages.size() == 1);
  CHECK_FALSE(output.messages[0].message.reject);
}

TEST_CASE("messages of another cluster, group or version, or for another node, change nothing", "[raft]") {
  const auto core = RestartedVoter(1, 0);
  Output output;
  core->TakeOutput(&output);
  const auto refused = [&](const Message& message) {
    CHECK_FALSE(core->Step(2 * kTimeout, Receive{message}).ok());
    core->TakeOutput(&output);
    CHECK(output.messages.empty());
    CHECK(core->inspect().term == 4);
  };
  for (MessageKind kind : {MessageKind::kVote, MessageKind::kAppend, MessageKind::kTimeoutNow}) {
    const Message good = VoteFrom(2, kind, 9);
    Message message = good;
    message.cluster = kCluster + 1;
    refused(message);
    message = good;
    message.group = 1;
    refused(message);
    message = good;
    message.version = kProtocolVersion + 1;
    refused(message);
    message = good;
    message.to = 3;
    refused(message);
  }
  CHECK(core->Step(2 * kTimeout, Receive{VoteFrom(2, MessageKind::kVote, 9)}).ok());
  CHECK(core->inspect().term == 9);
}

// What a voter of three that ran before says to node 3, which is to be removed by entry 3 and, if
// `comes_back`, to be added by entry 4; the first of them alone is committed.
Index HintToRemoved(bool comes_back) {
  Restart state = FirstStart(MakeConfiguration({1, 2, 3}));
  state.hard_state.term = 4;
  state.hard_state.commit = 3;
  for (Index i = 1; i <= 2; ++i) REQUIRE_OK(state.AddEntry({.term = 4, .index = i, .payload = Payload("x")}));
  for (Index i = 3; i <= (comes_back ? Index{4} : Index{3}); ++i) {
    Configuration next = i == 3 ? MakeConfiguration({1, 2}) : MakeConfiguration({1, 2, 3});
    next.version = i;
    next.index = i;
    std::string bytes;
    EncodeConfiguration(next, &bytes);
    REQUIRE_OK(state.AddEntry({.term = 4, .index = i, .kind = EntryKind::kConfiguration, .payload = Payload(bytes)}));
  }
  auto core = Core::Create(OptionsOf(1), state, 0);
  REQUIRE_OK(core.status());
  REQUIRE((*core)->Step(3 * kTimeout, Receive{VoteFrom(3, MessageKind::kPreVote, 5)}).ok());
  Output output;
  (*core)->TakeOutput(&output);
  REQUIRE(output.messages.size() == 1);
  CHECK(output.messages[0].message.reject);
  return output.messages[0].message.hint;
}

// Else it would rest, and a group that needs it, as after a lost quorum, would never go on.
TEST_CASE("a removed node is told so, but for one that the latest configuration has again", "[raft]") {
  CHECK(HintToRemoved(false) == 3);
  CHECK(HintToRemoved(true) == 0);
}

TEST_CASE("a follower whose write failed takes part in nothing more", "[raft]") {
  const auto core = RestartedVoter(1, 0);
  Output output;
  Message append = VoteFrom(3, MessageKind::kAppend, 4);
  append.entries.push_back({.term = 4, .index = 3, .payload = Payload("y")});
  REQUIRE(core->Step(kTimeout, Receive{append}).ok());
  core->TakeOutput(&output);
  REQUIRE(output.log.has_value());
  REQUIRE(core->Step(kTimeout, PersistFailed{}).ok());
  CHECK(core->inspect().failed);
  // Not even what is said to be durable after all is believed.
  CHECK_FALSE(core->Step(kTimeout, LogPersisted{output.log->write, 4, 3}).ok());
  CHECK_FALSE(core->Step(kTimeout, Receive{append}).ok());
  CHECK_FALSE(core->Step(9 * kTimeout, Receive{VoteFrom(2, MessageKind::kVote, 9)}).ok());
  CHECK_FALSE(core->Step(9 * kTimeout, Campaign{}).ok());
  core->TakeOutput(&output);
  CHECK(output.messages.empty());
  CHECK_FALSE(output.log.has_value());
  CHECK_FALSE(output.hard_state.has_value());
}

// Steps at each deadline until `until`, with every vote and pre-vote granted at once; nothing of
// what is to be written ever is. How often votes were asked for.
int CampaignsOnHungDisk(Core* core, Nanos until) {
  int campaigns = 0;
  Output output;
  core->TakeOutput(&output);
  while (output.next_deadline <= until) {
    const Nanos now = output.next_deadline;
    core->Step(now, Tick{});
    for (int i = 0; i < 2; ++i) {
      core->TakeOutput(&output);
      for (const Outgoing& sent : output.messages) {
        const bool pre = sent.message.kind == MessageKind::kPreVote;
        if (!pre && sent.message.kind != MessageKind::kVote) continue;
        campaigns += pre || sent.message.to != 2 ? 0 : 1;
        Message grant =
            VoteFrom(sent.message.to, pre ? MessageKind::kPreVoteReply : MessageKind::kVoteReply, sent.message.term);
        grant.round = sent.message.round;
        core->Step(now, Receive{grant});
      }
    }
  }
  return campaigns;
}

TEST_CASE("a node whose vote does not reach the disk stands once, and leaves the rest to others", "[raft]") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto core = RestartedVoter(seed, 0);
    CHECK(CampaignsOnHungDisk(core.get(), 100 * kTimeout) == 1);
    CHECK(core->inspect().role == Role::kCandidate);
    CHECK(core->inspect().term == 5);
    CHECK_FALSE(core->Step(100 * kTimeout, Campaign{}).ok());
    // Others are elected with its silence.
    CHECK(core->Step(100 * kTimeout, Receive{VoteFrom(3, MessageKind::kAppend, 6)}).ok());
    CHECK(core->inspect().leader == 3);
  }
}

TEST_CASE("a node whose vote does not reach the disk takes no bid to lead", "[raft]") {
  const auto core = RestartedVoter(1, 0);
  REQUIRE(core->Step(kTimeout, Receive{VoteFrom(2, MessageKind::kVote, 5)}).ok());
  Output output;
  core->TakeOutput(&output);
  REQUIRE(output.hard_state.has_value());
  Message bid = VoteFrom(2, MessageKind::kTimeoutNow, 5);
  CHECK_FALSE(core->Step(2 * kTimeout, Receive{bid}).ok());
  core->TakeOutput(&output);
  REQUIRE(output.messages.size() == 1);
  CHECK(output.messages[0].message.kind == MessageKind::kTimeoutNowReply);
  REQUIRE(core->Step(2 * kTimeout, HardStatePersisted{1}).ok());
  CHECK(core->Step(2 * kTimeout, Receive{bid}).ok());
  CHECK(core->inspect().role == Role::kCandidate);
}

TEST_CASE("the only voter of a group leads at once after a restart, whoever learns beside it", "[raft]") {
  const auto quiet = [](const std::vector<NodeId>& voters, Index commit) {
    Restart state = FirstStart(MakeConfiguration(voters, {7, 8}));
    state.hard_state.term = 4;
    state.hard_state.commit = commit;
    for (Index i = 1; i <= 2; ++i) REQUIRE_OK(state.AddEntry({.term = 4, .index = i, .payload = Payload("x")}));
    auto core = *Core::Create(OptionsOf(1), state, 77);
    Output output;
    core->TakeOutput(&output);
    core->Step(output.next_deadline, Tick{});
    core->TakeOutput(&output);
    return output.hard_state.has_value() ? output.hard_state->state.vote : kNoNode;
  };
  CHECK(quiet({1}, 0) == 1);
  CHECK(quiet({1, 2}, 2) == kNoNode);
}

}  // namespace
}  // namespace bandb::raft
