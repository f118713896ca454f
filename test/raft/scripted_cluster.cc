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
    options->retained_entries = value;
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
  options_.retained_entries = 0;
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
    Node& node = nodes_[member.id];
    node.id = member.id;
    node.floor.configuration = configuration;
    StartNode(&node);
  }
}

void ScriptedCluster::StartNode(Node* node) {
  Options options = options_;
  options.self = node->id;
  options.seed = node->id + 1000 * ++node->starts;
  Restart restart;
  restart.hard_state = node->hard_state;
  restart.floor = node->floor;
  restart.applied = std::max(node->floor.index, node->snapshot);
  for (const Entry& entry : node->log) BANDB_ASSERT(restart.AddEntry(entry).ok());
  auto core = Core::Create(options, restart, now_);
  if (!core.ok()) {
    Say("? " + core.status().ToString() + "\n");
    return;
  }
  node->core = *std::move(core);
  node->apply_to = restart.applied;
  node->memory.clear();
  for (const Entry& entry : node->log) node->memory[entry.index] = entry;
  node->durable_write = 0;
  TakeOutput(node);
}

void ScriptedCluster::Step(Node* node, Event event, const std::string& what) {
  if (node->core == nullptr) {
    Say(fmt::format("{}: is down\n", node->id));
    return;
  }
  const StepResult result = node->core->Step(now_, std::move(event));
  std::string line = fmt::format("{}: {}", node->id, what);
  if (result.index != 0) line += fmt::format(" -> {}/{}", result.term, result.index);
  if (!result.ok()) line += fmt::format(" -> {}: {}", absl::StatusCodeToString(result.code), result.reason);
  Say(line + "\n");
  TakeOutput(node);
}

void ScriptedCluster::TakeOutput(Node* node) {
  Output output;
  node->core->TakeOutput(&output);
  Say(Describe(output));
  if (output.hard_state) node->writes.push_back(*output.hard_state);
  if (output.log) {
    node->memory.erase(node->memory.lower_bound(output.log->entries.front().index), node->memory.end());
    for (const Entry& entry : output.log->entries) node->memory[entry.index] = entry;
    node->writes.push_back(*std::move(output.log));
  }
  for (Outgoing& message : output.messages) node->held.push_back(std::move(message));
  ReleaseHeld(node);
  if (!output.committed.empty()) node->apply_to = output.committed.last;
  for (Index i = output.committed.first; !output.committed.empty() && i <= output.committed.last; ++i) {
    auto entry = node->memory.find(i);
    if (entry == node->memory.end()) continue;
    auto [known, added] = committed_.emplace(i, entry->second);
    if (!added && !(known->second == entry->second)) violation_ = fmt::format("two entries committed at {}", i);
  }
  if (output.install) node->install = output.install;
  for (SendSnapshot& send : output.send_snapshots) network_.push_back(std::move(send.message));
  for (Fetch& fetch : output.fetches) node->fetches.push_back(fetch);
  if (output.compact_to) {
    const std::optional<SnapshotMeta> meta = node->core->SnapshotAt(*output.compact_to);
    BANDB_ASSERT(meta.has_value());
    node->floor = *meta;
    std::erase_if(node->log, [&](const Entry& entry) { return entry.index <= meta->index; });
    node->memory.erase(node->memory.begin(), node->memory.upper_bound(meta->index));
  }
  node->deadline = output.next_deadline;
  Check(*node);
}

void ScriptedCluster::Check(const Node& node) {
  const absl::Status status = node.core->CheckInvariants();
  if (!status.ok()) violation_ = status.ToString();
  const Inspect view = node.core->inspect();
  if (view.role != Role::kLeader) return;
  auto [leader, added] = leaders_.emplace(view.term, node.id);
  if (leader->second != node.id) violation_ = fmt::format("two leaders in term {}", view.term);
}

void ScriptedCluster::ReleaseHeld(Node* node) {
  std::vector<Outgoing> held = std::move(node->held);
  node->held.clear();
  for (Outgoing& message : held) {
    if (std::max(message.after_log_write, message.after_hard_state_write) <= node->durable_write) {
      network_.push_back(std::move(message.message));
    } else {
      node->held.push_back(std::move(message));
    }
  }
}

