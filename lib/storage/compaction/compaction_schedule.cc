#include "storage/compaction/compaction_schedule.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

// What an iterator loses by one more run of tables is worth compacting so much (LevelDB's estimate
// for a seek).
constexpr uint64_t kBytesPerIterator = 16 << 10;
// Too few iterators to call it a pattern.
constexpr int64_t kIteratorsMin = 1000;

}  // namespace

CompactionSchedule::Work CompactionSchedule::Next(const Situation& situation) {
  BANDB_ASSERT(situation.version != nullptr);
  BANDB_ASSERT(compactions_running_ >= 0);
  if (!flush_running_ && situation.may_flush) {
    flush_running_ = true;
    return {.kind = Work::Kind::kFlush, .compaction = {}, .done = nullptr, .status = {}};
  }
  if (!situation.may_compact) return {};
  Work work;
  if (situation.only_drops) {
    std::optional<Compaction> drop = PickSpace(situation);
    if (drop && drop->is_drop) {
      StartCompaction(*std::move(drop), &work);
    } else if (drop) {
      PutOffSpace();
    }
    return work;
  }
  work = NextManual(situation);
  if (work.kind != Work::Kind::kNothing) return work;
  const bool manual_waits = !manual_.empty() && !manual_.front().begun;
  if (compactions_running_ >= compactions_max_ || manual_waits) return work;
  CompactionSettings picked = settings();
  if (level0_wanted_ && picked.style == CompactionStyle::kLevelled) picked.level0_tables = 1;
  std::optional<Compaction> compaction = PickCompaction(*situation.version, picked, running_);
  if (!compaction) compaction = PickSpace(situation);
  if (compaction) StartCompaction(*std::move(compaction), &work);
  return work;
}

std::optional<Compaction> CompactionSchedule::PickSpace(const Situation& situation) {
  const bool idle = compactions_running_ == 0 && manual_.empty();
  if (!idle || !space_wanted_ || situation.horizon == nullptr) return std::nullopt;
  std::optional<Compaction> compaction =
      PickForSpace({*situation.version, settings(), running_, *situation.horizon, situation.now_ms}, &space_outlook_);
  space_wanted_ = compaction.has_value();
  return compaction;
}

CompactionSchedule::Work CompactionSchedule::NextManual(const Situation& situation) {
  Work work;
  if (manual_.empty()) return work;
  Manual& manual = manual_.front();
  if (manual.running) return work;
  if (!manual.begun) {
    if (compactions_running_ > 0) return work;
    manual.begun = true;
    manual.first_new_number = situation.next_file_number;
  }
  const Version& version = *situation.version;
  bool blocked = false;
  std::optional<Compaction> compaction;
  const bool merges = settings_.style != CompactionStyle::kFifo;
  while (merges && manual.level + 1 < kLevels) {
    const int output_level = manual.level == 0 ? TargetsFor(version, settings()).base_level : manual.level + 1;
    compaction = PickRange(version, manual.level, output_level, manual.begin, manual.end, running_, &blocked);
    if (compaction || blocked) break;
    ++manual.level;
  }
  // Everything has arrived in the last level. What was there before has not been looked at yet, and
  // nothing below it keeps what is gone from being dropped.
  if (merges && !compaction && !blocked) {
    compaction =
        PickRewrite(version, kLevels - 1, manual.begin, manual.end, manual.first_new_number, running_, &blocked);
  }
  if (blocked && (compactions_running_ > 0 || holds_ > 0)) return work;
  if (compaction) {
    BANDB_ASSERT(compaction->is_manual);
    manual.running = true;
    manual.is_part = compaction->level == 0 && compaction->inputs.size() < version.level(0).size();
    StartCompaction(*std::move(compaction), &work);
    return work;
  }
  if (blocked) {
    // By nothing that would end.
    BANDB_ASSERT(!running_.set_aside.empty());
    work.status = base::Error(absl::StatusCode::kDataLoss, "table {} and others there were set aside, as damaged",
                              *running_.set_aside.begin());
  }
  BANDB_ASSERT(!manual.running);
  BANDB_ASSERT(manual.done != nullptr);
  work.kind = Work::Kind::kManualDone;
  work.done = std::move(manual.done);
  manual_.pop_front();
  return work;
}

void CompactionSchedule::StartCompaction(Compaction compaction, Work* work) {
  ++compactions_running_;
  running_.Add(compaction);
  BANDB_ASSERT(running_.outputs.size() == static_cast<size_t>(compactions_running_) + holds_);
  work->kind = Work::Kind::kCompaction;
  work->compaction = std::move(compaction);
}

void CompactionSchedule::FlushEnded() {
  BANDB_ASSERT(flush_running_);
  flush_running_ = false;
  space_wanted_ = true;
}

CompactionSchedule::Done CompactionSchedule::CompactionEnded(const Compaction& compaction, bool goes_on, bool again) {
  BANDB_ASSERT(compactions_running_ > 0);
  --compactions_running_;
  space_wanted_ = true;
  running_.Remove(compaction);
  BANDB_ASSERT(running_.outputs.size() == static_cast<size_t>(compactions_running_) + holds_);
  if (!compaction.is_manual) return nullptr;
  BANDB_ASSERT(!manual_.empty());
  BANDB_ASSERT(manual_.front().running);
  Manual& manual = manual_.front();
  manual.running = false;
  if (!manual.is_part && !again) ++manual.level;
  if (goes_on) return nullptr;
  Done abandoned = std::move(manual.done);
  manual_.pop_front();
  return abandoned;
}

