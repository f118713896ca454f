// The reads of DbModel.
#include "storage/model/db_model.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

constexpr size_t kSnapshotsMax = 30;
constexpr size_t kIteratorsMax = 5;
constexpr size_t kPinnedMax = 20;

// Null if the key is not seen at `now_ms`.
const ModelValue* Find(const ModelState& state, uint64_t now_ms, const std::string& key) {
  const auto at = state.find(key);
  return at == state.end() || at->second.expiry_ms <= now_ms ? nullptr : &at->second;
}

absl::Time Expiry(const ModelValue& value) {
  return value.expiry_ms == UINT64_MAX ? absl::InfiniteFuture()
                                       : absl::FromUnixMillis(static_cast<int64_t>(value.expiry_ms));
}

}  // namespace

ReadOptions DbModel::Bounded(const Snapshot* snapshot) {
  ReadOptions options;
  options.snapshot = snapshot;
  options.fill_cache = random_.OneIn(2);
  if (random_.OneIn(3)) options.lower_bound = input_.Key();
  if (random_.OneIn(3)) options.upper_bound = input_.Key();
  return options;
}

void DbModel::CheckVersion(uint64_t stamp, uint64_t version) {
  REQUIRE(version != 0);
  const auto [at, is_new] = versions_.emplace(stamp, version);
  REQUIRE(at->second == version);
}

void DbModel::CheckGets(const ModelState& state, uint64_t now_ms, const Snapshot* snapshot) {
  ReadOptions options;
  options.snapshot = snapshot;
  for (int i = 0; i < 5; ++i) {
    const std::string key = input_.Key();
    INFO("key " << Readable(key));
    const ModelValue* const expected = Find(state, now_ms, key);
    PinnedValue pinned;
    const absl::Status status = db_->GetPinned(key, &pinned, options);
    if (expected == nullptr) {
      REQUIRE_CODE(status, kNotFound);
      continue;
    }
    REQUIRE_OK(status);
    REQUIRE(pinned.value() == expected->value);
    REQUIRE(pinned.expiry() == Expiry(*expected));
    CheckVersion(expected->stamp, pinned.version());
    const absl::StatusOr<Entry> entry = db_->GetEntry(key, options);
    REQUIRE_OK(entry.status());
    REQUIRE(entry->value == expected->value);
    REQUIRE(entry->expiry == pinned.expiry());
    REQUIRE(entry->version == pinned.version());
    if (random_.OneIn(10) && pinned_.size() < kPinnedMax) pinned_.push_back({std::move(pinned), expected->value});
  }
}

void DbModel::CheckMultiGet(const ModelState& state, uint64_t now_ms, const Snapshot* snapshot) {
  ReadOptions options;
  options.snapshot = snapshot;
  const std::string some[] = {input_.Key(), input_.Key(), input_.Key()};
  const std::string_view keys[] = {some[0], some[1], some[0], some[2]};
  const auto values = db_->MultiGet(keys, options);
  REQUIRE(values.size() == std::size(keys));
  for (size_t i = 0; i < values.size(); ++i) {
    const ModelValue* const expected = Find(state, now_ms, std::string(keys[i]));
    if (expected == nullptr) {
      REQUIRE_CODE(values[i].status(), kNotFound);
    } else {
      REQUIRE_OK(values[i].status());
      REQUIRE(*values[i] == expected->value);
    }
  }
}

void DbModel::CheckScan(Db* db, const ModelState& state, uint64_t now_ms, const Snapshot* snapshot) {
  const ReadOptions options = Bounded(snapshot);
  ModelEntries expected = Visible(state, now_ms, options.lower_bound, options.upper_bound);
  const std::string prefix = input_.Key().substr(0, random_.Uniform(6));
  if (random_.OneIn(2)) {
    std::erase_if(expected, [&](const auto& entry) { return !entry.first.starts_with(prefix); });
    ModelIterator iterator(db->NewPrefixIterator(prefix, options), expected);
    iterator.CheckAll();
    iterator.Walk(&random_, &input_, random_.Uniform(10));
    return;
  }
  ModelIterator iterator(db->NewIterator(options), expected);
  iterator.CheckAll();
  iterator.Walk(&random_, &input_, random_.Uniform(10));
}

void DbModel::CheckPresent() {
  switch (random_.Uniform(8)) {
    case 0:
      CheckScan(db_.get(), history_.state(), NowMs(), nullptr);
      CheckPinned();
      break;
    case 1:
    case 2:
      CheckMultiGet(history_.state(), NowMs(), nullptr);
      break;
    default:
      CheckGets(history_.state(), NowMs(), nullptr);
  }
}

void DbModel::CheckSnapshot(const HeldSnapshot& held) {
  CheckGets(held.state, held.now_ms, &held.snapshot);
  CheckMultiGet(held.state, held.now_ms, &held.snapshot);
  CheckScan(db_.get(), held.state, held.now_ms, &held.snapshot);
}

void DbModel::CheckPinned() {
  for (const HeldValue& held : pinned_) REQUIRE(held.pinned.value() == held.value);
}

void DbModel::TakeOrDropSnapshot() {
  if (snapshots_.size() < kSnapshotsMax && !random_.OneIn(3)) {
    snapshots_.push_back(std::make_unique<HeldSnapshot>(HeldSnapshot{db_->GetSnapshot(), history_.state(), NowMs()}));
  } else if (!snapshots_.empty()) {
    snapshots_.erase(snapshots_.begin() + static_cast<std::ptrdiff_t>(random_.Uniform(snapshots_.size())));
  }
}

void DbModel::NewIterator() {
  if (iterators_.size() >= kIteratorsMax) {
    iterators_.erase(iterators_.begin() + static_cast<std::ptrdiff_t>(random_.Uniform(iterators_.size())));
  }
  const HeldSnapshot* const held =
      snapshots_.empty() || random_.OneIn(2) ? nullptr : snapshots_[random_.Uniform(snapshots_.size())].get();
  const ReadOptions options = Bounded(held == nullptr ? nullptr : &held->snapshot);
  const ModelState& state = held == nullptr ? history_.state() : held->state;
  const uint64_t now_ms = held == nullptr ? NowMs() : held->now_ms;
  iterators_.emplace_back(db_->NewIterator(options), Visible(state, now_ms, options.lower_bound, options.upper_bound));
}

void DbModel::WalkIterator() {
  if (iterators_.empty()) return;
  iterators_[random_.Uniform(iterators_.size())].Walk(&random_, &input_, random_.Uniform(30));
}

}  // namespace bandb::test
