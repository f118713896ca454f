#include "storage/read/db_iterator.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/file/refused_read.h"
#include "storage/key/entry.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

namespace {

// Forward, the cursor is on the entry that is shown. Backward, it is before all versions of
// the key that is shown, whose key and value were copied, since the newest visible version of a key
// is only known once the older ones were passed.
class DbIterator final : public Iterator {
 public:
  explicit DbIterator(DbIteratorParts parts)
      : parts_(std::move(parts)), limit_(MakeInternalKey(parts_.upper, UINT64_MAX)) {}

  bool Valid() const override { return valid_; }

  void SeekToFirst() override {
    if (!IsOpen()) return;
    SeekForward(parts_.lower);
  }

  void SeekToLast() override {
    if (!IsOpen()) return;
    SeekBackwardBefore(parts_.upper);
  }

  void Seek(std::string_view target) override {
    if (!IsOpen()) return;
    spaced_target_ = MakeSpacedKey(parts_.space, target);
    SeekForward(std::max<std::string_view>(spaced_target_, parts_.lower));
  }

  void SeekForPrev(std::string_view target) override {
    if (!IsOpen()) return;
    spaced_target_ = MakeSpacedKey(parts_.space, target);
    // The first key that the target is before: itself with a zero byte after it.
    spaced_target_.push_back('\0');
    SeekBackwardBefore(std::min<std::string_view>(spaced_target_, parts_.upper));
  }

  // Misuse ends the walk with an error; it does not abort the process.
  void Next() override {
    if (!valid_ || !IsOpen()) return;
    if (forward_) {
      key_.assign(SpacedKey(cursor().key()));
      cursor().Next();
    } else {
      // The cursor is before the versions of the present key, or before everything.
      forward_ = true;
      if (cursor().Valid()) {
        cursor().Next();
      } else {
        cursor().SeekToFirst();
      }
    }
    has_skip_key_ = true;
    FindNextVisible();
  }

  void Prev() override {
    if (!valid_ || !IsOpen()) return;
    if (forward_) {
      // Go back over the versions of the present key.
      key_.assign(SpacedKey(cursor().key()));
      forward_ = false;
      do {
        cursor().Prev();
      } while (cursor().Valid() && SpacedKey(cursor().key()) == key_);
    }
    FindPreviousVisible();
  }

  std::string_view key() const override {
    if (!valid_) return {};
    return UserKey(forward_ ? SpacedKey(cursor().key()) : std::string_view(key_));
  }

  std::string_view value() const override {
    if (!valid_) return {};
    return forward_ ? value_ : std::string_view(copied_value_);
  }

  absl::Time expiry() const override {
    if (!valid_) return absl::InfiniteFuture();
    if (!forward_) return copied_expiry_;
    return ExpiryOf(cursor().key(), cursor().value());
  }

  uint64_t version() const override {
    if (!valid_) return 0;
    return forward_ ? TrailerSequence(Trailer(cursor().key())) : copied_version_;
  }

  std::string_view resume_key() const override { return resume_key_; }

  absl::Status status() const override { return status_; }

 private:
  // Of an entry that holds a value.
  static absl::Time ExpiryOf(std::string_view internal_key, std::string_view stored) {
    if (TrailerKind(Trailer(internal_key)) != Kind::kPutWithExpiry) return absl::InfiniteFuture();
    return absl::FromUnixMillis(ExpiryMillis(stored));
  }

  Cursor& cursor() { return *parts_.cursor; }
  const Cursor& cursor() const { return *parts_.cursor; }

  // Clears the position. False, and an error, if the database has closed or holds another state.
  bool IsOpen() {
    valid_ = false;
    resume_key_.clear();
    status_ = absl::OkStatus();
    if (parts_.closed->load(std::memory_order_acquire)) {
      status_ = base::Error(absl::StatusCode::kFailedPrecondition, "the database is closed");
    } else if (parts_.view && parts_.view->IsReplaced()) {
      status_ = ReplacedError();
    }
    return status_.ok();
  }

  void SeekForward(std::string_view spaced_key) {
    forward_ = true;
    has_skip_key_ = false;
    seek_key_.assign(spaced_key);
    base::PutFixed64(&seek_key_, SeekTrailer(parts_.sequence));
    cursor().Seek(seek_key_);
    FindNextVisible();
  }

  void SeekBackwardBefore(std::string_view spaced_key) {
    forward_ = false;
    // The largest trailer comes first among the versions of a key, so this comes before all of
    // them.
    seek_key_.assign(spaced_key);
    base::PutFixed64(&seek_key_, UINT64_MAX);
    cursor().SeekForPrev(seek_key_);
    FindPreviousVisible();
  }

  // True if too many entries that show nothing were passed: then the walk ends before it looks at
  // this key. So walks that go on where another ended get on by a key at least.
  bool GivesUpAt(std::string_view spaced_key) {
    if (parts_.skips_max == 0 || skips_ <= parts_.skips_max) return false;
    resume_key_.assign(UserKey(spaced_key));
    status_ = base::Error(absl::StatusCode::kUnavailable, "gave up after {} entries that show nothing", skips_);
    return true;
  }