void ScriptedCluster::Persist(Node* node, size_t count) {
  for (; count > 0 && !node->writes.empty(); --count) {
    auto write = std::move(node->writes.front());
    node->writes.erase(node->writes.begin());
    if (auto* hard = std::get_if<HardStateWrite>(&write); hard != nullptr) {
      node->hard_state = hard->state;
      node->durable_write = hard->write;
      ReleaseHeld(node);
      Step(node, HardStatePersisted{hard->write}, fmt::format("persisted write {}", hard->write));
      continue;
    }
    auto& log = std::get<LogWrite>(write);
    const Index first = log.entries.front().index;
    std::erase_if(node->log, [&](const Entry& entry) { return entry.index >= first; });
    node->log.insert(node->log.end(), log.entries.begin(), log.entries.end());
    node->hard_state.commit = std::max(node->hard_state.commit, log.commit);
    node->durable_write = log.write;
    ReleaseHeld(node);
    Step(node, LogPersisted{log.write, log.term, log.index}, fmt::format("persisted write {}", log.write));
  }
}

void ScriptedCluster::Fail(Node* node) {
  node->writes.clear();
  node->held.clear();
  Step(node, PersistFailed{}, "a write failed");
}

void ScriptedCluster::Apply(Node* node) {
  const Index index = node->apply_to;
  if (node->core == nullptr || index <= node->core->inspect().applied) return;
  Step(node, Applied{index}, fmt::format("applied {}", index));
}

void ScriptedCluster::Install(Node* node, bool ok) {
  if (!node->install) return;
  const SnapshotMeta meta = *node->install;
  node->install.reset();
  if (ok) {
    node->writes.erase(std::remove_if(node->writes.begin(), node->writes.end(),
                                      [](const auto& write) { return std::holds_alternative<LogWrite>(write); }),
                       node->writes.end());
    node->floor = meta;
    node->log.clear();
    node->memory.clear();
    node->apply_to = meta.index;
  }
  Step(node, SnapshotInstalled{meta.index, meta.term, ok}, fmt::format("snapshot {}", ok ? "installed" : "failed"));
}

void ScriptedCluster::Snapshot(Node* node, Index index) {
  // Of a node that is down: it had become durable just before, and nobody has heard of it.
  if (node->core != nullptr) node->applied = node->core->inspect().applied;
  if (index <= node->applied) node->snapshot = std::max(node->snapshot, index);
  if (node->core != nullptr) Step(node, SnapshotTaken{index, 1}, fmt::format("snapshot taken at {}", index));
}

void ScriptedCluster::Answer(Node* node, bool ok) {
  std::vector<Fetch> fetches = std::move(node->fetches);
  node->fetches.clear();
  for (const Fetch& fetch : fetches) {
    EntriesFetched answer{fetch.fetch, ok, {}};
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
    node->log.push_back({.term = Number(words[i]), .index = i - 2, .payload = Payload("preset")});
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
  const bool arrives = to != nullptr && to->core != nullptr && !Cut(message.from, message.to);
  const std::string what = Describe(message);
  const bool snapshot = message.kind == MessageKind::kSnapshot;
  const SnapshotSent sent{message.to, message.session, arrives};
  if (arrives) {
    Step(to, Receive{std::move(message)}, "received " + what);
  } else {
    Say("lost " + what + "\n");
  }
  if (snapshot && from != nullptr && from->core != nullptr) Step(from, sent, "snapshot sent");
}

void ScriptedCluster::Elapse(Nanos until, bool settle) {
  for (int rounds = 0; rounds < 100000; ++rounds) {
    Node* next = nullptr;
    for (auto& [id, node] : nodes_) {
      if (node.core != nullptr && (next == nullptr || node.deadline < next->deadline)) next = &node;
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
    if (!included(id) || node.core == nullptr) continue;
    busy = busy || !node.writes.empty() || node.install || !node.fetches.empty();
    Persist(&node, node.writes.size());
    Install(&node, true);
    Answer(&node, true);
    if (node.apply_to > node.core->inspect().applied) {
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
    Answer(node, third != "fail");
  else if (verb == "snapshot")
    Snapshot(node, Number(third));
  else if (verb == "preset" && node->core == nullptr)
    Preset(node, words);
  else if (verb == "restart" && node->core == nullptr)
    StartNode(node);
  else if (verb == "crash") {
    if (node->core != nullptr) node->applied = node->core->inspect().applied;
    node->core.reset();
    node->writes.clear();
    node->held.clear();
    node->fetches.clear();
    node->install.reset();
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
    Node& node = nodes_[*ids.begin()];
    node.id = *ids.begin();
    StartNode(&node);
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
