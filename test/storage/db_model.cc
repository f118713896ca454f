#include "storage/db_model.h"

#include <algorithm>

#include "storage/db.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

std::vector<std::pair<std::string, std::string>> Visible(const ModelState& state, uint64_t now_ms,
                                                         const std::string& lower, const std::string& upper) {
  std::vector<std::pair<std::string, std::string>> visible;
  for (const auto& [key, value] : state) {
    if (key < lower || (!upper.empty() && key >= upper) || value.expiry_ms <= now_ms) continue;
    visible.emplace_back(key, value.value);
  }
  return visible;
}

void EraseRange(ModelState* state, const std::string& begin, const std::string& limit) {
  if (begin < limit) state->erase(state->lower_bound(begin), state->lower_bound(limit));
}

}  // namespace

DbModel::DbModel(uint64_t seed) : random_(seed), env_(seed + 1) {
  options_.write_buffer_bytes = 128 << 10;
  options_.table_bytes = 64 << 10;
  options_.level_base_bytes = 64 << 10;
  options_.block_bytes = static_cast<uint32_t>(512u << random_.Uniform(4));
  options_.level0_tables = static_cast<int>(1 + random_.Uniform(4));
  options_.bloom_bits_per_key = random_.OneIn(3) ? 0 : 10;
  options_.block_cache_bytes = random_.OneIn(3) ? 0 : 1 << 20;
  options_.compression = random_.OneIn(2) ? Compression::kNone : Compression::kLz4;
  options_.background_threads = static_cast<int>(1 + random_.Uniform(3));
  key_space_ = static_cast<int>(20 + random_.Uniform(2000));
  Open();
}

DbModel::~DbModel() {
  snapshots_.clear();
  if (db_ != nullptr) CHECK_OK(db_->Close());
}

void DbModel::Open() {
  absl::StatusOr<std::unique_ptr<Db>> db = storage::OpenDb(env_.env(), "/data/db", options_);
  REQUIRE_OK(db.status());
  db_ = *std::move(db);
}

std::string DbModel::RandomKey() {
  const std::string number = std::to_string(random_.Uniform(static_cast<uint64_t>(key_space_)));
  switch (random_.Uniform(20)) {
    case 0:
      return std::string();
    case 1:
      return std::string("\xff\xff", 2) + number;
    case 2:
      return number + std::string(1 + random_.Uniform(300), '\0');
    default:
      return number;
  }
}

std::string DbModel::RandomValue() {
  return std::string(random_.OneIn(10) ? random_.Uniform(5000) : random_.Uniform(150),
                     static_cast<char>('a' + random_.Uniform(26)));
}

uint64_t DbModel::NowMs() { return static_cast<uint64_t>(env_.clock().WallMillis()); }

void DbModel::WriteOne() {
  const WriteOptions options{.sync = random_.OneIn(4)};
  const std::string key = RandomKey();
  switch (random_.Uniform(12)) {
    case 0:
    case 1:
      REQUIRE_OK(db_->Delete(key, options));
      state_.erase(key);
      break;
    case 2: {
      const std::string limit = RandomKey();
      WriteBatch batch;
      batch.DeleteRange(key, limit);
      if (limit.empty()) {
        REQUIRE_CODE(db_->Write(batch, options), kInvalidArgument);
        break;
      }
      REQUIRE_OK(db_->Write(batch, options));
      EraseRange(&state_, key, limit);
      break;
    }
    case 3: {
      WriteBatch batch;
      const auto ttl_ms = static_cast<int64_t>(random_.Uniform(200));
      const std::string value = RandomValue();
      batch.PutWithTtl(key, value, absl::Milliseconds(ttl_ms));
      const uint64_t before_ms = NowMs();
      REQUIRE_OK(db_->Write(batch, options));
      // Time may pass while a write waits for a flush, and then only the database knows when it committed.
      if (NowMs() == before_ms) {
        state_[key] = {value, before_ms + static_cast<uint64_t>(ttl_ms)};
      } else {
        REQUIRE_OK(db_->Delete(key, options));
        state_.erase(key);
      }
      break;
    }
    default: {
      const std::string value = RandomValue();
      REQUIRE_OK(db_->Put(key, value, options));
      state_[key] = {value, UINT64_MAX};
    }
  }
}

