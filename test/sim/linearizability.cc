#include "sim/linearizability.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/assert.h"

namespace bandb::sim {
namespace lin {
namespace {

bool Writes(const Operation& op) { return op.kind == OpKind::kPut || op.kind == OpKind::kCas; }

// True if `op` proves that the value it found was there at some time before it returned.
bool Observes(const Operation& op) { return op.done() && (op.kind == OpKind::kGet || op.kind == OpKind::kCas); }

struct Sightings {
  // For each value that was seen, the earliest return of an operation that saw it.
  std::unordered_map<uint64_t, uint64_t> first_return;
  bool unique_values = true;
};

// Notes that `value` was there before `ret`. True if that is news.
bool Note(uint64_t value, uint64_t ret, Sightings* sightings) {
  auto [it, fresh] = sightings->first_return.emplace(value, ret);
  if (fresh || it->second <= ret) return fresh;
  it->second = ret;
  return true;
}

Sightings Collect(const std::vector<Operation>& ops) {
  Sightings sightings;
  std::unordered_map<uint64_t, bool> written;
  std::vector<const Operation*> unknown_cas;
  for (const Operation& op : ops) {
    BANDB_ASSERT(!Writes(op) || op.value != kAbsent);
    if (Writes(op) && !written.emplace(op.value, true).second) sightings.unique_values = false;
    if (Observes(op)) Note(op.found, op.ret, &sightings);
    if (op.kind == OpKind::kCas && op.outcome == Outcome::kUnknown) unknown_cas.push_back(&op);
  }
  // A conditional write whose value was seen did swap, so it saw what it expected: that may settle
  // yet another.
  for (bool news = sightings.unique_values; news;) {
    news = false;
    for (const Operation* op : unknown_cas) {
      const auto it = sightings.first_return.find(op->value);
      if (it != sightings.first_return.end() && Note(op->expected, it->second, &sightings)) news = true;
    }
  }
  return sightings;
}

// An unknown write of a unique value, settled: either it was seen, and then it took effect before
// the first sighting returned, or it is dropped (false).
bool Settle(const Sightings& sightings, Operation* op) {
  const auto it = sightings.first_return.find(op->value);
  if (it == sightings.first_return.end()) return false;
  op->ret = it->second;
  op->outcome = Outcome::kDone;
  op->found = op->expected;
  return true;
}

}  // namespace

KeyHistory Simplify(const std::vector<Operation>& ops) {
  const Sightings sightings = Collect(ops);
  KeyHistory result;
  result.unique_values = sightings.unique_values;
  result.ops.reserve(ops.size());
  for (Operation op : ops) {
    if (op.outcome == Outcome::kNotDone) continue;
    if (op.outcome == Outcome::kUnknown) {
      if (op.kind == OpKind::kGet) continue;
      op.ret = kNever;
      if (Writes(op) && result.unique_values && !Settle(sightings, &op)) continue;
    }
    if (op.kind == OpKind::kDelete || op.kind == OpKind::kCas || op.ret == kNever) result.zones_apply = false;
    result.ops.push_back(op);
  }
  if (!result.unique_values) result.zones_apply = false;
  return result;
}

KeyVerdict CheckKey(const std::vector<Operation>& ops) {
  const KeyHistory history = Simplify(ops);
  return history.zones_apply ? CheckByZones(history) : CheckBySearch(history);
}

}  // namespace lin

namespace {

// Takes away what the violation does not need, one value at a time (a write and those who saw it,
// so that no read is left without its write), then one read at a time.
std::vector<Operation> Shrink(std::vector<Operation> ops) {
  constexpr size_t kShrinkOpsMax = 4000;
  if (ops.size() > kShrinkOpsMax) return ops;
  const auto still_fails = [](const std::vector<Operation>& candidate) {
    return lin::CheckKey(candidate).verdict == Verdict::kViolation;
  };
  const auto without = [&](auto&& drop) {
    std::vector<Operation> rest;
    for (size_t i = 0; i < ops.size(); ++i) {
      if (!drop(i)) rest.push_back(ops[i]);
    }
    return rest;
  };
  std::vector<uint64_t> values;
  for (const Operation& op : ops) {
    if (op.kind == OpKind::kPut || op.kind == OpKind::kCas) values.push_back(op.value);
  }
  for (uint64_t value : values) {
    auto rest =
        without([&](size_t i) { return ops[i].value == value || ops[i].expected == value || ops[i].found == value; });
    if (rest.size() < ops.size() && still_fails(rest)) ops = std::move(rest);
  }
  for (size_t index = ops.size(); index-- > 0;) {
    if (ops[index].kind == OpKind::kPut || ops[index].kind == OpKind::kCas) continue;
    auto rest = without([&](size_t i) { return i == index; });
    if (still_fails(rest)) ops = std::move(rest);
  }
  return ops;
}

}  // namespace

LinearizabilityResult CheckLinearizability(const std::vector<Operation>& history) {
  // Grouped by a stable sort of indices, so that nothing depends on the order of a hash container.
  std::vector<uint32_t> order(history.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint32_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return history[a].key < history[b].key; });
  LinearizabilityResult result;
  std::vector<Operation> ops;
  for (size_t begin = 0; begin < order.size();) {
    const uint64_t key = history[order[begin]].key;
    ops.clear();
    for (; begin < order.size() && history[order[begin]].key == key; ++begin) ops.push_back(history[order[begin]]);
    const lin::KeyHistory simple = lin::Simplify(ops);
    ++(simple.zones_apply ? result.keys_by_zones : result.keys_by_search);
    lin::KeyVerdict verdict = simple.zones_apply ? lin::CheckByZones(simple) : lin::CheckBySearch(simple);
    if (verdict.verdict == Verdict::kLinearizable) continue;
    result.verdict = verdict.verdict;
    result.key = key;
    result.reason = std::move(verdict.reason);
    result.culprit = verdict.verdict == Verdict::kViolation ? Shrink(ops) : ops;
    return result;
  }
  return result;
}

}  // namespace bandb::sim
