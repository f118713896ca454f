// ScriptedCluster: some nodes, their disks, and the messages between them, moved one step at a time
// by commands, with an account of everything that comes out. The transcripts of test/data/raft are
// made of it.
//
// Nothing happens by itself: a write reaches the disk, a message its receiver and an entry the
// state machine only when a command says so. Time is virtual and in milliseconds; the election
// timeout is 1000, a heartbeat 100.
//
// Commands (N, M: node ids; I: an index):
//   start 1 2 3 [learners=4] [option=value]...   first members, and the options of all nodes from now on
//   join N                                       a node that knows of nobody
//   campaign N | propose N text | read N id | capacity N full|free | unreachable N M
//   change N add-learner M | add-voter M | promote M | demote M | remove M | replace M L | several, comma-separated
//          [version=V]
//   transfer N M                                 0: to the best
//   persist N [count]                            the oldest writes, all if no count
//   fail N                                       a write fails
//   apply N | install N [fail] | answer N [fail|lost] (what was asked of the log)
//   snapshot N I                                 the state machine is durable up to I; of a node that is down, too
//   deliver [from=N] [to=M] [kind=K] [count=C]   messages, in order; also: drop, duplicate
//   cut N M | isolate N | heal                   links, both ways; what is under way on them is lost
//   elapse MS                                    time passes; each node ticks when it asked to
//   run MS                                       the same, and everything else happens at once; prints nothing
//   stabilize [N]...                             everything happens until nothing is left to (on these nodes)
//   settle                                       the same; prints nothing
//   crash N | restart N                          what was not persisted is lost
//   preset N TERM T1 T2 ...                      while it is down: its term and the terms of its entries
//   status | log N | disk N | peers N | network
#ifndef BANDB_TEST_RAFT_SCRIPTED_CLUSTER_H_
#define BANDB_TEST_RAFT_SCRIPTED_CLUSTER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "raft/core.h"
#include "raft/scripted_node.h"

namespace bandb::raft {

class ScriptedCluster {
 public:
  // Runs one command line and returns the account of it; "?" and a reason if it makes no sense.
  std::string Run(const std::string& line);
  // The first invariant that a core reported as violated, or that the nodes violated together;
  // empty if none.
  const std::string& violation() const { return violation_; }

 private:
  struct Node : ScriptedNode {
    Node(NodeId node_id, Hooks hooks) : ScriptedNode(std::move(hooks)), id(node_id) {}

    NodeId id;
    // Applied when it last ran; and the state machine is durable up to here.
    Index applied = 0;
    Index snapshot = 0;
    uint64_t starts = 0;
  };
  using Words = std::vector<std::string>;

  void Start(const Words& words);
  void StartNode(Node* node);
  void Step(Node* node, Event event, const std::string& what);
  // Steps what waits for it, which `what` explains.
  void StepPosted(Node* node, const std::string& what);
  void TakeOutput(Node* node);
  // Before the driver does what `output` says.
  void Take(const Output& output);
  void Persist(Node* node, size_t count);
  void Fail(Node* node);
  void Apply(Node* node);
  void Install(Node* node, bool ok);
  void Answer(Node* node, bool ok, bool lost = false);
  void Snapshot(Node* node, Index index);
  void Change(Node* node, const Words& words);
  void Preset(Node* node, const Words& words);
  void Network(const Words& words);
  void DeliverOne(Message message);
  void Elapse(Nanos until, bool settle);
  bool StabilizeOnce(const std::set<NodeId>& nodes);
  void Stabilize(const std::set<NodeId>& nodes);
  bool RunOnNode(const Words& words);
  bool RunOnCluster(const Words& words);
  void Show(const Words& words);
  void Check(const Node& node);
  Node* Add(NodeId id);
  Node* Find(NodeId id);
  bool Cut(NodeId a, NodeId b) const;
  void Say(const std::string& text);

  Options options_;
  Nanos now_ = 0;
  std::map<NodeId, Node> nodes_;
  std::vector<Message> network_;
  std::set<std::pair<NodeId, NodeId>> cut_;
  bool silent_ = false;
  std::string account_;
  std::string violation_;
  // By the output that is being done.
  Committed committing_;
  // What was ever committed, by anybody, and who led which term.
  std::map<Index, Entry> committed_;
  std::map<Term, NodeId> leaders_;
};

}  // namespace bandb::raft

#endif  // BANDB_TEST_RAFT_SCRIPTED_CLUSTER_H_
