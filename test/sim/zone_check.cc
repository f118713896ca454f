// Zones. For a value, let f be the earliest return and s the latest call among its write and its
// reads. The value must be current from some time <= f to some time >= s. If f < s that is a
// *forward* zone: the value is current all through (f, s). Else all its operations overlap, and any
// one instant of [s, f] will do: a *backward* zone. The history is linearizable if and only if each
// read has its write and does not return before that write is called, no two forward zones overlap,
// and no backward zone lies inside a forward one. "Absent" is a value written before everything.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "base/assert.h"
#include "sim/linearizability.h"

namespace bandb::sim::lin {
namespace {

struct Zone {
  uint64_t value = kAbsent;
  uint64_t write_call = 0;
  uint64_t first_return = kNever;
  uint64_t last_call = 0;

  bool forward() const { return first_return < last_call; }
  // Times are moved up by one, so that the write of "absent", at 0, precedes them all.
  void Add(const Operation& op) {
    first_return = std::min(first_return, op.ret + 1);
    last_call = std::max(last_call, op.call + 1);
  }
};

KeyVerdict Violation(std::string reason) { return KeyVerdict{Verdict::kViolation, std::move(reason)}; }

// Fills `zones`, one for each value; a read that cannot have its value is a violation.
KeyVerdict BuildZones(const std::vector<Operation>& ops, std::vector<Zone>* zones) {
  std::unordered_map<uint64_t, size_t> zone_of;
  zone_of.reserve(ops.size());
  zones->push_back(Zone{kAbsent, 0, 0, 0});
  zone_of.emplace(kAbsent, 0);
  for (const Operation& op : ops) {
    if (op.kind != OpKind::kPut) continue;
    const bool fresh = zone_of.emplace(op.value, zones->size()).second;
    BANDB_ASSERT(fresh);
    zones->push_back(Zone{op.value, op.call});
    zones->back().Add(op);
  }
  for (const Operation& op : ops) {
    if (op.kind != OpKind::kGet) continue;
    const auto it = zone_of.find(op.found);
    if (it == zone_of.end()) return Violation(fmt::format("value {} was read but never written", op.found));
    Zone& zone = (*zones)[it->second];
    if (op.ret < zone.write_call) return Violation(fmt::format("value {} was read before its write", op.found));
    zone.Add(op);
  }
  return KeyVerdict{};
}

}  // namespace

KeyVerdict CheckByZones(const KeyHistory& history) {
  BANDB_ASSERT(history.zones_apply);
  std::vector<Zone> zones;
  zones.reserve(history.ops.size() + 1);
  KeyVerdict built = BuildZones(history.ops, &zones);
  if (built.verdict != Verdict::kLinearizable) return built;

  std::vector<Zone> forward;
  for (const Zone& zone : zones) {
    if (zone.forward()) forward.push_back(zone);
  }
  std::sort(forward.begin(), forward.end(),
            [](const Zone& a, const Zone& b) { return a.first_return < b.first_return; });
  for (size_t i = 1; i < forward.size(); ++i) {
    // Sorted by their beginnings and free of overlaps so far, only neighbours can overlap.
    if (forward[i].first_return < forward[i - 1].last_call) {
      return Violation(fmt::format("values {} and {} were both current between {} and {}", forward[i - 1].value,
                                   forward[i].value, forward[i].first_return,
                                   std::min(forward[i].last_call, forward[i - 1].last_call)));
    }
  }
  for (const Zone& zone : zones) {
    if (zone.forward()) continue;
    auto after = std::lower_bound(forward.begin(), forward.end(), zone.last_call,
                                  [](const Zone& a, uint64_t time) { return a.first_return < time; });
    if (after == forward.begin()) continue;
    const Zone& around = *(after - 1);
    if (zone.first_return < around.last_call) {
      return Violation(fmt::format("value {} was written and read while {} was current", zone.value, around.value));
    }
  }
  return KeyVerdict{};
}

}  // namespace bandb::sim::lin
