// ReadQueue: linearizable reads on their way, on a leader and on a follower.
//
// On the leader a read waits until the leader has committed an entry of its own term (before, it
// may not know how far its predecessors committed), then joins the next round, together with all
// others that wait; when a quorum has answered, it may be served at the commit index that the round
// began with. A follower asks the leader for the index, with one question for all reads that wait,
// each under a number never used before: an answer that was delayed can then not be taken for the
// answer to a later question. A question that is not answered soon is asked again under the next
// number, for all that have come meanwhile as well. Any of the answers will do for the reads that
// were there when it was asked for. On both, a read is served once the state machine has reached
// its index.
//
// Invariant: each read is in exactly one place and is answered once.
#ifndef BANDB_RAFT_READ_QUEUE_H_
#define BANDB_RAFT_READ_QUEUE_H_

#include <cstdint>
#include <vector>

#include "raft/output.h"
#include "raft/ring.h"
#include "raft/types/ids.h"

namespace bandb::raft {

class ReadQueue {
 public:
  // A read of this node (from == kNoNode, id is the caller's) or a question of a follower (id is
  // its number).
  struct Request {
    NodeId from = kNoNode;
    uint64_t id = 0;
  };
  struct Batch {
    uint64_t round = 0;
    Index index = 0;
    std::vector<Request> requests;
  };

  size_t pending() const { return pending_; }
  bool waiting() const { return !waiting_.empty(); }

  void Wait(Request request) {
    waiting_.push_back(request);
    ++pending_;
  }

  // Leader: whether a round was begun for reads and is not yet proved.
  bool round_under_way() const { return !batches_.empty(); }
  // All that wait join the round `round`, which begins at commit index `index`.
  void JoinRound(uint64_t round, Index index);
  // Takes the oldest batch whose round is at most `proved`; false if there is none.
  bool TakeProved(uint64_t proved, Batch* batch);

  // Follower: all that wait, and all that were asked for before and not answered, are asked for
  // under `number`.
  void Ask(uint64_t number, Nanos now);
  // Whether reads are asked for and not answered.
  bool asking() const { return !asked_for_.empty(); }
  // Of the latest question, while asking().
  Nanos asked_at() const { return questions_.back().at; }
  // Since when the oldest read is asked for, while asking().
  Nanos asking_since() const { return asked_for_.front().since; }
  bool Asked(uint64_t number) const;
  // The answer to `number`, which was Asked(): those that it was asked for may be served at
  // `index`.
  void Answered(uint64_t number, Index index);
  // Reads that are asked for since `latest` or longer are not going to be served.
  void Expire(Nanos latest, std::vector<ReadResult>* results);

  // A read of this node may be served at `index`.
  void Ready(uint64_t id, Index index, bool lease);
  // Moves the reads that `applied` is far enough for to `results`.
  void Serve(Index applied, std::vector<ReadResult>* results);
  // Everything that is not Ready is not going to be: the node's own to `results`, the questions of
  // others to `refused`.
  void Fail(std::vector<ReadResult>* results, std::vector<Request>* refused);

 private:
  size_t pending_ = 0;
  std::vector<Request> waiting_;
  Ring<Batch> batches_;
  // Reads that are asked for, and the questions that they are asked for by. Reads are counted since
  // the start; a question is for those before its `end`.
  struct AskedFor {
    Request request;
    Nanos since = 0;
  };
  struct Question {
    uint64_t number = 0;
    uint64_t end = 0;
    Nanos at = 0;
  };
  void DropQuestions();

  Ring<AskedFor> asked_for_;
  uint64_t asked_for_begin_ = 0;
  Ring<Question> questions_;
  // Ascending by index.
  Ring<ReadResult> ready_;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_READ_QUEUE_H_
