// RaftEvents: one node at the mercy of its surroundings, driven by a string of bytes.
//
// The bytes choose the events: messages with any fields, in any order, from members and strangers;
// completions late, out of step or for writes that never were; crashes; failing disks. The disk is
// modelled, so that what the core says to others can be held against what would survive. Only the
// caller's own duties are kept: a write is reported durable when it is.
//
// Checked after every output: the core's own invariants; term, commit and applied index never go
// back; an acknowledgement leaves only when what it acknowledges is on disk; one vote in a term,
// across crashes; an entry that was handed out for applying is never another one later; writes
// follow on each other; memory stays within the limits.
#ifndef BANDB_TEST_FUZZ_RAFT_EVENTS_H_
#define BANDB_TEST_FUZZ_RAFT_EVENTS_H_

#include <cstdint>
#include <map>
#include <string_view>

#include "base/coding.h"
#include "raft/core.h"
#include "raft/scripted_node.h"

namespace bandb::raft {

class RaftEvents {
 public:
  explicit RaftEvents(std::string_view bytes);
  // Runs to the end of the bytes. A violated check is an assertion.
  void Run();

 private:
  // 0 when the bytes are used up.
  uint64_t Byte();
  uint64_t Below(uint64_t limit) { return limit == 0 ? 0 : Byte() % limit; }
  // A number near `middle`, or, rarely, any number at all.
  uint64_t Near(uint64_t middle);

  void Start();
  void OneEvent();
  Message AnyMessage();
  Entry AnyEntry(Term term, Index index);
  void AddEntries(Message* message);
  Configuration AnyConfiguration(Index index);
  ChangeMembership AnyChange();
  void LyingCompletion();
  void PersistOne();
  void FinishInstall();
  void AnswerFetch();
  void Crash();
  void Step(Event event);
  // Steps what waits for it.
  void StepPosted();
  void TakeOutput();
  void CheckOutput(const Output& output);
  void Deliver(const Message& message);
  void CheckView();

  base::ByteReader bytes_;
  Options options_;
  Nanos now_ = 1;
  uint64_t starts_ = 0;
  ScriptedNode node_;
  std::map<Term, NodeId> votes_;
  std::map<Index, Term> applied_terms_;
  Inspect before_;
  // The latest session and round that were seen in a message to each peer, so that answers can be
  // made that fit.
  std::map<NodeId, Message> sent_;
};

}  // namespace bandb::raft

#endif  // BANDB_TEST_FUZZ_RAFT_EVENTS_H_
