#include "world/cursor_consumers.h"

#include <algorithm>
#include <climits>
#include <set>

#include "base/status.h"
#include "changes/change_token.h"
#include "sim/exponential.h"

namespace bandb::world {

namespace {

using absl::StatusCode;
using cluster::CursorChangeKind;

constexpr int kCommitsInALook = 30;
constexpr Nanos kPatienceNanos = 120 * kSecond;

ChangesOptions From(ChangesFrom from) {
  ChangesOptions options;
  options.from = std::move(from);
  return options;
}

uint64_t SequenceOf(const std::string& token) { return changes::DecodeToken(token)->sequence; }

}  // namespace

CursorConsumers::CursorConsumers(World* world, CommitOrder* order, const CursorConsumerOptions& options, uint64_t seed)
    : world_(world), order_(order), options_(options), random_(seed), consumers_(options.consumers) {
  for (size_t i = 0; i < consumers_.size(); ++i) consumers_[i].name = fmt::format("cursor{}", i);
}

void CursorConsumers::Start() {
  for (size_t number = 0; number < consumers_.size(); ++number) Plan(number);
}

void CursorConsumers::Plan(size_t number) {
  world_->After(sim::Exponential(&random_, options_.look_mean), [this, number] {
    if (stopped_ || world_->violation().has_value()) return;
    Look(&consumers_[number]);
    Plan(number);
  });
}

Machine* CursorConsumers::AnyServing() {
  const auto& machines = world_->machines();
  Machine* const machine = machines[random_.Uniform(machines.size())].get();
  return IsServing(*machine) ? machine : nullptr;
}

void CursorConsumers::Look(Consumer* consumer) {
  if (consumer->at == nullptr || random_.OneIn(options_.moves_one_in)) {
    consumer->at = AnyServing();
    consumer->reader.reset();
  }
  Machine* const machine = consumer->at;
  if (machine == nullptr || !IsServing(*machine)) {
    consumer->reader.reset();
    consumer->at = nullptr;
    return;
  }
  CheckPlace(consumer, machine);
  if (world_->violation().has_value()) return;
  const absl::Status found = machine->node()->cursors()->Find(consumer->name).status();
  // It has just started, and will know, or its consumer goes elsewhere.
  if (absl::IsUnavailable(found)) return;
  if (!found.ok()) {
    consumer->reader.reset();
    return Change(consumer, machine, CursorChangeKind::kMake);
  }
  if (random_.OneIn(options_.resets_one_in)) return Change(consumer, machine, CursorChangeKind::kReset);
  if (random_.OneIn(options_.drops_one_in)) return Change(consumer, machine, CursorChangeKind::kDrop);
  Read(consumer, kCommitsInALook);
}

// ---- What replicas say. ----

void CursorConsumers::CheckPlace(Consumer* consumer, Machine* machine) {
  const cluster::Node& node = *machine->node();
  const raft::Index index = node.changes()->applied().index;
  const cluster::CursorMap cursors = node.cursors()->Applied();
  const auto at = cursors.find(consumer->name);
  const uint64_t id = at == cursors.end() ? 0 : at->second.id;
  const auto [seen, is_new] = consumer->ids.try_emplace(index, id);
  if (seen->second != id) {
    return world_->Fail(fmt::format("{}: after entry {} {} is {} and was {}", machine->name(), index, consumer->name,
                                    id, seen->second));
  }
  if (id == 0) return;
  const uint64_t sequence = at->second.place.sequence;
  const auto [found, first_seen] = consumer->lives.try_emplace(id);
  Life& life = found->second;
  // Nobody has acknowledged what nobody has seen.
  if (first_seen) life.acknowledged = sequence;
  if (sequence > life.acknowledged) {
    return world_->Fail(fmt::format("{}: after entry {} {} is at {}, and was acknowledged up to {}", machine->name(),
                                    index, consumer->name, sequence, life.acknowledged));
  }
  const auto [place, is_first] = life.places.try_emplace(index, sequence);
  const bool behind = place != life.places.begin() && std::prev(place)->second > sequence;
  const bool ahead = std::next(place) != life.places.end() && std::next(place)->second < sequence;
  if (place->second != sequence || behind || ahead) {
    return world_->Fail(
        fmt::format("{}: {} goes back to {} around entry {}", machine->name(), consumer->name, sequence, index));
  }
  CheckKept(consumer, machine, at->second);
}

void CursorConsumers::CheckKept(Consumer* consumer, Machine* machine, const changes::StoredCursor& cursor) {
  const absl::StatusOr<cluster::ChangeBound> oldest = machine->node()->changes()->Oldest();
  if (!oldest.ok()) return;
  Held& held = held_[{machine->host(), consumer->name}];
  const Held now{.process = machine->lives(), .id = cursor.id, .installs = world_->installs_of(*machine)};
  const bool is_lost = cursor.place.sequence < oldest->user_sequence;
  const bool was_held = held.process == now.process && held.id == now.id && held.installs == now.installs;
  if (is_lost && was_held && options_.roomy && !machine->faulty() && !machine->installing()) {
    return world_->Fail(fmt::format("{}: {} is at {}, and what comes next was let go up to {}", machine->name(),
                                    consumer->name, cursor.place.sequence, oldest->sequence));
  }
  held = is_lost ? Held{} : now;
}

// ---- What consumers do. ----

void CursorConsumers::Read(Consumer* consumer, int commits_max) {
  Machine* const machine = consumer->at;
  if (consumer->reader == nullptr || consumer->process != machine->lives()) {
    consumer->reader.reset();
    const auto feed = FeedOf(machine);
    const uint64_t place = machine->node()->cursors()->Find(consumer->name)->place.sequence;
    auto reader = feed->ReadChanges(From(ChangesFrom::Cursor(consumer->name)));
    if (!reader.ok()) {
      const bool lost = reader.status().code() == StatusCode::kOutOfRange;
      counters_.lost += lost ? 1 : 0;
      if (lost) return Change(consumer, machine, CursorChangeKind::kReset);
      const bool excused =
          !IsServing(*machine) || (machine->faulty() && reader.status().code() != StatusCode::kDataLoss);
      if (!excused) {
        world_->Fail(fmt::format("{}: {} is refused: {}", machine->name(), consumer->name, reader.status().ToString()));
      }
      return;
    }
    consumer->reader = *std::move(reader);
    consumer->process = machine->lives();
    const auto known = consumer->commit_at.find(place);
    consumer->last_sequence = known == consumer->commit_at.end() ? 0 : known->second;
  }
  Commit commit;
  std::string token;
  for (int i = 0; i < commits_max && !world_->violation().has_value(); ++i) {
    const absl::Status status = consumer->reader->Next(&commit, absl::ZeroDuration());
    if (!status.ok()) {
      consumer->reader.reset();
      const bool may_be = status.code() == StatusCode::kOutOfRange ||
                          status.code() == StatusCode::kFailedPrecondition || !IsServing(*machine) ||
                          (machine->faulty() && status.code() != StatusCode::kDataLoss);
      if (!may_be) world_->Fail(fmt::format("{}: {} is told: {}", machine->name(), consumer->name, status.ToString()));
      break;
    }
    token = consumer->reader->token();
    if (!commit.empty()) {
      ++counters_.commits;
      order_->Check(machine, consumer->last_sequence, commit, token);
      consumer->last_sequence = commit.last_sequence;
    }
    if (consumer->last_sequence != 0) consumer->commit_at[SequenceOf(token)] = consumer->last_sequence;
    if (commit.empty()) break;
  }
  if (token.empty() || world_->violation().has_value()) return;
  // Now and then at another machine than the one that gave it.
  Machine* const other = random_.OneIn(4) ? AnyServing() : nullptr;
  Acknowledge(consumer, other == nullptr ? machine : other, token);
}

void CursorConsumers::Acknowledge(Consumer* consumer, Machine* machine, const std::string& token) {
  const auto cursor = machine->node()->cursors()->Find(consumer->name);
  if (!cursor.ok()) return;
  const auto [life, first_seen] = consumer->lives.try_emplace(cursor->id);
  if (first_seen) life->second.acknowledged = cursor->place.sequence;
  life->second.acknowledged = std::max(life->second.acknowledged, SequenceOf(token));
  const absl::Status status = FeedOf(machine)->Acknowledge(consumer->name, token);
  counters_.acknowledged += status.ok() ? 1 : 0;
  const bool may_be = status.ok() || status.code() == StatusCode::kOutOfRange ||
                      // It has not come so far as the member that gave the token.
                      (status.code() == StatusCode::kUnavailable &&
                       SequenceOf(token) > machine->node()->changes()->applied().sequence) ||
                      !IsServing(*machine) || machine->faulty();
  if (!may_be) world_->Fail(fmt::format("{}: an acknowledgement is refused: {}", machine->name(), status.ToString()));
}

std::unique_ptr<internal::ChangeFeed> CursorConsumers::FeedToChange(Consumer* consumer, Machine* machine) {
  return FeedOf(machine, [this, asked = consumer->asked, machine](std::string changes) {
    asked->waits = true;
    ++asked->open;
    cluster::WriteContent content{.operations = std::move(changes),
                                  .kind = cluster::CommandKind::kCursors,
                                  .deadline_nanos = world_->now() + 3 * kSecond};
    auto write = std::make_shared<cluster::ClientWrite>(std::move(content), [asked](const absl::Status& status) {
      asked->waits = false;
      asked->done += status.ok() ? 1 : 0;
      asked->open -= status.code() == StatusCode::kUnknown ? 0 : 1;
    });
    machine->loop()->Post([machine, write = std::move(write)] {
      if (machine->node() != nullptr) machine->node()->Write(write);
    });
    return absl::OkStatus();
  });
}

CursorConsumers::Counters CursorConsumers::counters() const {
  Counters counters = counters_;
  for (const Consumer& consumer : consumers_) counters.changes_done += consumer.asked->done;
  return counters;
}

// What became of it, the next look shows; who took it may be gone without a word.
void CursorConsumers::Change(Consumer* consumer, Machine* machine, CursorChangeKind kind) {
  if (consumer->asked->waits && !random_.OneIn(50)) return;
  consumer->reader.reset();
  const auto feed = FeedToChange(consumer, machine);
  const ChangesFrom from = random_.OneIn(2) ? ChangesFrom::Oldest() : ChangesFrom::Now();
  switch (kind) {
    case CursorChangeKind::kMake:
      return feed->CreateCursor(consumer->name, from).IgnoreError();
    case CursorChangeKind::kReset:
      return feed->ResetCursor(consumer->name, from).IgnoreError();
    default:
      return feed->DropCursor(consumer->name).IgnoreError();
  }
}

// ---- The end. ----

void CursorConsumers::AwaitKnown(const std::vector<Machine*>& members) {
  raft::Index last = 0;
  for (Machine* const member : members) {
    if (member->node() != nullptr) last = std::max(last, member->node()->changes()->applied().index);
  }
  // A node that is removed meanwhile, by a change that was asked for before, learns nothing any
  // more.
  const auto knows = [&](Machine* member) {
    if (member->removed()) return true;
    return member->node() != nullptr && member->node()->changes()->applied().index >= last &&
           !absl::IsUnavailable(member->node()->cursors()->Find("").status());
  };
  const auto all_know = [&] { return std::all_of(members.begin(), members.end(), knows); };
  if (world_->RunUntil(all_know, kPatienceNanos) || world_->violation().has_value()) return;
  for (Machine* const member : members) {
    if (!knows(member)) return world_->Fail(fmt::format("{} does not come to know its cursors", member->name()));
  }
}

void CursorConsumers::AwaitAgreement(const std::vector<Machine*>& members, const Consumer& consumer, bool may_change) {
  const changes::StoredCursor cursor = *consumer.at->node()->cursors()->Find(consumer.name);
  const auto agree = [&] {
    // A node that is removed may take with it what was acknowledged at it alone.
    if (consumer.at->removed()) return true;
    std::set<uint64_t> ids;
    return std::all_of(members.begin(), members.end(), [&](Machine* member) {
      if (member->removed()) return true;
      if (member->node() == nullptr) return false;
      const cluster::CursorMap cursors = member->node()->cursors()->Applied();
      const auto at = cursors.find(consumer.name);
      const uint64_t id = at == cursors.end() ? 0 : at->second.id;
      ids.insert(id);
      if (id != cursor.id) return may_change && ids.size() == 1;
      return ids.size() == 1 && at->second.place.sequence >= cursor.place.sequence;
    });
  };
  if (world_->RunUntil(agree, kPatienceNanos) || world_->violation().has_value()) return;
  world_->Fail(fmt::format("{} was acknowledged up to {} at {}, and not all members know of it", consumer.name,
                           cursor.place.sequence, consumer.at->name()));
}

void CursorConsumers::Finish(const std::vector<Machine*>& members) {
  stopped_ = true;
  std::vector<bool> may_change;
  for (const Consumer& consumer : consumers_) may_change.push_back(consumer.asked->open != 0);
  AwaitKnown(members);
  for (size_t i = 0; i < consumers_.size() && !world_->violation().has_value(); ++i) {
    Consumer& consumer = consumers_[i];
    Machine* const machine = members[i % members.size()];
    if (!IsServing(*machine)) continue;
    consumer.at = machine;
    consumer.reader.reset();
    CheckPlace(&consumer, machine);
    if (world_->violation().has_value() || !machine->node()->cursors()->Find(consumer.name).ok()) continue;
    Read(&consumer, INT_MAX);
    if (world_->violation().has_value() || consumer.reader == nullptr) continue;
    // What was asked for before may still be done.
    AwaitAgreement(members, consumer, may_change[i]);
  }
}

}  // namespace bandb::world