int CompactionSchedule::BeginHold(const Version& version, std::string_view smallest, std::string_view largest) {
  const int level = LowestLevelFor(version, settings(), running_, smallest, largest);
  ++holds_;
  running_.outputs.push_back({level, std::string(smallest), std::string(largest)});
  BANDB_ASSERT(running_.outputs.size() == static_cast<size_t>(compactions_running_) + holds_);
  return level;
}

void CompactionSchedule::EndHold(int level, std::string_view smallest, std::string_view largest) {
  BANDB_ASSERT(holds_ > 0);
  --holds_;
  running_.RemoveOutput(level, smallest, largest);
  BANDB_ASSERT(running_.outputs.size() == static_cast<size_t>(compactions_running_) + holds_);
  space_wanted_ = true;
}

void CompactionSchedule::AddManual(std::string begin, std::string end, Done done) {
  BANDB_ASSERT(done != nullptr);
  manual_.push_back({.begin = std::move(begin), .end = std::move(end), .done = std::move(done)});
}

void CompactionSchedule::AbandonManual(std::vector<Done>* abandoned) {
  for (Manual& manual : manual_) {
    if (!manual.running) abandoned->push_back(std::move(manual.done));
  }
  std::erase_if(manual_, [](const Manual& manual) { return !manual.running; });
  BANDB_ASSERT(manual_.size() <= 1);
}

void CompactionSchedule::StartOver(std::vector<Done>* abandoned) {
  // A replica takes no ingest, and nobody else starts over.
  BANDB_ASSERT(holds_ == 0);
  for (Manual& manual : manual_) abandoned->push_back(std::move(manual.done));
  manual_.clear();
  TakeBack();
  running_ = RunningCompactions();
  flush_running_ = false;
  compactions_running_ = 0;
  level0_wanted_ = false;
}

bool CompactionSchedule::SetAside(uint64_t number, int level, bool refused) {
  BANDB_ASSERT(level >= 0);
  BANDB_ASSERT(level < kLevels);
  if (!running_.set_aside.insert(number).second) return false;
  set_aside_[number] = {.level = level, .refused = refused};
  BANDB_ASSERT(set_aside_.size() == running_.set_aside.size());
  return true;
}

void CompactionSchedule::NoteDropped(const Compaction& compaction) {
  BANDB_ASSERT(compaction.is_drop);
  for (const TablePtr& table : compaction.inputs) {
    set_aside_.erase(table->info().number);
    running_.set_aside.erase(table->info().number);
  }
  BANDB_ASSERT(set_aside_.size() == running_.set_aside.size());
}

bool CompactionSchedule::TakeBackRefused() {
  const size_t taken = std::erase_if(set_aside_, [this](const auto& table) {
    if (table.second.refused) running_.set_aside.erase(table.first);
    return table.second.refused;
  });
  BANDB_ASSERT(set_aside_.size() == running_.set_aside.size());
  return taken != 0;
}

CompactionSettings CompactionSchedule::settings() const {
  CompactionSettings settings = settings_;
  int highest = kLevels;
  for (const auto& [number, aside] : set_aside_) {
    if (aside.level > 1) highest = std::min(highest, aside.level);
  }
  if (highest < kLevels) settings.base_level_max = highest - 1;
  return settings;
}

WritePressure CompactionSchedule::Pressure(const Version& version) const {
  return PressureOf(version, settings_, StuckInLevel0(version, settings(), running_));
}

int64_t CompactionSchedule::RenewAllowance(const Version& version) {
  level0_wanted_ = false;
  // The other styles have more runs on purpose.
  if (version.level(0).empty() || settings_.style != CompactionStyle::kLevelled) return INT64_MAX;
  const uint64_t bytes = version.LevelBytes(0) + version.LevelBytes(TargetsFor(version, settings()).base_level);
  return std::max(kIteratorsMin, static_cast<int64_t>(bytes / kBytesPerIterator));
}

absl::Status CompactionSchedule::CheckInvariants(const Version& version) const {
  const auto violated = [](std::string_view what) {
    return base::Error(absl::StatusCode::kInternal, "the compaction schedule: {}", what);
  };
  if (running_.outputs.size() != static_cast<size_t>(compactions_running_) + holds_) {
    return violated("each running compaction has one output range, and so has each hold");
  }
  for (size_t i = 1; i < manual_.size(); ++i) {
    if (manual_[i].begun || manual_[i].running) return violated("one CompactRange runs after the other");
  }
  if (!manual_.empty() && manual_.front().running && compactions_running_ == 0) {
    return violated("a running CompactRange has a running compaction");
  }
  // Inputs stay in the version until their compaction is installed.
  size_t found = 0;
  size_t found_aside = 0;
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : version.level(level)) {
      found += running_.tables.count(table->info().number);
      found_aside += running_.set_aside.count(table->info().number);
    }
  }
  if (found_aside != running_.set_aside.size()) return violated("what is set aside stays in the version");
  if (found_aside != set_aside_.size()) return violated("of what is set aside the reason is known");
  if (found != running_.tables.size()) return violated("inputs of running compactions are in the version");
  return absl::OkStatus();
}

}  // namespace bandb::storage
