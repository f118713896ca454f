// What a core is started from, and the recovery of a lost quorum.
#include "raft/restart.h"

#include <string>

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

TEST_CASE("after the loss of a quorum the best survivor alone adds one entry, and all agree on it", "[raft]") {
  const Restart one = ThreeVoters(4, 7);
  LostQuorum lost;
  lost.survivors = {{1, 4, 7, 4}};
  lost.new_cluster = 99;
  const auto recovery = RecoverLostQuorum(one, 1, 0, 7, lost);
  REQUIRE_OK(recovery.status());
  REQUIRE(recovery->entry.has_value());
  CHECK(recovery->entry->index == 8);
  CHECK(recovery->entry->term == 5);
  CHECK(recovery->hard_state.term == 5);
  CHECK(recovery->hard_state.vote == 1);
  Configuration forced;
  REQUIRE(DecodeConfiguration(recovery->entry->payload.bytes(), &forced));
  CHECK(forced.members.size() == 1);
  CHECK(forced.Votes(1));
  CHECK(forced.version == 2);
}

TEST_CASE("the recovery of a quorum is refused where there is one, and where positions are not what they are",
          "[raft]") {
  const Restart one = ThreeVoters(4, 7);
  LostQuorum lost;
  lost.new_cluster = 99;
  lost.survivors = {{1, 4, 7, 4}, {2, 4, 6, 4}};
  CHECK_CODE(RecoverLostQuorum(one, 1, 0, 7, lost).status(), kFailedPrecondition);
  lost.survivors = {{1, 4, 6, 4}};
  CHECK_CODE(RecoverLostQuorum(one, 1, 0, 7, lost).status(), kInvalidArgument);
  lost.survivors = {{9, 4, 7, 4}};
  CHECK_CODE(RecoverLostQuorum(one, 1, 0, 7, lost).status(), kFailedPrecondition);
  lost.survivors = {{1, 4, 7, 4}};
  lost.new_cluster = 7;
  CHECK_CODE(RecoverLostQuorum(one, 1, 0, 7, lost).status(), kInvalidArgument);
}

TEST_CASE("of two survivors only the better one adds the entry", "[raft]") {
  Restart state = FirstStart(MakeConfiguration({1, 2, 3, 4, 5}));
  state.hard_state.term = 4;
  for (Index i = 1; i <= 6; ++i) REQUIRE_OK(state.AddEntry(Data(i, 4)));
  LostQuorum lost;
  lost.new_cluster = 99;
  lost.survivors = {{1, 4, 7, 4}, {2, 4, 6, 4}};
  const auto worse = RecoverLostQuorum(state, 2, 0, 7, lost);
  REQUIRE_OK(worse.status());
  CHECK_FALSE(worse->entry.has_value());
  CHECK(worse->hard_state == state.hard_state);
  CHECK(worse->cluster == 99);
}

TEST_CASE("the best survivor is the one whose log ends in the latest term, be it shorter or not", "[raft]") {
  Restart state = FirstStart(MakeConfiguration({1, 2, 3, 4, 5}));
  state.hard_state.term = 6;
  REQUIRE_OK(state.AddEntry(Data(1, 6)));
  LostQuorum lost;
  lost.new_cluster = 99;
  lost.survivors = {{1, 6, 1, 6}, {2, 5, 9, 8}};
  const auto shorter = RecoverLostQuorum(state, 1, 0, 7, lost);
  REQUIRE_OK(shorter.status());
  REQUIRE(shorter->entry.has_value());
  CHECK(shorter->entry->index == 2);
  // Above the terms of both, since node 2 may have voted in term 8.
  CHECK(shorter->entry->term == 9);
  CHECK(shorter->hard_state.term == 9);
}

}  // namespace
}  // namespace bandb::raft
