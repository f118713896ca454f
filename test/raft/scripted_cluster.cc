#include "raft/scripted_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/assert.h"
#include "raft/describe.h"

namespace bandb::raft {
namespace {

constexpr Nanos kMillisecond = 1'000'000;

uint64_t Number(const std::string& word) { return std::strtoull(word.c_str(), nullptr, 10); }

// The value of "name=value" among the words, or the default.
std::string Named(const std::vector<std::string>& words, const std::string& name, const std::string& otherwise = "") {
  for (const std::string& word : words) {
    if (word.rfind(name + "=", 0) == 0) return word.substr(name.size() + 1);
  }
  return otherwise;
}

std::vector<NodeId> NodeList(const std::string& list) {
  std::vector<NodeId> ids;
  std::stringstream stream(list);
  for (std::string id; std::getline(stream, id, ',');) ids.push_back(Number(id));
  return ids;
}

bool SetOption(const std::string& name, uint64_t value, Options* options) {
  if (name == "message-bytes")
    options->message_bytes_max = value;
  else if (name == "inflight-messages")
    options->inflight_messages_max = static_cast<uint32_t>(value);
  else if (name == "inflight-bytes")
    options->inflight_bytes_max = value;
  else if (name == "uncommitted-bytes")
    options->uncommitted_bytes_max = value;
  else if (name == "cached-bytes")
    options->cached_bytes_max = value;
  else if (name == "retained")
    options->retained_log_bytes = value;
  else if (name == "commit-delay")
    options->commit_delay_nanos = static_cast<Nanos>(value) * kMillisecond;
  else if (name == "promotion-lag")
    options->promotion_lag_entries = value;
  else if (name == "lease")
    options->lease_reads = value != 0;
  else if (name == "stall")
    options->disk_stall_timeout_nanos = static_cast<Nanos>(value) * kMillisecond;
  else
    return false;
  return true;
}

}  // namespace

void ScriptedCluster::Say(const std::string& text) {
  if (!silent_) account_ += text;
}

ScriptedCluster::Node* ScriptedCluster::Find(NodeId id) {
  auto it = nodes_.find(id);
  return it == nodes_.end() ? nullptr : &it->second;
}

bool ScriptedCluster::Cut(NodeId a, NodeId b) const { return cut_.count({std::min(a, b), std::max(a, b)}) != 0; }

void ScriptedCluster::Start(const Words& words) {
  options_.election_timeout_nanos = 1000 * kMillisecond;
  options_.heartbeat_interval_nanos = 100 * kMillisecond;
  options_.retained_log_bytes = 0;
  options_.cluster = 7;
  std::vector<NodeId> voters;
  for (size_t i = 1; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    if (equals == std::string::npos) {
      voters.push_back(Number(words[i]));
    } else if (words[i].rfind("learners=", 0) != 0 &&
               !SetOption(words[i].substr(0, equals), Number(words[i].substr(equals + 1)), &options_)) {
      Say("? no option " + words[i] + "\n");
    }
  }
  const Configuration configuration = MakeConfiguration(voters, NodeList(Named(words, "learners")));
  for (const Member& member : configuration.members) {
    Node* node = Add(member.id);
    node->floor.configuration = configuration;
    StartNode(node);
  }
}

void ScriptedCluster::StartNode(Node* node) {
  Options options = options_;
  options.self = node->id;
  options.seed = node->id + 1000 * ++node->starts;
  const absl::Status started = node->Start(options, std::max(node->floor.index, node->snapshot), now_);
  if (!started.ok()) return Say("? " + started.ToString() + "\n");
  TakeOutput(node);
}

ScriptedCluster::Node* ScriptedCluster::Add(NodeId id) {
  const ScriptedNode::Hooks hooks = {
      [this](const Output& output) { Take(output); },
      [this](const Message& message) { network_.push_back(message); },
      [this](const Message& message) { network_.push_back(message); },
  };
  return &nodes_.try_emplace(id, id, hooks).first->second;
}

void ScriptedCluster::Step(Node* node, Event event, const std::string& what) {
  if (!node->running()) {
    Say(fmt::format("{}: is down\n", node->id));
    return;
  }
  const StepResult result = node->Step(now_, std::move(event));
  std::string line = fmt::format("{}: {}", node->id, what);
  if (result.index != 0) line += fmt::format(" -> {}/{}", result.term, result.index);
  if (!result.ok()) line += fmt::format(" -> {}: {}", absl::StatusCodeToString(result.code), result.reason);
  Say(line + "\n");
  TakeOutput(node);
}

void ScriptedCluster::StepPosted(Node* node, const std::string& what) {
  for (Event& event : node->TakePosted()) Step(node, std::move(event), what);
}

void ScriptedCluster::Take(const Output& output) {
  Say(Describe(output));
  // Committed entries of this output are older than what it writes.
  committing_ = output.committed;
}

void ScriptedCluster::TakeOutput(Node* node) {
  committing_ = Committed{};
  node->Turn();
  for (Index i = committing_.first; !committing_.empty() && i <= committing_.last; ++i) {
    auto entry = node->memory.find(i);
    if (entry == node->memory.end()) continue;
    auto [known, added] = committed_.emplace(i, entry->second);
    if (!added && !(known->second == entry->second)) violation_ = fmt::format("two entries committed at {}", i);
  }
  Check(*node);
}

void ScriptedCluster::Check(const Node& node) {
  const absl::Status status = node.core().CheckInvariants();
  if (!status.ok()) violation_ = status.ToString();
  const Inspect view = node.core().inspect();
  if (view.role != Role::kLeader) return;
  auto [leader, added] = leaders_.emplace(view.term, node.id);
  if (leader->second != node.id) violation_ = fmt::format("two leaders in term {}", view.term);
}

void ScriptedCluster::Persist(Node* node, size_t count) {
  for (; count > 0 && !node->writes.empty(); --count) {
    const uint64_t write = node->PersistOne();
    StepPosted(node, fmt::format("persisted write {}", write));
  }
}

void ScriptedCluster::Fail(Node* node) {
  if (!node->running()) return Say(fmt::format("{}: is down\n", node->id));
  node->FailWrites();
  StepPosted(node, "a write failed");
}

void ScriptedCluster::Apply(Node* node) {
  if (!node->running() || node->handed_out <= node->core().inspect().applied) return;
  const Index index = node->ApplyAll();
  BANDB_ASSERT(index == node->handed_out);
  Step(node, Applied{index}, fmt::format("applied {}", index));
}

void ScriptedCluster::Install(Node* node, bool ok) {
  if (!node->install) return;
  node->FinishInstall(ok);
  StepPosted(node, fmt::format("snapshot {}", ok ? "installed" : "failed"));
}

void ScriptedCluster::Snapshot(Node* node, Index index) {
  // Of a node that is down: it had become durable just before, and nobody has heard of it.
  if (node->running()) node->applied = node->core().inspect().applied;
  if (index <= node->applied) node->snapshot = std::max(node->snapshot, index);
  if (node->running()) Step(node, SnapshotTaken{index, 1}, fmt::format("snapshot taken at {}", index));
}

void ScriptedCluster::Answer(Node* node, bool ok, bool lost) {
  const std::deque<Fetch> fetches = std::exchange(node->fetches, {});
  for (const Fetch& fetch : fetches) {
    EntriesFetched answer{fetch.fetch, ok, {}, lost};
    uint64_t bytes = 0;
    for (Index i = fetch.first; ok && i <= fetch.last && node->memory.count(i) != 0; ++i) {
      bytes += CostBytes(node->memory[i]);
      if (bytes > fetch.bytes_max && !answer.entries.empty()) break;
      answer.entries.push_back(node->memory[i]);
    }
    answer.ok = ok && !answer.entries.empty();
    Step(node, std::move(answer), fmt::format("fetched {}", fetch.fetch));
  }
}

void ScriptedCluster::Change(Node* node, const Words& words) {
  static const std::map<std::string, ChangeKind> kKinds = {
      {"add-learner", ChangeKind::kAddLearner}, {"add-voter", ChangeKind::kAddVoter},
      {"promote", ChangeKind::kPromote},        {"demote", ChangeKind::kDemote},
      {"remove", ChangeKind::kRemove},          {"replace", ChangeKind::kReplace}};
  ChangeMembership event;
  std::string what = "change";
  for (size_t i = 2; i + 1 < words.size();) {
    auto kind = kKinds.find(words[i]);
    if (kind == kKinds.end()) break;
    what += " " + words[i] + " " + words[i + 1];
    raft::Change change{.kind = kind->second, .node = Number(words[i + 1]), .address = {}};
    i += 2;
    if (change.kind == ChangeKind::kReplace && i < words.size()) {
      // "replace M L": L comes for M.
      change.other = change.node;
      change.node = Number(words[i]);
      what += " by " + words[i++];
    }
    event.changes.push_back(change);
  }
  if (const std::string version = Named(words, "version"); !version.empty()) event.expected_version = Number(version);
  Step(node, std::move(event), what);
}

// Gives a node that is down the log of a scenario: its term, then the terms of its entries.
void ScriptedCluster::Preset(Node* node, const Words& words) {
  node->hard_state.term = words.size() > 2 ? Number(words[2]) : 0;
  node->log.clear();
  for (size_t i = 3; i < words.size(); ++i) {
    node->log[i - 2] = {.term = Number(words[i]), .index = i - 2, .payload = Payload("preset")};
  }
}

void ScriptedCluster::Network(const Words& words) {
  size_t count = Number(Named(words, "count", "1000000"));
  const NodeId from = Number(Named(words, "from", "0"));
  const NodeId to = Number(Named(words, "to", "0"));
  const std::string kind = Named(words, "kind");
  std::vector<Message> messages = std::move(network_);
  network_.clear();
  std::vector<Message> chosen;
  for (Message& m : messages) {
    const bool wanted =
        (from == 0 || m.from == from) && (to == 0 || m.to == to) && (kind.empty() || Name(m.kind) == kind) && count > 0;
    if (!wanted || words[0] == "duplicate") network_.push_back(m);
    if (!wanted) continue;
    --count;
    chosen.push_back(std::move(m));
  }
  for (Message& m : chosen) {
    if (words[0] == "deliver")
      DeliverOne(std::move(m));
    else if (words[0] == "drop")
      Say("dropped " + Describe(m) + "\n");
    else
      network_.push_back(std::move(m));
  }
}

void ScriptedCluster::DeliverOne(Message message) {
  Node* to = Find(message.to);
  Node* from = Find(message.from);
  const bool arrives = to != nullptr && to->running() && !Cut(message.from, message.to);
  const std::string what = Describe(message);
  const bool snapshot = message.kind == MessageKind::kSnapshot;
  const SnapshotSent sent{message.to, message.session, arrives};
  if (arrives) {
    Step(to, Receive{std::move(message)}, "received " + what);
  } else {
    Say("lost " + what + "\n");
  }
  if (snapshot && from != nullptr && from->running()) Step(from, sent, "snapshot sent");
}

void ScriptedCluster::Elapse(Nanos until, bool settle) {
  for (int rounds = 0; rounds < 100000; ++rounds) {
    Node* next = nullptr;
    for (auto& [id, node] : nodes_) {
      if (node.running() && (next == nullptr || node.deadline < next->deadline)) next = &node;
    }
    if (next == nullptr || next->deadline > until) break;
    now_ = std::max(now_, next->deadline);
    Step(next, Tick{}, fmt::format("tick at {}", now_ / kMillisecond));
    if (settle) Stabilize({});
  }
  now_ = until;
}

bool ScriptedCluster::StabilizeOnce(const std::set<NodeId>& nodes) {
  bool busy = false;
  auto included = [&](NodeId id) { return nodes.empty() || nodes.count(id) != 0; };
  for (auto& [id, node] : nodes_) {
    if (!included(id) || !node.running()) continue;
    busy = busy || !node.writes.empty() || node.install || !node.fetches.empty();
    Persist(&node, node.writes.size());
    Install(&node, true);
    Answer(&node, true);
    if (node.handed_out > node.core().inspect().applied) {
      busy = true;
      Apply(&node);
    }
  }
  std::vector<Message> messages = std::move(network_);
  network_.clear();
  for (Message& message : messages) {
    if (!included(message.to)) {
      network_.push_back(std::move(message));
      continue;
    }
    busy = true;
    DeliverOne(std::move(message));
  }
  return busy;
}

void ScriptedCluster::Stabilize(const std::set<NodeId>& nodes) {
  for (int i = 0; i < 200; ++i) {
    if (!StabilizeOnce(nodes)) return;
  }
  Say("? does not come to rest\n");
}

bool ScriptedCluster::RunOnNode(const Words& words) {
  Node* node = words.size() > 1 ? Find(Number(words[1])) : nullptr;
  if (node == nullptr) return false;
  const std::string third = words.size() > 2 ? words[2] : "";
  const std::string& verb = words[0];
  if (verb == "campaign")
    Step(node, Campaign{}, "campaign");
  else if (verb == "propose")
    Step(node, Propose{Payload(third)}, "propose " + third);
  else if (verb == "read")
    Step(node, Read{Number(third)}, "read " + third);
  else if (verb == "capacity")
    Step(node, LogCapacity{third == "full"}, "log " + third);
  else if (verb == "unreachable")
    Step(node, PeerUnreachable{Number(third)}, "unreachable " + third);
  else if (verb == "change")
    Change(node, words);
  else if (verb == "transfer")
    Step(node, TransferLeadership{Number(third)}, "transfer to " + third);
  else if (verb == "persist")
    Persist(node, third.empty() ? node->writes.size() : Number(third));
  else if (verb == "fail")
    Fail(node);
  else if (verb == "apply")
    Apply(node);
  else if (verb == "install")
    Install(node, third != "fail");
  else if (verb == "answer")
    Answer(node, third != "fail" && third != "lost", third == "lost");
  else if (verb == "snapshot")
    Snapshot(node, Number(third));
  else if (verb == "preset" && !node->running())
    Preset(node, words);
  else if (verb == "restart" && !node->running())
    StartNode(node);
  else if (verb == "crash") {
    if (node->running()) node->applied = node->core().inspect().applied;
    node->Crash();
  } else {
    return false;
  }
  return true;
}

bool ScriptedCluster::RunOnCluster(const Words& words) {
  const std::string& verb = words[0];
  const Nanos time = words.size() > 1 ? now_ + static_cast<Nanos>(Number(words[1])) * kMillisecond : now_;
  std::set<NodeId> ids;
  for (size_t i = 1; i < words.size(); ++i) ids.insert(Number(words[i]));
  if (verb == "start") {
    Start(words);
  } else if (verb == "join" && !ids.empty() && Find(*ids.begin()) == nullptr) {
    StartNode(Add(*ids.begin()));
  } else if (verb == "deliver" || verb == "drop" || verb == "duplicate") {
    Network(words);
  } else if (verb == "cut" || verb == "isolate") {
    for (NodeId a : ids) {
      for (auto& [b, node] : nodes_) {
        if (a != b && (verb == "isolate" || ids.count(b) != 0)) cut_.insert({std::min(a, b), std::max(a, b)});
      }
    }
  } else if (verb == "heal") {
    cut_.clear();
  } else if (verb == "elapse") {
    Elapse(time, false);
  } else if (verb == "stabilize") {
    Stabilize(ids);
  } else if (verb == "run" || verb == "settle") {
    silent_ = true;
    Stabilize({});
    if (verb == "run") Elapse(time, true);
    silent_ = false;
  } else {
    return false;
  }
  return true;
}

std::string ScriptedCluster::Run(const std::string& line) {
  account_.clear();
  Words words;
  std::stringstream stream(line);
  for (std::string word; stream >> word;) words.push_back(word);
  if (words.empty()) return account_;
  if (!RunOnCluster(words) && !RunOnNode(words)) Show(words);
  return account_;
}

}  // namespace bandb::raft
