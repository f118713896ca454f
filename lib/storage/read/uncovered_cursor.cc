#include "storage/read/uncovered_cursor.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

namespace {

// Ranges of few entries are passed step by step: a seek costs as much as some steps do.
constexpr int kStepsFirst = 8;
// How often one move of the walk may jump. Then it shows what is hidden, which its reader passes
// and counts as it does any other entry that it must not show.
constexpr int kJumpsMax = 16;
// How many fragments in a row one jump may join.
constexpr size_t kJoinedMax = 64;

class UncoveredCursor final : public Cursor {
 public:
  UncoveredCursor(std::unique_ptr<Cursor> source, std::vector<const FragmentedTombstones*> above,
                  const UncoveredCursorBounds& bounds)
      : source_(std::move(source)),
        above_(std::move(above)),
        lower_(bounds.lower),
        upper_(bounds.upper),
        sequence_(bounds.sequence) {
    std::erase_if(above_, [](const FragmentedTombstones* tombstones) { return tombstones->empty(); });
  }

  void SeekToFirst() override {
    source_->SeekToFirst();
    StandForward();
  }
  void SeekToLast() override {
    source_->SeekToLast();
    StandBackward();
  }
  void Seek(std::string_view internal_key) override {
    source_->Seek(internal_key);
    if (IsShown(internal_key)) return StandAt(source_->key());
    StandForward();
  }
  void SeekForPrev(std::string_view internal_key) override {
    source_->SeekForPrev(internal_key);
    if (IsShown(internal_key)) return StandAt(source_->key());
    StandBackward();
  }
  void Next() override {
    source_->Next();
    StandForward();
  }
  void Prev() override {
    source_->Prev();
    StandBackward();
  }
  std::string_view value() const override { return source_->value(); }
  absl::Status status() const override { return source_->status(); }

 private:
  // The keys [begin, limit) around one that was looked at, all of them covered or none. A limit of
  // no bytes: to the end of all.
  struct Stretch {
    std::string_view begin;
    std::string_view limit;
    const FragmentedTombstones* covered_by = nullptr;
    size_t fragment = 0;  // of covered_by

    bool Holds(std::string_view spaced_key) const {
      return spaced_key >= begin && (limit.empty() || spaced_key < limit);
    }
  };

  Stretch StretchOf(std::string_view spaced_key) const;
  bool IsCovered(std::string_view spaced_key) {
    if (!stretch_.Holds(spaced_key) || !is_known_) stretch_ = StretchOf(spaced_key);
    is_known_ = true;
    return stretch_.covered_by != nullptr;
  }
  bool FragmentIsCovered(size_t fragment) const { return stretch_.covered_by->SequenceAt(fragment, sequence_) != 0; }
  // Where the range ends that begins with the present stretch, of which the fragments go on without
  // a gap, or somewhere before that; and the same in the other direction.
  std::string_view EndForward() const {
    size_t last = stretch_.fragment;
    const size_t most = std::min(stretch_.covered_by->fragment_count() - 1, last + kJoinedMax);
    while (last < most && FragmentIsCovered(last + 1)) ++last;
    return stretch_.covered_by->limit(last);
  }
  std::string_view EndBackward() const {
    size_t first = stretch_.fragment;
    const size_t least = first - std::min(first, kJoinedMax);
    while (first > least && FragmentIsCovered(first - 1)) --first;
    return stretch_.covered_by->begin(first);
  }
  // Whether the source is at that key, and it was shown though it may be hidden: a walk that turns
  // round there finds it again.
  bool IsShown(std::string_view internal_key) const {
    return shown_ == internal_key && source_->Valid() && source_->key() == internal_key;
  }
  // From where the source stands to what is not covered, or that the walk does not come to.
  void StandForward() {
    Pass([this](std::string_view key) { return key >= upper_; }, [this]() { source_->Next(); },
         [this]() { source_->Seek(BeforeAll(EndForward())); });
  }
  void StandBackward() {
    Pass([this](std::string_view key) { return key < lower_; }, [this]() { source_->Prev(); },
         [this]() { source_->SeekForPrev(BeforeAll(EndBackward())); });
  }
  template <typename IsBeyond, typename Step, typename Jump>
  void Pass(const IsBeyond& is_beyond, const Step& step, const Jump& jump) {
    for (int moves = 0; source_->Valid(); ++moves) {
      const std::string_view key = SpacedKey(source_->key());
      const bool has_moved_enough = moves == kStepsFirst + kJumpsMax || is_beyond(key);
      if (has_moved_enough) shown_.assign(source_->key());
      if (has_moved_enough || !IsCovered(key)) return StandAt(source_->key());
      moves < kStepsFirst ? step() : jump();
    }
    StandNowhere();
  }
  // Comes before all entries of the spaced key, whether there are any or not.
  std::string_view BeforeAll(std::string_view spaced_key) {
    target_.assign(spaced_key);
    base::PutFixed64(&target_, UINT64_MAX);
    return target_;
  }

  const std::unique_ptr<Cursor> source_;
  std::vector<const FragmentedTombstones*> above_;
  const std::string lower_;
  const std::string upper_;
  const Sequence sequence_;
  // Views what above_ holds.
  Stretch stretch_;
  bool is_known_ = false;
  std::string target_;
  // The last entry that was shown without a look whether it is hidden.
  std::string shown_;
};

UncoveredCursor::Stretch UncoveredCursor::StretchOf(std::string_view spaced_key) const {
  Stretch clear;
  for (const FragmentedTombstones* tombstones : above_) {
    const size_t count = tombstones->fragment_count();
    BANDB_ASSERT(count > 0);
    const size_t first = tombstones->Find(spaced_key);
    Stretch stretch;
    if (first < count) {
      const bool covered = tombstones->SequenceAt(first, sequence_) != 0;
      stretch = {.begin = tombstones->begin(first),
                 .limit = tombstones->limit(first),
                 .covered_by = covered ? tombstones : nullptr,
                 .fragment = first};
    } else if (spaced_key < tombstones->begin(0)) {
      stretch.limit = tombstones->begin(0);
    } else {
      stretch.begin = tombstones->limit(count - 1);
    }
    if (stretch.covered_by != nullptr) return stretch;
    if (stretch.begin > clear.begin) clear.begin = stretch.begin;
    if (clear.limit.empty() || (!stretch.limit.empty() && stretch.limit < clear.limit)) clear.limit = stretch.limit;
  }
  BANDB_ASSERT(clear.Holds(spaced_key));
  return clear;
}

}  // namespace

std::unique_ptr<Cursor> NewUncoveredCursor(std::unique_ptr<Cursor> source,
                                           std::vector<const FragmentedTombstones*> above,
                                           const UncoveredCursorBounds& bounds) {
  return std::make_unique<UncoveredCursor>(std::move(source), std::move(above), bounds);
}

}  // namespace bandb::storage
