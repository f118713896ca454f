// Just-in-time linearization over the events of one key. See linearizability.h.
//
// A configuration is (current value, which of the open operations took effect, how many unknown
// deletes were used). Unknown deletes are interchangeable and never return, so only their number
// counts, and a configuration that used fewer is better. At the return of an operation every
// surviving configuration must have it in effect: those that have not are extended by open
// operations, in all orders, until it is.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "sim/linearizability.h"

namespace bandb::sim::lin {
namespace {

constexpr size_t kSlots = 128;
constexpr size_t kConfigurationsMax = 1u << 20;

struct Configuration {
  uint64_t value = kAbsent;
  std::array<uint64_t, kSlots / 64> effective = {};
  uint32_t deletes_used = 0;

  bool Has(size_t slot) const { return (effective[slot / 64] >> (slot % 64) & 1) != 0; }
  void Set(size_t slot) { effective[slot / 64] |= uint64_t{1} << (slot % 64); }
  void Clear(size_t slot) { effective[slot / 64] &= ~(uint64_t{1} << (slot % 64)); }
  bool SameExceptDeletes(const Configuration& other) const {
    return value == other.value && effective == other.effective;
  }
  uint64_t Hash() const {
    uint64_t h = value * 0x9e3779b97f4a7c15ull;
    for (uint64_t word : effective) h = (h ^ word ^ (h >> 29)) * 0xbf58476d1ce4e5b9ull;
    return h ^ (h >> 32);
  }
};

// A set that remembers the order of insertion. Of two that differ only in the deletes they used,
// the thriftier stays.
class ConfigurationSet {
 public:
  ConfigurationSet() : table_(kSmallest, 0) {}

  // True if `c` was new, or better than what was there.
  bool Insert(const Configuration& c) {
    if (items_.size() * 2 >= table_.size()) Grow();
    const size_t mask = table_.size() - 1;
    for (size_t i = c.Hash() & mask;; i = (i + 1) & mask) {
      if (table_[i] == 0) {
        items_.push_back(c);
        table_[i] = static_cast<uint32_t>(items_.size());
        return true;
      }
      Configuration& there = items_[table_[i] - 1];
      if (!there.SameExceptDeletes(c)) continue;
      if (there.deletes_used <= c.deletes_used) return false;
      there.deletes_used = c.deletes_used;
      return true;
    }
  }
  void Clear() {
    if (!items_.empty()) table_.assign(kSmallest, 0);
    items_.clear();
  }
  std::vector<Configuration>& items() { return items_; }

 private:
  static constexpr size_t kSmallest = 16;

  void Grow() {
    table_.assign(table_.size() * 2, 0);
    const size_t mask = table_.size() - 1;
    for (size_t n = 0; n < items_.size(); ++n) {
      size_t i = items_[n].Hash() & mask;
      while (table_[i] != 0) i = (i + 1) & mask;
      table_[i] = static_cast<uint32_t>(n + 1);
    }
  }

  std::vector<Configuration> items_;
  std::vector<uint32_t> table_;
};

struct Event {
  uint64_t time;
  bool is_return;
  uint32_t op;
};

class Search {
 public:
  explicit Search(const std::vector<Operation>& ops) : ops_(ops), slot_of_(ops.size(), kSlots) {
    for (size_t slot = kSlots; slot-- > 0;) free_slots_.push_back(slot);
    current_.Insert(Configuration{});
  }

  KeyVerdict Run() {
    for (const Event& event : Events()) {
      if (!event.is_return && !Call(event.op)) return {Verdict::kUndecided, "too many operations at once on one key"};
      if (!event.is_return) continue;
      const Verdict verdict = Return(event.op);
      if (verdict == Verdict::kUndecided) return {verdict, "too many configurations"};
      if (verdict == Verdict::kViolation) return {verdict, "nothing explains " + Describe(ops_[event.op])};
    }
    return KeyVerdict{};
  }

