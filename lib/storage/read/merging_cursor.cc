#include "storage/read/merging_cursor.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

namespace {

// A tournament among the children: the nearest one wins, the smallest key walking forward, the
// largest walking backward. Each inner node of the tree keeps the loser there (Knuth, The Art of
// Computer Programming 3, 5.4.1), so that after the winner has moved, one comparison on each level
// finds the next: half of what a heap takes, which must look at two children of each node. Children
// past their end lose against all others.
//
// With k children, the inner nodes are 1 .. k-1, the leaf of child i is node k+i, and the parent of
// n is n/2.
//
// Which of two children is nearer is as good as random where tables overlap, so the processor would
// mispredict a branch on every other game. Hence a game compares two numbers, and swaps without a
// branch: each player carries the eight bytes of its key after a prefix that all present keys
// share (after Conner, 1977: offset-value coding; simpler here, since the prefix is the same for
// all). Where the numbers are equal, the keys are compared. When a key comes that does not begin
// with the prefix, or equal numbers come often, another prefix is chosen.
class MergingCursor final : public Cursor {
 public:
  explicit MergingCursor(std::vector<std::unique_ptr<Cursor>> children)
      : children_(std::move(children)), losers_(children_.size()), winners_(2 * children_.size()) {}

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
      // Every other child is before the present key; bring them after it.
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
  struct Player {
    uint64_t word;  // the smaller, the nearer; past its end, the largest
    uint64_t child;
  };
  // Words reach this much less far after the prefix than they could, so that it lasts longer as
  // keys go on.
  static constexpr size_t kSpareBytes = 3;
  static constexpr int kTiesMax = 16;

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

  // The whole tournament, from the leaves up: winners_ has the winner of each node.
  void Play() {
    const size_t count = children_.size();
    for (size_t i = 0; i < count; ++i) winners_[count + i] = i;
    for (size_t node = count - 1; node > 0; --node) {
      const size_t left = winners_[2 * node];
      const size_t right = winners_[2 * node + 1];
      const bool left_wins = Beats(left, right);
      winners_[node] = left_wins ? left : right;
      losers_[node].child = left_wins ? right : left;
    }
    winner_ = winners_[1];
    ChoosePrefix();
  }

  // When all losers are known.
  void ChoosePrefix() {
    ties_ = 0;
    std::string_view shared;
    for (const std::unique_ptr<Cursor>& child : children_) {
      if (!child->Valid()) continue;
      const std::string_view key = SpacedKey(child->key());
      if (shared.data() == nullptr) shared = key;
      shared = shared.substr(0, CommonPrefixBytes(shared.data(), key.data(), std::min(shared.size(), key.size())));
    }
    prefix_bytes_ = shared.size() - std::min(shared.size(), kSpareBytes);
    prefix_.assign(shared.substr(0, prefix_bytes_));
    prefix_.append(sizeof(uint64_t), '\0');
    for (Player& loser : losers_) loser.word = WordOf(loser.child);
  }

  bool BeginsWithPrefix(std::string_view spaced_key) const {
    return spaced_key.size() >= prefix_bytes_ &&
           CommonPrefixBytes(prefix_.data(), spaced_key.data(), prefix_bytes_) == prefix_bytes_;
  }

  // Of a child past its end, or whose key begins with the prefix.
  uint64_t WordOf(size_t child) const {
    if (!children_[child]->Valid()) return UINT64_MAX;
    const uint64_t word = KeyWord(children_[child]->key(), prefix_bytes_);
    return forward_ ? word : ~word;
  }

  // The winner has moved: plays its games again.
  void Replay() {
    if (!winner().Valid() && status_.ok()) [[unlikely]] {
      status_ = winner().status();
    }
    if (winner().Valid() && !BeginsWithPrefix(SpacedKey(winner().key()))) [[unlikely]] {
      Play();
      return Stand();
    }
    Player contender{WordOf(winner_), winner_};
    for (size_t node = (children_.size() + winner_) / 2; node > 0; node /= 2) {
      Player& loser = losers_[node];
      bool loser_wins = loser.word < contender.word;
      if (loser.word == contender.word) [[unlikely]] {
        loser_wins = Beats(loser.child, contender.child);
        ++ties_;
      }
      // Swaps the two, or does nothing.
      const uint64_t mask = uint64_t{0} - static_cast<uint64_t>(loser_wins);
      const uint64_t words = (loser.word ^ contender.word) & mask;
      const uint64_t numbers = (loser.child ^ contender.child) & mask;
      loser.word ^= words;
      contender.word ^= words;
      loser.child ^= numbers;
      contender.child ^= numbers;
    }
    winner_ = contender.child;
    if (ties_ > kTiesMax) [[unlikely]] {
      ChoosePrefix();
    }
    Stand();
  }

  void Stand() {
    if (!winner().Valid() || !status_.ok()) [[unlikely]] {
      return StandNowhere();
    }
    StandAt(winner().key());
  }

  // After turning round: false, with an error if there is none yet, unless the walk is at `key`
  // again. Only a table whose entries are out of order makes it be elsewhere.
  bool IsBackAt(std::string_view key) {
    if (Valid() && this->key() == key) return true;
    if (status_.ok()) status_ = base::Error(absl::StatusCode::kDataLoss, "a table's entries are out of order");
    StandNowhere();
    return false;
  }

  const std::vector<std::unique_ptr<Cursor>> children_;
  std::vector<Player> losers_;
  std::vector<size_t> winners_;
  // The prefix, and after it bytes that may be read, as there are after each key.
  std::string prefix_;
  size_t prefix_bytes_ = 0;
  int ties_ = 0;
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