void DbModel::WriteBatchWithConditions() {
  WriteBatch batch;
  ModelState after = state_;
  for (uint64_t i = random_.Uniform(20); i > 0; --i) {
    const std::string key = RandomKey();
    if (random_.OneIn(5)) {
      batch.Delete(key);
      after.erase(key);
    } else if (random_.OneIn(8)) {
      const std::string limit = key + "5";
      batch.DeleteRange(key, limit);
      EraseRange(&after, key, limit);
    } else {
      const std::string value = RandomValue();
      batch.Put(key, value);
      after[key] = {value, UINT64_MAX};
    }
  }
  bool holds = true;
  const std::string key = RandomKey();
  const auto at = state_.find(key);
  // Whether a key that expires is there may change while the write waits.
  if (random_.OneIn(2) && (at == state_.end() || at->second.expiry_ms == UINT64_MAX)) {
    const bool present = at != state_.end();
    switch (random_.Uniform(3)) {
      case 0:
        batch.RequirePresent(key);
        holds = present;
        break;
      case 1:
        batch.RequireAbsent(key);
        holds = !present;
        break;
      default: {
        const bool right = random_.OneIn(2);
        batch.RequireValue(key, present && right ? at->second.value : "something else");
        holds = present && right;
      }
    }
  }
  const absl::Status written = db_->Write(batch, {.sync = random_.OneIn(4)});
  if (!holds) {
    REQUIRE_CODE(written, kAborted);
    return;
  }
  REQUIRE_OK(written);
  state_ = std::move(after);
}

void DbModel::Reopen() {
  snapshots_.clear();
  REQUIRE_OK(db_->Close());
  REQUIRE_CODE(db_->Put("a", "b"), kFailedPrecondition);
  REQUIRE_CODE(db_->Get("a").status(), kFailedPrecondition);
  db_.reset();
  Open();
}

void DbModel::TakeOrDropSnapshot() {
  if (snapshots_.size() < 4 && !random_.OneIn(3)) {
    snapshots_.push_back({db_->GetSnapshot(), state_, NowMs()});
  } else if (!snapshots_.empty()) {
    snapshots_.erase(snapshots_.begin() + static_cast<std::ptrdiff_t>(random_.Uniform(snapshots_.size())));
  }
}

void DbModel::Step() {
  const uint64_t what = random_.Uniform(1000);
  if (what < 800) {
    WriteOne();
  } else if (what < 900) {
    WriteBatchWithConditions();
  } else if (what < 920) {
    TakeOrDropSnapshot();
  } else if (what < 925) {
    Reopen();
  } else if (what < 930) {
    REQUIRE_OK(db_->Flush());
  } else if (what < 932) {
    REQUIRE_OK(db_->CompactRange(RandomKey(), random_.OneIn(2) ? std::string() : RandomKey()));
  } else if (what < 940) {
    env_.executor().RunFor(static_cast<int64_t>(random_.Uniform(300)) * 1'000'000);
  } else if (what < 980) {
    CheckGet(state_, NowMs(), {});
  } else if (what < 990) {
    CheckIterator(state_, NowMs(), {});
  } else if (!snapshots_.empty()) {
    const HeldSnapshot& held = snapshots_[random_.Uniform(snapshots_.size())];
    ReadOptions options;
    options.snapshot = &held.snapshot;
    CheckGet(held.state, held.now_ms, options);
    CheckIterator(held.state, held.now_ms, options);
  }
}

