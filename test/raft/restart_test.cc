// What a core is started from, and the recovery of a lost quorum.
#include "raft/restart.h"

#include <string>
#include <utility>
#include <vector>

#include "raft/core.h"
#include "raft/types/configuration_codec.h"
#include "support/catch.h"

namespace bandb::raft {
namespace {

Entry Data(Index index, Term term) { return {.term = term, .index = index, .payload = Payload("x")}; }

Restart ThreeVoters(Term term, Index last) {
  Restart state = FirstStart(MakeConfiguration({1, 2, 3}));
  state.hard_state.term = term;
  for (Index i = 1; i <= last; ++i) REQUIRE_OK(state.AddEntry(Data(i, term)));
  return state;
}

TEST_CASE("a log on disk that is no log is refused", "[raft]") {
  Restart state;
  REQUIRE_OK(state.AddEntry(Data(1, 2)));
  CHECK_CODE(state.AddEntry(Data(3, 2)), kDataLoss);
  CHECK_CODE(state.AddEntry(Data(2, 1)), kDataLoss);
  Entry configuration = Data(2, 2);
  configuration.kind = EntryKind::kConfiguration;
  CHECK_CODE(state.AddEntry(configuration), kDataLoss);
}

TEST_CASE("a log that has come to where no other follows is refused", "[raft]") {
  Options options;
  options.self = 1;
  Restart state = FirstStart(MakeConfiguration({1}));
  state.floor.index = state.applied = state.hard_state.commit = UINT64_MAX;
  state.floor.term = state.hard_state.term = 1;
  CHECK_CODE(Core::Create(options, state, 0).status(), kDataLoss);
}

TEST_CASE("state that is older or newer than its log is refused", "[raft]") {
  Options options;
  options.self = 1;
  Restart ahead = ThreeVoters(1, 3);
  ahead.applied = 4;
  ahead.tail_costs.clear();
  const absl::Status newer = Core::Create(options, ahead, 0).status();
  CHECK_CODE(newer, kDataLoss);
  CHECK(newer.ToString().find("but the log ends at 3") != std::string::npos);
  // A state machine that has applied nothing is no exception: it may have been wiped.
  for (Index applied : {Index{0}, Index{1}}) {
    Restart behind = FirstStart(MakeConfiguration({1, 2, 3}));
    behind.hard_state.term = 1;
    behind.floor.index = 2;
    behind.floor.term = 1;
    behind.applied = applied;
    REQUIRE_OK(behind.AddEntry(Data(3, 1)));
    const absl::Status older = Core::Create(options, behind, 0).status();
    CHECK_CODE(older, kDataLoss);
    CHECK(older.ToString().find("but the log begins after 2") != std::string::npos);
  }
}

TEST_CASE("a log of a later term than the hard state starts the node in that term, without a vote", "[raft]") {
  // The entries reached the disk before the term did, and then the node crashed.
  Options options;
  options.self = 1;
  Restart state = ThreeVoters(5, 3);
  state.hard_state.term = 4;
  state.hard_state.vote = 2;
  const auto core = Core::Create(options, state, 0);
  REQUIRE_OK(core.status());
  CHECK((*core)->inspect().term == 5);
  CHECK((*core)->inspect().vote == kNoNode);
  CHECK((*core)->inspect().durable_term == 4);
  Output output;
  (*core)->TakeOutput(&output);
  REQUIRE(output.hard_state.has_value());
  CHECK(output.hard_state->state.term == 5);
}

TEST_CASE("what is stored as committed is durable already, since either write may reach the disk alone", "[raft]") {
  // Entry 2 of term 1 is replaced by one of term 2, which is committed. If the commit index reached
  // the disk and the entry did not, a restart would find entry 2 of term 1 there and believe that
  // it is committed.
  Options options;
  options.self = 1;
  options.cluster = 7;
  auto core = Core::Create(options, ThreeVoters(1, 2), 0);
  REQUIRE_OK(core.status());
  Message append;
  append.cluster = 7;
  append.from = 2;
  append.to = 1;
  append.term = 2;
  append.index = 1;
  append.log_term = 1;
  append.commit = 2;
  append.entries.push_back(Data(2, 2));
  CHECK((*core)->Step(1, Receive{append}).ok());
  Output output;
  (*core)->TakeOutput(&output);
  CHECK((*core)->inspect().commit == 2);
  REQUIRE(output.hard_state.has_value());
  CHECK(output.hard_state->state.commit == 1);
  REQUIRE(output.log.has_value());
  CHECK(output.log->commit == 1);
}

TEST_CASE("a log that ends before what is stored as committed has lost something, and is refused", "[raft]") {
  Options options;
  options.self = 1;
  Restart state = FirstStart(MakeConfiguration({1, 2, 3}));
  state.hard_state.term = 4;
  state.hard_state.commit = 6;
  for (Index i = 1; i <= 5; ++i) REQUIRE_OK(state.AddEntry(Data(i, 4)));
  const absl::Status status = Core::Create(options, state, 0).status();
  CHECK_CODE(status, kDataLoss);
  CHECK(status.ToString().find("committed up to 6, but the log ends at 5") != std::string::npos);
  REQUIRE_OK(state.AddEntry(Data(6, 4)));
  CHECK_OK(Core::Create(options, state, 0).status());
}

// ---- A lost quorum. ----

// A node whose log has `last` entries of `term`, after it was started with `configuration`.
Restart Survivor(const Configuration& configuration, Term term, Index last) {
  Restart state = FirstStart(configuration);
  state.hard_state.term = term;
  for (Index i = 1; i <= last; ++i) REQUIRE_OK(state.AddEntry(Data(i, term)));
  return state;
}

// The next entry of its log is `configuration`, in the last term.
void AddConfiguration(Configuration configuration, Restart* state) {
  configuration.version = 2;
  configuration.index = state->last_index + 1;
  std::string bytes;
  EncodeConfiguration(configuration, &bytes);
  REQUIRE_OK(state->AddEntry({.term = state->last_term(),
                              .index = configuration.index,
                              .kind = EntryKind::kConfiguration,
                              .payload = Payload(bytes)}));
}

LostQuorum ListOf(const std::vector<std::pair<NodeId, const Restart*>>& survivors) {
  LostQuorum lost;
  lost.new_cluster = 99;
  for (const auto& [node, state] : survivors) lost.survivors.push_back(PositionOf(*state, node));
  return lost;
}

Configuration ForcedBy(const QuorumRecovery& recovery) {
  Configuration forced;
  REQUIRE(recovery.entry.has_value());
  REQUIRE(DecodeConfiguration(recovery.entry->payload.bytes(), &forced));
  return forced;
}

TEST_CASE("after the loss of a quorum the best survivor alone adds one entry, and all agree on it", "[raft]") {
  const Restart one = Survivor(MakeConfiguration({1, 2, 3}), 4, 7);
  const auto recovery = RecoverLostQuorum(one, 1, 0, 7, ListOf({{1, &one}}));
  REQUIRE_OK(recovery.status());
  const Configuration forced = ForcedBy(*recovery);
  CHECK(recovery->entry->index == 8);
  CHECK(recovery->entry->term == 5);
  CHECK(recovery->hard_state.term == 5);
  CHECK(recovery->hard_state.vote == 1);
  CHECK(recovery->new_voters.empty());
  CHECK(forced.members.size() == 1);
  CHECK(forced.Votes(1));
  CHECK(forced.version == 2);
}

TEST_CASE("the recovery of a quorum is refused where there is one, and where positions are not what they are",
          "[raft]") {
  const Configuration members = MakeConfiguration({1, 2, 3});
  const Restart one = Survivor(members, 4, 7);
  const Restart two = Survivor(members, 4, 6);
  CHECK_CODE(RecoverLostQuorum(one, 1, 0, 7, ListOf({{1, &one}, {2, &two}})).status(), kFailedPrecondition);
  const LostQuorum good = ListOf({{1, &one}});
  LostQuorum wrong = good;
  wrong.survivors[0].last_index = 6;
  CHECK_CODE(RecoverLostQuorum(one, 1, 0, 7, wrong).status(), kInvalidArgument);
  wrong = good;
  wrong.survivors[0].configuration = MakeConfiguration({1, 2});
  CHECK_CODE(RecoverLostQuorum(one, 1, 0, 7, wrong).status(), kInvalidArgument);
  wrong.survivors.clear();
  CHECK_CODE(RecoverLostQuorum(one, 1, 0, 7, wrong).status(), kInvalidArgument);
  CHECK_CODE(RecoverLostQuorum(one, 1, 0, 7, ListOf({{1, &one}, {1, &one}})).status(), kInvalidArgument);
  // A node that belongs to nothing that it knows of.
  CHECK_CODE(RecoverLostQuorum(one, 1, 0, 7, ListOf({{1, &one}, {9, &one}})).status(), kFailedPrecondition);
  wrong = good;
  wrong.new_cluster = 7;
  CHECK_CODE(RecoverLostQuorum(one, 1, 0, 7, wrong).status(), kInvalidArgument);
}

TEST_CASE("of two survivors only the better one adds the entry", "[raft]") {
  const Configuration members = MakeConfiguration({1, 2, 3, 4, 5});
  const Restart one = Survivor(members, 4, 7);
  const Restart two = Survivor(members, 4, 6);
  const auto worse = RecoverLostQuorum(two, 2, 0, 7, ListOf({{1, &one}, {2, &two}}));
  REQUIRE_OK(worse.status());
  CHECK_FALSE(worse->entry.has_value());
  CHECK(worse->hard_state == two.hard_state);
  CHECK(worse->cluster == 99);
}

TEST_CASE("the best survivor is the one whose log ends in the latest term, be it shorter or not", "[raft]") {
  const Configuration members = MakeConfiguration({1, 2, 3, 4, 5});
  const Restart shorter = Survivor(members, 6, 1);
  Restart longer = Survivor(members, 5, 9);
  longer.hard_state.term = 8;
  const auto recovery = RecoverLostQuorum(shorter, 1, 0, 7, ListOf({{1, &shorter}, {2, &longer}}));
  REQUIRE_OK(recovery.status());
  REQUIRE(recovery->entry.has_value());
  CHECK(recovery->entry->index == 2);
  // Above the terms of both, since node 2 may have voted in term 8.
  CHECK(recovery->entry->term == 9);
  CHECK(recovery->hard_state.term == 9);
}

TEST_CASE("a survivor that has missed a change takes the list that the others take", "[raft]") {
  // Node 4 was being added as a voter when 1 and 3 were lost; node 2 has not got that entry.
  Configuration added = MakeConfiguration({1, 2, 3}, {4});
  added.members[3].promote = true;
  added.members[3].address = "four";
  const Restart two = Survivor(MakeConfiguration({1, 2, 3}), 4, 5);
  Restart four = Survivor(MakeConfiguration({1, 2, 3}), 4, 5);
  AddConfiguration(added, &four);
  const LostQuorum lost = ListOf({{2, &two}, {4, &four}});
  const auto behind = RecoverLostQuorum(two, 2, 0, 7, lost);
  const auto best = RecoverLostQuorum(four, 4, 0, 7, lost);
  REQUIRE_OK(behind.status());
  REQUIRE_OK(best.status());
  CHECK_FALSE(behind->entry.has_value());
  const Configuration forced = ForcedBy(*best);
  CHECK(forced.members.size() == 2);
  CHECK(forced.Votes(2));
  CHECK(forced.Votes(4));
  CHECK(forced.Find(4)->address == "four");
  // Both say to the operator that the learner votes from now on.
  CHECK(behind->new_voters == std::vector<NodeId>{4});
  CHECK(best->new_voters == std::vector<NodeId>{4});
}

TEST_CASE("a survivor that the best of them does not know comes with the address that it has of itself", "[raft]") {
  // The entry that added node 4 was overtaken by a term in which nobody knew of it.
  Configuration added = MakeConfiguration({1, 2, 3}, {4});
  added.members[3].address = "four";
  const Restart two = Survivor(MakeConfiguration({1, 2, 3}), 5, 5);
  Restart four = Survivor(MakeConfiguration({1, 2, 3}), 4, 5);
  AddConfiguration(added, &four);
  const auto best = RecoverLostQuorum(two, 2, 0, 7, ListOf({{4, &four}, {2, &two}}));
  REQUIRE_OK(best.status());
  const Configuration forced = ForcedBy(*best);
  REQUIRE(forced.Find(4) != nullptr);
  CHECK(forced.Find(4)->address == "four");
  CHECK(best->new_voters == std::vector<NodeId>{4});
}

TEST_CASE("survivors are a quorum if one of them would be elected by those whose logs are no better", "[raft]") {
  // 3 and 4 are a quorum of what they know. Node 2 has begun a change to more voters, and that is
  // not decided: 3 and 4 need no recovery, and would be a second group if there were one.
  Configuration more = MakeConfiguration({2, 3, 4, 5, 6, 7, 8});
  for (NodeId id : {3, 4, 5}) const_cast<Member*>(more.Find(id))->outgoing = true;
  more.auto_leave = true;
  Restart two = Survivor(MakeConfiguration({3, 4, 5}, {2}), 4, 5);
  AddConfiguration(more, &two);
  const Restart three = Survivor(MakeConfiguration({3, 4, 5}, {2}), 4, 5);
  const LostQuorum all = ListOf({{2, &two}, {3, &three}, {4, &three}});
  CHECK_CODE(RecoverLostQuorum(two, 2, 0, 7, all).status(), kFailedPrecondition);
  CHECK_CODE(RecoverLostQuorum(three, 3, 0, 7, all).status(), kFailedPrecondition);
  // Node 3 alone with the better log of 2 is no quorum, although 2 and 3 are two of {2, 3, 4}.
  const Restart old = Survivor(MakeConfiguration({2, 3, 4}), 4, 4);
  Restart newer = Survivor(MakeConfiguration({2, 3, 4}), 4, 5);
  AddConfiguration(more, &newer);
  const LostQuorum stuck = ListOf({{2, &newer}, {3, &old}});
  CHECK_OK(RecoverLostQuorum(newer, 2, 0, 7, stuck).status());
  CHECK_OK(RecoverLostQuorum(old, 3, 0, 7, stuck).status());
}

}  // namespace
}  // namespace bandb::raft
