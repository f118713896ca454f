#include "storage/merging_cursor.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "storage/internal_key.h"

namespace bandb::storage {

namespace {

// A child with its present key at hand, so that comparing children costs no virtual call.
struct Child {
  std::unique_ptr<Cursor> cursor;
  std::string_view key;
};

// The children that are valid form a heap, the nearest on top: the smallest key walking forward, the largest walking
// backward.
class MergingCursor final : public Cursor {
 public:
  explicit MergingCursor(std::vector<std::unique_ptr<Cursor>> cursors) {
    children_.reserve(cursors.size());
    for (std::unique_ptr<Cursor>& cursor : cursors) children_.push_back({std::move(cursor), {}});
    heap_.reserve(children_.size());
  }

  bool Valid() const override { return !heap_.empty() && status_.ok(); }

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
    if (!forward_) {
      // Every other child stands before the present key; bring them behind it.
      const std::string key(this->key());
      SeekAll(true, [&key](Cursor* cursor) { cursor->Seek(key); });
      if (!Valid()) return;
      BANDB_ASSERT(this->key() == key);
    }
    Child* top = heap_.front();
    top->cursor->Next();
    Settle(top);
  }

  void Prev() override {
    if (forward_) {
      const std::string key(this->key());
      SeekAll(false, [&key](Cursor* cursor) { cursor->SeekForPrev(key); });
      if (!Valid()) return;
      BANDB_ASSERT(this->key() == key);
    }
    Child* top = heap_.front();
    top->cursor->Prev();
    Settle(top);
  }

  std::string_view key() const override { return heap_.front()->key; }
  std::string_view value() const override { return heap_.front()->cursor->value(); }
  absl::Status status() const override { return status_; }

 private:
  // True if a is nearer than b.
  bool Nearer(const Child* a, const Child* b) const {
    const int order = CompareInternalKeys(a->key, b->key);
    return forward_ ? order < 0 : order > 0;
  }

  template <typename SeekChild>
  void SeekAll(bool forward, SeekChild seek) {
    forward_ = forward;
    heap_.clear();
    status_ = absl::OkStatus();
    for (Child& child : children_) {
      seek(child.cursor.get());
      if (child.cursor->Valid()) {
        child.key = child.cursor->key();
        heap_.push_back(&child);
      } else if (status_.ok()) {
        status_ = child.cursor->status();
      }
    }
    std::make_heap(heap_.begin(), heap_.end(), [this](const Child* a, const Child* b) { return Nearer(b, a); });
  }

  // The top child has moved: puts it in its place, or takes it out.
  void Settle(Child* top) {
    if (top->cursor->Valid()) {
      top->key = top->cursor->key();
    } else {
      if (status_.ok()) status_ = top->cursor->status();
      heap_.front() = heap_.back();
      heap_.pop_back();
      if (heap_.empty()) return;
    }
    SiftDown();
  }

  void SiftDown() {
    const size_t size = heap_.size();
    Child* moving = heap_[0];
    size_t at = 0;
    while (true) {
      size_t child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && Nearer(heap_[child + 1], heap_[child])) ++child;
      if (!Nearer(heap_[child], moving)) break;
      heap_[at] = heap_[child];
      at = child;
    }
    heap_[at] = moving;
  }

  std::vector<Child> children_;
  std::vector<Child*> heap_;
  bool forward_ = true;
  absl::Status status_;
};

class EmptyCursor final : public Cursor {
 public:
  bool Valid() const override { return false; }
  void SeekToFirst() override {}
  void SeekToLast() override {}
  void Seek(std::string_view) override {}
  void SeekForPrev(std::string_view) override {}
  void Next() override { BANDB_UNREACHABLE(); }
  void Prev() override { BANDB_UNREACHABLE(); }
  std::string_view key() const override { BANDB_UNREACHABLE(); }
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