void DbModel::Run(int count) {
  for (int i = 0; i < count; ++i) Step();
  CheckAll();
}

void DbModel::CheckAll() {
  CheckIterator(state_, NowMs(), {});
  for (const HeldSnapshot& held : snapshots_) {
    ReadOptions options;
    options.snapshot = &held.snapshot;
    CheckIterator(held.state, held.now_ms, options);
  }
  REQUIRE_OK(db_->VerifyChecksums());
}

void DbModel::CheckGet(const ModelState& state, uint64_t now_ms, const ReadOptions& options) {
  const std::string key = RandomKey();
  const auto at = state.find(key);
  const bool present = at != state.end() && at->second.expiry_ms > now_ms;
  const absl::StatusOr<std::string> got = db_->Get(key, options);
  if (present) {
    REQUIRE_OK(got.status());
    REQUIRE(*got == at->second.value);
  } else {
    REQUIRE_CODE(got.status(), kNotFound);
  }
  const std::string other = RandomKey();
  const std::string_view keys[] = {key, other, key};
  const auto several = db_->MultiGet(keys, options);
  REQUIRE(several.size() == 3);
  REQUIRE(several[0].ok() == present);
  REQUIRE(several[2].ok() == present);
}

void DbModel::CheckIterator(const ModelState& state, uint64_t now_ms, ReadOptions options) {
  if (random_.OneIn(2)) options.lower_bound = RandomKey();
  if (random_.OneIn(2)) options.upper_bound = RandomKey();
  options.fill_cache = random_.OneIn(2);
  const auto expected = Visible(state, now_ms, options.lower_bound, options.upper_bound);
  const std::unique_ptr<Iterator> iterator = db_->NewIterator(options);
  size_t count = 0;
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next(), ++count) {
    REQUIRE(count < expected.size());
    REQUIRE(std::string(iterator->key()) == expected[count].first);
    REQUIRE(iterator->value() == expected[count].second);
  }
  REQUIRE_OK(iterator->status());
  REQUIRE(count == expected.size());
  for (iterator->SeekToLast(); iterator->Valid(); iterator->Prev()) {
    REQUIRE(count > 0);
    --count;
    REQUIRE(std::string(iterator->key()) == expected[count].first);
    REQUIRE(iterator->value() == expected[count].second);
  }
  REQUIRE_OK(iterator->status());
  REQUIRE(count == 0);
  CheckWalk(iterator.get(), expected);
}

// Seeks, and changes of direction in the middle.
void DbModel::CheckWalk(Iterator* iterator, const std::vector<std::pair<std::string, std::string>>& expected) {
  const auto position = [&](const std::string& key) {
    return std::lower_bound(expected.begin(), expected.end(), key,
                            [](const auto& entry, const std::string& wanted) { return entry.first < wanted; }) -
           expected.begin();
  };
  std::ptrdiff_t at = -1;
  const auto size = static_cast<std::ptrdiff_t>(expected.size());
  for (int i = 0; i < 20; ++i) {
    const bool valid = at >= 0 && at < size;
    switch (valid ? random_.Uniform(6) : random_.Uniform(2)) {
      case 0: {
        const std::string target = RandomKey();
        iterator->Seek(target);
        at = position(target);
        break;
      }
      case 1: {
        const std::string target = RandomKey();
        iterator->SeekForPrev(target);
        at = position(target + std::string(1, '\0')) - 1;
        break;
      }
      case 2:
      case 3:
        iterator->Next();
        ++at;
        break;
      default:
        iterator->Prev();
        --at;
    }
    REQUIRE_OK(iterator->status());
    REQUIRE(iterator->Valid() == (at >= 0 && at < size));
    if (!iterator->Valid()) continue;
    REQUIRE(std::string(iterator->key()) == expected[static_cast<size_t>(at)].first);
    REQUIRE(iterator->value() == expected[static_cast<size_t>(at)].second);
  }
}

}  // namespace bandb::test
