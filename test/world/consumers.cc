#include "world/consumers.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "base/checksum.h"
#include "base/escape.h"
#include "base/status.h"
#include "cluster/cluster_feed.h"
#include "sim/exponential.h"

namespace bandb::world {

namespace {

using absl::StatusCode;

constexpr int kCommitsInALook = 50;

ChangesOptions From(ChangesFrom from) {
  ChangesOptions options;
  options.from = std::move(from);
  return options;
}

// All that a commit says.
std::string TextOf(const Commit& commit, const std::string& token) {
  std::string text = fmt::format("{}-{} at {} {}:", commit.first_sequence, commit.last_sequence,
                                 absl::ToUnixMillis(commit.time), base::Escape(token));
  for (const Change& change : commit.changes) {
    text += fmt::format(" {} {} {} {} {}", static_cast<int>(change.kind), base::Escape(change.key),
                        base::Hash64(change.value), base::Escape(change.limit), absl::ToUnixMillis(change.expiry));
  }
  return text;
}

}  // namespace

bool IsServing(const Machine& machine) {
  return machine.node() != nullptr && machine.node()->health().ok() && !machine.frozen() && !machine.dying();
}

std::unique_ptr<internal::ChangeFeed> FeedOf(Machine* machine,
                                             std::function<absl::Status(std::string changes)> change) {
  cluster::Node* const node = machine->node();
  return std::make_unique<cluster::ClusterFeed>(
      cluster::ClusterFeed::Parts{.replica = &node->replica(),
                                  .index = node->changes(),
                                  .kept = node->kept(),
                                  .database = node->identity().database_id,
                                  .cluster = cluster::ClusterIdOf(node->identity()),
                                  .cursors = node->cursors(),
                                  .clock = node->log_clock(),
                                  .change = std::move(change),
                                  .check = [] { return absl::OkStatus(); }});
}

Consumers::Consumers(World* world, CommitOrder* order, const ConsumerOptions& options, uint64_t seed)
    : world_(world), order_(order), options_(options), random_(seed), consumers_(options.consumers) {}

Consumers::~Consumers() = default;

void Consumers::Start() {
  for (size_t number = 0; number < consumers_.size(); ++number) Plan(number);
}

void Consumers::Plan(size_t number) {
  world_->After(sim::Exponential(&random_, options_.look_mean), [this, number] {
    if (stopped_ || world_->violation().has_value()) return;
    Look(&consumers_[number]);
    Plan(number);
  });
}

void Consumers::Look(Consumer* consumer) {
  if (consumer->at == nullptr || random_.OneIn(options_.moves_one_in)) {
    const auto& machines = world_->machines();
    consumer->at = machines[random_.Uniform(machines.size())].get();
    consumer->reader.reset();
  }
  if (!IsServing(*consumer->at)) {
    consumer->reader.reset();
    consumer->at = nullptr;
    return;
  }
  if (!ReadSome(consumer, kCommitsInALook)) BeginWithSnapshot(consumer);
}

bool Consumers::IsExcused(const Consumer& consumer, const absl::Status& status) const {
  if (!IsServing(*consumer.at) || status.code() == StatusCode::kFailedPrecondition) return true;
  return consumer.at->faulty() && status.code() != StatusCode::kDataLoss;
}

bool Consumers::OpenReader(Consumer* consumer) {
  if (consumer->reader != nullptr && consumer->life == consumer->at->lives()) return true;
  auto reader = FeedOf(consumer->at)->ReadChanges(From(ChangesFrom::Token(consumer->token)));
  if (reader.ok()) {
    ++counters_.resumed;
    consumer->reader = *std::move(reader);
    consumer->life = consumer->at->lives();
    return true;
  }
  if (reader.status().code() == StatusCode::kOutOfRange) {
    ++counters_.gone;
    consumer->begun = false;
  } else if (!IsExcused(*consumer, reader.status()) || reader.status().code() == StatusCode::kFailedPrecondition) {
    world_->Fail(fmt::format("{}: a token is refused: {}", consumer->at->name(), reader.status().ToString()));
  }
  return false;
}

bool Consumers::ReadSome(Consumer* consumer, int commits_max) {
  if (!consumer->begun) return false;
  if (!OpenReader(consumer)) return consumer->begun;
  Commit commit;
  for (int i = 0; i < commits_max && !world_->violation().has_value(); ++i) {
    const absl::Status status = consumer->reader->Next(&commit, absl::ZeroDuration());
    if (status.code() == StatusCode::kOutOfRange) {
      ++counters_.gone;
      consumer->begun = false;
      consumer->reader.reset();
      return false;
    }
    if (!status.ok()) {
      consumer->reader.reset();
      if (!IsExcused(*consumer, status)) {
        world_->Fail(fmt::format("{}: a reader is told: {}", consumer->at->name(), status.ToString()));
      }
      return true;
    }
    consumer->token = consumer->reader->token();
    if (commit.empty()) return true;
    ++counters_.commits;
    order_->Check(consumer->at, consumer->last_sequence, commit, consumer->token);
    consumer->last_sequence = commit.last_sequence;
    Take(consumer, commit);
  }
  return true;
}

void Consumers::BeginWithSnapshot(Consumer* consumer) {
  storage::Engine& engine = consumer->at->node()->replica().engine();
  const Snapshot snapshot = engine.GetSnapshot();
  auto reader = FeedOf(consumer->at)->ReadChanges(From(ChangesFrom::Snapshot(snapshot)));
  if (!reader.ok()) {
    // One whose log begins after what readers see is being given another state.
    if (reader.status().code() != StatusCode::kOutOfRange && !IsExcused(*consumer, reader.status())) {
      world_->Fail(
          fmt::format("{}: a snapshot is not gone on from: {}", consumer->at->name(), reader.status().ToString()));
    }
    return;
  }
  Copy copy;
  ReadOptions options;
  options.snapshot = &snapshot;
  const std::unique_ptr<Iterator> entries = engine.NewIterator(options);
  for (entries->SeekToFirst(); entries->Valid(); entries->Next()) {
    copy[std::string(entries->key())] = {std::string(entries->value()), entries->expiry()};
  }
  if (!entries->status().ok()) return;
  ++counters_.snapshots;
  consumer->copy = std::move(copy);
  consumer->reader = *std::move(reader);
  consumer->life = consumer->at->lives();
  consumer->token = consumer->reader->token();
  consumer->last_sequence = 0;
  consumer->begun = true;
}

void CommitOrder::Check(Machine* machine, uint64_t before, const Commit& commit, const std::string& token) {
  if (commit.first_sequence <= before || commit.last_sequence < commit.first_sequence) {
    return world_->Fail(fmt::format("{}: sequences {} to {} come after {}", machine->name(), commit.first_sequence,
                                    commit.last_sequence, before));
  }
  const std::string text = TextOf(commit, token);
  const uint64_t digest = base::Hash64(text);
  world_->trace().Mix(sim::TraceKind::kNote, {before, digest});
  if (before == 0) return;
  const auto [at, is_new] = next_.try_emplace(before, Next{digest, text});
  if (is_new || at->second.digest == digest) return;
  world_->Fail(
      fmt::format("{}: after {} comes {}\nand before it was {}", machine->name(), before, text, at->second.text));
}

void Consumers::Take(Consumer* consumer, const Commit& commit) {
  Copy& copy = consumer->copy;
  for (const Change& change : commit.changes) {
    switch (change.kind) {
      case ChangeKind::kPut:
        copy[std::string(change.key)] = {std::string(change.value), change.expiry};
        break;
      case ChangeKind::kDelete:
        copy.erase(std::string(change.key));
        break;
      case ChangeKind::kDeleteRange:
        copy.erase(copy.lower_bound(std::string(change.key)), copy.lower_bound(std::string(change.limit)));
        break;
    }
  }
}

void Consumers::Finish(const std::vector<Machine*>& members) {
  stopped_ = true;
  for (size_t i = 0; i < consumers_.size() && !world_->violation().has_value(); ++i) {
    Consumer& consumer = consumers_[i];
    Machine* const machine = members[i % members.size()];
    if (!IsServing(*machine)) continue;
    if (consumer.at != machine) consumer.reader.reset();
    consumer.at = machine;
    const uint64_t last = machine->node()->changes()->applied().sequence;
    if (!ReadSome(&consumer, INT_MAX)) {
      BeginWithSnapshot(&consumer);
      ReadSome(&consumer, INT_MAX);
    }
    if (world_->violation().has_value() || machine->faulty()) continue;
    Commit end;
    if (consumer.reader == nullptr || !consumer.reader->Next(&end, absl::ZeroDuration()).ok() ||
        end.last_sequence != last) {
      return world_->Fail(
          fmt::format("{}: a reader ends at {} and not at {}", machine->name(), end.last_sequence, last));
    }
    Compare(consumer, machine);
  }
}

void Consumers::Compare(const Consumer& consumer, Machine* machine) {
  storage::EngineReplica& replica = machine->node()->replica();
  const absl::Time now = absl::FromUnixMillis(static_cast<int64_t>(replica.commit_time_ms()));
  const std::unique_ptr<Iterator> entries = replica.engine().NewIterator({});
  entries->SeekToFirst();
  // A consumer is told an expiry as clocks showed it to the writer, which the log may be ahead of.
  const absl::Duration ahead = absl::Milliseconds(machine->node()->log_clock()->ahead_ms());
  for (const auto& [key, entry] : consumer.copy) {
    const bool is_there = entries->Valid() && entries->key() == key && entries->value() == entry.value &&
                          (entries->expiry() == entry.expiry ||
                           (entries->expiry() > entry.expiry && entries->expiry() <= entry.expiry + ahead));
    if (!is_there) {
      if (entry.expiry <= now) continue;
      return world_->Fail(fmt::format("{}: a consumer has {}, and the member {}", machine->name(), base::Escape(key),
                                      entries->Valid() ? base::Escape(entries->key()) : "nothing more"));
    }
    entries->Next();
  }
  if (entries->Valid()) {
    world_->Fail(fmt::format("{}: no consumer was told of {}", machine->name(), base::Escape(entries->key())));
  }
}

}  // namespace bandb::world
