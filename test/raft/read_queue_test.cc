// Where a read waits, and that it is answered once.
#include "raft/read_queue.h"

#include <vector>

#include "support/catch.h"

namespace bandb::raft {
namespace {

using absl::StatusCode;

TEST_CASE("reads that wait share the next round, and later ones wait for another", "[raft]") {
  ReadQueue reads;
  reads.Wait({kNoNode, 1});
  reads.Wait({7, 2});
  reads.JoinRound(5, 30);
  reads.Wait({kNoNode, 3});
  CHECK(reads.round_under_way());
  CHECK(reads.waiting());
  CHECK(reads.pending() == 3);
  ReadQueue::Batch batch;
  CHECK_FALSE(reads.TakeProved(4, &batch));
  REQUIRE(reads.TakeProved(5, &batch));
  CHECK(batch.index == 30);
  REQUIRE(batch.requests.size() == 2);
  CHECK(batch.requests[0].id == 1);
  CHECK(batch.requests[1].from == 7);
  CHECK_FALSE(reads.TakeProved(9, &batch));
  CHECK(reads.pending() == 1);
}

TEST_CASE("a read is served when the state machine has reached its index, and not before", "[raft]") {
  ReadQueue reads;
  std::vector<ReadResult> results;
  reads.Ready(1, 10, false);
  // Of another leader, which knew of less: it waits for the larger index, since it came later.
  reads.Ready(2, 8, false);
  reads.Serve(9, &results);
  CHECK(results.empty());
  reads.Serve(10, &results);
  REQUIRE(results.size() == 2);
  CHECK(results[0].id == 1);
  CHECK(results[1].id == 2);
  CHECK(results[1].index == 10);
  CHECK(reads.pending() == 0);
}

TEST_CASE("only the answer to the latest question of a follower counts", "[raft]") {
  ReadQueue reads;
  std::vector<ReadResult> results;
  reads.Wait({kNoNode, 1});
  reads.Ask(100, 5);
  reads.Answered(99, 3);
  reads.Serve(50, &results);
  CHECK(results.empty());
  reads.Answered(100, 3);
  reads.Serve(50, &results);
  REQUIRE(results.size() == 1);
  CHECK(results[0].code == StatusCode::kOk);
  reads.Answered(100, 3);
  reads.Serve(50, &results);
  CHECK(results.size() == 1);
}

TEST_CASE("what is not ready fails, the questions of others are refused, and what is ready stays", "[raft]") {
  ReadQueue reads;
  std::vector<ReadResult> results;
  std::vector<ReadQueue::Request> refused;
  reads.Ready(1, 10, false);
  reads.Wait({kNoNode, 2});
  reads.JoinRound(1, 4);
  reads.Wait({9, 3});
  reads.Fail(&results, &refused);
  REQUIRE(results.size() == 1);
  CHECK(results[0].id == 2);
  CHECK(results[0].code == StatusCode::kUnavailable);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].from == 9);
  CHECK(reads.pending() == 1);
  results.clear();
  reads.Serve(10, &results);
  REQUIRE(results.size() == 1);
  CHECK(results[0].id == 1);
}

}  // namespace
}  // namespace bandb::raft