 private:
  std::vector<Event> Events() const {
    std::vector<Event> events;
    events.reserve(ops_.size() * 2);
    for (uint32_t i = 0; i < ops_.size(); ++i) {
      events.push_back({ops_[i].call, false, i});
      if (ops_[i].ret != kNever) events.push_back({ops_[i].ret, true, i});
    }
    // At equal times calls come first: operations that touch are concurrent.
    std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
      return a.time != b.time ? a.time < b.time : (a.is_return != b.is_return ? b.is_return : a.op < b.op);
    });
    return events;
  }

  // Changes no value if it takes effect at `value`, and is legal there.
  static bool LegalRead(const Operation& op, uint64_t value) {
    if (op.kind == OpKind::kGet) return op.found == value;
    return op.kind == OpKind::kCas && op.done() && !op.swapped() && op.found == value;
  }

  // The value after `op` takes effect at `value`, if it may and changes it.
  static bool LegalWrite(const Operation& op, uint64_t value, uint64_t* after) {
    *after = op.kind == OpKind::kDelete ? kAbsent : op.value;
    if (op.kind == OpKind::kPut || op.kind == OpKind::kDelete) return true;
    return op.kind == OpKind::kCas && (!op.done() || op.swapped()) && op.expected == value;
  }

  void TakeLegalReads(Configuration* c) const {
    for (size_t slot : open_) {
      if (!c->Has(slot) && LegalRead(ops_[op_in_[slot]], c->value)) c->Set(slot);
    }
  }

  bool Call(uint32_t index) {
    const Operation& op = ops_[index];
    if (op.kind == OpKind::kDelete && op.ret == kNever) {
      ++unknown_deletes_;
      return true;
    }
    if (free_slots_.empty()) return false;
    const size_t slot = free_slots_.back();
    free_slots_.pop_back();
    slot_of_[index] = slot;
    op_in_[slot] = index;
    open_.push_back(slot);
    for (Configuration& c : current_.items()) {
      if (LegalRead(op, c.value)) c.Set(slot);
    }
    return true;
  }

  // Puts `c`, which has the returning slot in effect, among the survivors.
  void Survive(Configuration c, size_t slot) {
    c.Clear(slot);
    next_.Insert(c);
  }

  void Reach(Configuration c, size_t slot) {
    TakeLegalReads(&c);
    if (c.Has(slot)) {
      Survive(c, slot);
    } else if (seen_.Insert(c)) {
      work_.push_back(c);
    }
  }

  void Extend(const Configuration& c, size_t slot) {
    for (size_t other : open_) {
      uint64_t after = kAbsent;
      if (c.Has(other) || !LegalWrite(ops_[op_in_[other]], c.value, &after)) continue;
      Configuration more = c;
      more.value = after;
      more.Set(other);
      Reach(more, slot);
    }
    if (c.deletes_used < unknown_deletes_ && c.value != kAbsent) {
      Configuration more = c;
      more.value = kAbsent;
      ++more.deletes_used;
      Reach(more, slot);
    }
  }

  Verdict Return(uint32_t index) {
    const size_t slot = slot_of_[index];
    // A settled write may "return" before it is called: its value was seen too early.
    if (slot == kSlots) return Verdict::kViolation;
    next_.Clear();
    seen_.Clear();
    for (const Configuration& c : current_.items()) Reach(c, slot);
    while (!work_.empty()) {
      if (seen_.items().size() > kConfigurationsMax) return Verdict::kUndecided;
      const Configuration c = work_.back();
      work_.pop_back();
      Extend(c, slot);
    }
    open_.erase(std::find(open_.begin(), open_.end(), slot));
    free_slots_.push_back(slot);
    std::swap(current_, next_);
    return current_.items().empty() ? Verdict::kViolation : Verdict::kLinearizable;
  }

  const std::vector<Operation>& ops_;
  std::vector<size_t> slot_of_;
  std::array<uint32_t, kSlots> op_in_ = {};
  std::vector<size_t> free_slots_;
  std::vector<size_t> open_;
  uint32_t unknown_deletes_ = 0;
  ConfigurationSet current_, next_, seen_;
  std::vector<Configuration> work_;
};

}  // namespace

KeyVerdict CheckBySearch(const KeyHistory& history) { return Search(history.ops).Run(); }

}  // namespace bandb::sim::lin
