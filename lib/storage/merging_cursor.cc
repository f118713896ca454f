#include "storage/merging_cursor.h"

#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/internal_key.h"

namespace bandb::storage {

namespace {

// A tournament among the children: the nearest one wins, the smallest key walking forward, the largest walking
// backward. Each inner node of the tree keeps who lost there (Knuth, The Art of Computer Programming 3, 5.4.1), so that
// after the winner has moved, one comparison on each level finds the next: half of what a heap takes, which must look
// at two children of each node. Children past their end lose against all others.
//
// With k children, the inner nodes are 1 .. k-1, the leaf of child i is node k+i, and the parent of n is n/2.
class MergingCursor final : public Cursor {
 public:
  explicit MergingCursor(std::vector<std::unique_ptr<Cursor>> children)
      : children_(std::move(children)), losers_(children_.size()) {}

  void SeekToFirst() override {
    SeekAll(true, [](Cursor* cursor) { cursor->SeekToFirst(); });
  }
  void SeekToLast() override {
    SeekAll(false, [](Cursor* cursor) { cursor->SeekToLast(); });
  }
  void Seek(std::string_view target) override {
    SeekAll(true, [target](Cursor* cursor) { cursor->Seek(target); });
  }
  void SeekForPrev(std::string_view target) override {
    SeekAll(false, [target](Cursor* cursor) { cursor->SeekForPrev(target); });
  }

  void Next() override {
    if (!forward_) [[unlikely]] {
      // Every other child stands before the present key; bring them behind it.
      const std::string key(this->key());
      SeekAll(true, [&key](Cursor* cursor) { cursor->Seek(key); });
      if (!IsBackAt(key)) return;
    }
    winner().Next();
    Replay();
  }

  void Prev() override {
    if (forward_) [[unlikely]] {
      const std::string key(this->key());
      SeekAll(false, [&key](Cursor* cursor) { cursor->SeekForPrev(key); });
      if (!IsBackAt(key)) return;
    }
    winner().Prev();
    Replay();
  }

  std::string_view value() const override { return children_[winner_]->value(); }
  absl::Status status() const override { return status_; }

 private:
  Cursor& winner() { return *children_[winner_]; }

  // True if child a beats child b.
  bool Beats(size_t a, size_t b) const {
    const Cursor& left = *children_[a];
    const Cursor& right = *children_[b];
    if (!left.Valid()) return false;
    if (!right.Valid()) return true;
    return forward_ ? InternalKeyBefore(left.key(), right.key()) : InternalKeyBefore(right.key(), left.key());
  }

  template <typename SeekChild>
  void SeekAll(bool forward, SeekChild seek) {
    forward_ = forward;
    status_ = absl::OkStatus();
    for (const std::unique_ptr<Cursor>& child : children_) {
      seek(child.get());
      if (!child->Valid() && status_.ok()) status_ = child->status();
    }
    Play();
    Stand();
  }

  // The whole tournament, from the leaves up: winners_ is who comes out of each node.
  void Play() {
    const size_t count = children_.size();
    winners_.resize(2 * count);
    for (size_t i = 0; i < count; ++i) winners_[count + i] = i;
    for (size_t node = count - 1; node > 0; --node) {
      const size_t left = winners_[2 * node];
      const size_t right = winners_[2 * node + 1];
      const bool left_wins = Beats(left, right);
      winners_[node] = left_wins ? left : right;
      losers_[node] = left_wins ? right : left;
    }
    winner_ = winners_[1];
  }

  // The winner has moved: plays its games again.
  void Replay() {
    if (!winner().Valid() && status_.ok()) [[unlikely]] {
      status_ = winner().status();
    }
    size_t contender = winner_;
    for (size_t node = (children_.size() + contender) / 2; node > 0; node /= 2) {
      if (Beats(losers_[node], contender)) std::swap(losers_[node], contender);
    }
    winner_ = contender;
    Stand();
  }

  void Stand() {
    if (!winner().Valid() || !status_.ok()) [[unlikely]] {
      return StandNowhere();
    }
    StandAt(winner().key());
  }

  // After turning round: false, with an error if there is none yet, unless the walk stands at `key` again. Only a table
  // whose entries are out of order makes it stand elsewhere.
  bool IsBackAt(std::string_view key) {
    if (Valid() && this->key() == key) return true;
    if (status_.ok()) status_ = base::Error(absl::StatusCode::kDataLoss, "a table's entries are out of order");
    StandNowhere();
    return false;
  }

  const std::vector<std::unique_ptr<Cursor>> children_;
  std::vector<size_t> losers_;
  std::vector<size_t> winners_;
  size_t winner_ = 0;
  bool forward_ = true;
  absl::Status status_;
};

class EmptyCursor final : public Cursor {
 public:
  void SeekToFirst() override {}
  void SeekToLast() override {}
  void Seek(std::string_view) override {}
  void SeekForPrev(std::string_view) override {}
  void Next() override { BANDB_UNREACHABLE(); }
  void Prev() override { BANDB_UNREACHABLE(); }
  std::string_view value() const override { BANDB_UNREACHABLE(); }
  absl::Status status() const override { return absl::OkStatus(); }
};

}  // namespace

std::unique_ptr<Cursor> NewMergingCursor(std::vector<std::unique_ptr<Cursor>> children) {
  if (children.empty()) return std::make_unique<EmptyCursor>();
  if (children.size() == 1) return std::move(children.front());
  return std::make_unique<MergingCursor>(std::move(children));
}

}  // namespace bandb::storage
