#include "storage/read/uncovered_cursor.h"

#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

namespace {

// Ranges of few entries are passed step by step: a seek costs as much as some steps do.
constexpr int kStepsFirst = 8;

class UncoveredCursor final : public Cursor {
 public:
  UncoveredCursor(std::unique_ptr<Cursor> source, std::vector<const FragmentedTombstones*> above, Sequence sequence)
      : source_(std::move(source)), above_(std::move(above)), sequence_(sequence) {
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
    StandForward();
  }
  void SeekForPrev(std::string_view internal_key) override {
    source_->SeekForPrev(internal_key);
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
    bool covered = false;

    bool Holds(std::string_view spaced_key) const {
      return spaced_key >= begin && (limit.empty() || spaced_key < limit);
    }
  };

  Stretch StretchOf(std::string_view spaced_key) const;
  bool IsCovered(std::string_view spaced_key) {
    if (!stretch_.Holds(spaced_key) || !is_known_) stretch_ = StretchOf(spaced_key);
    is_known_ = true;
    return stretch_.covered;
  }
  // From where the source stands to what is not covered.
  void StandForward() {
    Pass([this]() { source_->Next(); }, [this]() { source_->Seek(BeforeAll(stretch_.limit)); });
  }
  void StandBackward() {
    Pass([this]() { source_->Prev(); }, [this]() { source_->SeekForPrev(BeforeAll(stretch_.begin)); });
  }
  template <typename Step, typename Jump>
  void Pass(const Step& step, const Jump& jump) {
    int steps = 0;
    while (source_->Valid()) {
      if (!IsCovered(SpacedKey(source_->key()))) return StandAt(source_->key());
      if (++steps <= kStepsFirst) {
        step();
      } else {
        jump();
      }
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
  const Sequence sequence_;
  // Views what above_ holds.
  Stretch stretch_;
  bool is_known_ = false;
  std::string target_;
};

UncoveredCursor::Stretch UncoveredCursor::StretchOf(std::string_view spaced_key) const {
  Stretch clear;
  for (const FragmentedTombstones* tombstones : above_) {
    const size_t count = tombstones->fragment_count();
    BANDB_ASSERT(count > 0);
    size_t first = tombstones->Find(spaced_key);
    Stretch stretch;
    if (first < count) {
      stretch = {.begin = tombstones->begin(first),
                 .limit = tombstones->limit(first),
                 .covered = tombstones->SequenceAt(first, sequence_) != 0};
    } else if (spaced_key < tombstones->begin(0)) {
      stretch.limit = tombstones->begin(0);
    } else {
      stretch.begin = tombstones->limit(count - 1);
    }
    if (stretch.covered) {
      // One that begins where another one ends goes on with it.
      size_t last = first;
      while (last + 1 < count && tombstones->SequenceAt(last + 1, sequence_) != 0) ++last;
      while (first > 0 && tombstones->SequenceAt(first - 1, sequence_) != 0) --first;
      return {.begin = tombstones->begin(first), .limit = tombstones->limit(last), .covered = true};
    }
    if (stretch.begin > clear.begin) clear.begin = stretch.begin;
    if (clear.limit.empty() || (!stretch.limit.empty() && stretch.limit < clear.limit)) clear.limit = stretch.limit;
  }
  BANDB_ASSERT(clear.Holds(spaced_key));
  return clear;
}

}  // namespace

std::unique_ptr<Cursor> NewUncoveredCursor(std::unique_ptr<Cursor> source,
                                           std::vector<const FragmentedTombstones*> above, Sequence sequence) {
  return std::make_unique<UncoveredCursor>(std::move(source), std::move(above), sequence);
}

}  // namespace bandb::storage