  Sequence CoveringTombstone(std::string_view spaced_key) {
    Sequence covering = 0;
    for (const FragmentedTombstones* tombstones : parts_.tombstones) {
      covering = std::max(covering, tombstones->CoveringSequence(spaced_key, parts_.sequence));
    }
    for (LevelTombstones& level : parts_.level_tombstones) {
      covering = std::max(covering, level.CoveringSequence(spaced_key, parts_.sequence));
    }
    return covering;
  }

  // Whether an entry, the newest visible one of its key, holds a value. Errors are left in status_.
  bool Shows(std::string_view internal_key, std::string_view stored, std::string_view* value) {
    const uint64_t trailer = Trailer(internal_key);
    if (!ReadEntry(TrailerKind(trailer), stored, parts_.now_ms, value, &status_)) return false;
    return CoveringTombstone(SpacedKey(internal_key)) < TrailerSequence(trailer);
  }

  // Most keys differ from their predecessors in the last bytes: looks there first.
  bool IsSkipKey(std::string_view spaced_key) const {
    if (spaced_key.size() != key_.size()) return false;
    constexpr size_t kWord = sizeof(uint64_t);
    if (spaced_key.size() >= kWord && base::LoadFixed<uint64_t>(spaced_key.data() + spaced_key.size() - kWord) !=
                                          base::LoadFixed<uint64_t>(key_.data() + key_.size() - kWord)) {
      return false;
    }
    return spaced_key == key_;
  }

  // Forward from where the cursor is: to the first key that shows, past all versions of key_ if
  // has_skip_key_.
  void FindNextVisible() {
    while (cursor().Valid()) {
      const std::string_view internal_key = cursor().key();
      const std::string_view spaced_key = SpacedKey(internal_key);
      if (!InternalKeyBefore(internal_key, limit_)) return;
      if (has_skip_key_ && IsSkipKey(spaced_key)) {
        ++skips_;
        cursor().Next();
        continue;
      }
      if (TrailerSequence(Trailer(internal_key)) > parts_.sequence) {
        cursor().Next();
        continue;
      }
      if (GivesUpAt(spaced_key)) return;
      // The newest visible version: whatever it says settles this key.
      if (Shows(internal_key, cursor().value(), &value_)) {
        valid_ = true;
        return;
      }
      if (!status_.ok()) return;
      ++skips_;
      key_.assign(spaced_key);
      has_skip_key_ = true;
      cursor().Next();
    }
    status_ = ForReader(cursor().status());
  }

  // Backward from where the cursor is, which is before all versions of the last key: to the
  // first key that shows.
  void FindPreviousVisible() {
    while (cursor().Valid()) {
      const std::string_view spaced_key = SpacedKey(cursor().key());
      if (CompareSpacedKeys(spaced_key, parts_.lower) < 0 || GivesUpAt(spaced_key)) return;
      key_.assign(spaced_key);
      // Oldest version first; the last one that is visible counts.
      bool shows = false;
      do {
        const std::string_view internal_key = cursor().key();
        if (TrailerSequence(Trailer(internal_key)) <= parts_.sequence) {
          std::string_view value;
          shows = Shows(internal_key, cursor().value(), &value);
          if (!status_.ok()) return;
          if (shows) {
            copied_value_.assign(value);
            copied_expiry_ = ExpiryOf(internal_key, cursor().value());
            copied_version_ = TrailerSequence(Trailer(internal_key));
          }
        }
        ++skips_;
        cursor().Prev();
      } while (cursor().Valid() && SpacedKey(cursor().key()) == key_);
      // An error here may have hidden a newer version.
      status_ = ForReader(cursor().status());
      if (!status_.ok()) return;
      if (shows) {
        valid_ = true;
        --skips_;
        return;
      }
    }
    status_ = ForReader(cursor().status());
  }

  DbIteratorParts parts_;
  // Before this internal key come all versions of all keys before parts_.upper.
  const std::string limit_;
  bool valid_ = false;
  bool forward_ = true;
  bool has_skip_key_ = false;
  absl::Status status_;
  std::string_view value_;    // forward: in the entry that the cursor is on
  std::string key_;           // forward: the key to skip; backward: the present key
  std::string copied_value_;  // backward
  absl::Time copied_expiry_;  // likewise
  Sequence copied_version_ = 0;
  std::string spaced_target_;
  std::string seek_key_;
  uint64_t skips_ = 0;
  std::string resume_key_;
};

class ErrorIterator final : public Iterator {
 public:
  explicit ErrorIterator(absl::Status status) : status_(std::move(status)) {}
  bool Valid() const override { return false; }
  void SeekToFirst() override {}
  void SeekToLast() override {}
  void Seek(std::string_view) override {}
  void SeekForPrev(std::string_view) override {}
  void Next() override {}
  void Prev() override {}
  std::string_view key() const override { return {}; }
  std::string_view value() const override { return {}; }
  absl::Status status() const override { return status_; }

 private:
  const absl::Status status_;
};

}  // namespace

std::unique_ptr<Iterator> NewDbIterator(DbIteratorParts parts) {
  return std::make_unique<DbIterator>(std::move(parts));
}

std::unique_ptr<Iterator> NewErrorIterator(absl::Status status) {
  return std::make_unique<ErrorIterator>(std::move(status));
}

}  // namespace bandb::storage
