// Is a client history linearizable? An exact answer for any number of keys, in O(n log n) where it
// can be had.
//
// Linearizability is local: a history is linearizable if the history of each key is. For one key:
//
// * First the history is simplified without changing the answer. What was not done is dropped, and
//   so are reads that never answered. Where values are unique, a write of unknown outcome whose
//   value somebody saw did take effect, and before the first of those readers returned; one whose
//   value nobody saw may always be thought of as the last.
// * With only gets and puts of unique values the zones of Gibbons and Korach ("Testing shared
//   memories", 1997) decide: the operations of one value span a zone, and the answer follows from
//   how the zones lie. O(n log n).
// * Else a search: just-in-time linearization (Lowe, "Testing for linearizability", 2017), which is
//   the search of Wing and Gong taken breadth first. It walks through the events and holds the set
//   of all configurations (value, which of the open operations took effect already) that explain
//   the past. Its memory is that of the open window, not of the history. A read that is legal now
//   is taken at once: it can do no harm and might not be legal later.
//
// Thread safety: pure functions.
#ifndef BANDB_TEST_SIM_LINEARIZABILITY_H_
#define BANDB_TEST_SIM_LINEARIZABILITY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sim/history.h"

namespace bandb::sim {

// kUndecided: the window or the number of configurations outgrew the limits. Treat it as a failure.
enum class Verdict { kLinearizable, kViolation, kUndecided };

struct LinearizabilityResult {
  Verdict verdict = Verdict::kLinearizable;
  // For the first key that is not linearizable: the key, why, and a small history that shows it.
  uint64_t key = 0;
  std::string reason;
  std::vector<Operation> culprit;
  // How the keys were decided.
  uint64_t keys_by_zones = 0;
  uint64_t keys_by_search = 0;
};

// The verdict on a whole history; every key starts out absent.
LinearizabilityResult CheckLinearizability(const std::vector<Operation>& history);

// The pieces, for their tests. All take the history of one key.
namespace lin {

struct KeyVerdict {
  Verdict verdict = Verdict::kLinearizable;
  std::string reason;
};

// What remains to be explained. Operations with ret == kNever are optional: they may have taken
// effect.
struct KeyHistory {
  std::vector<Operation> ops;
  bool unique_values = true;
  // Only gets and puts remain, all of them returned.
  bool zones_apply = true;
};

KeyHistory Simplify(const std::vector<Operation>& ops);
// `history` must satisfy zones_apply and unique_values.
KeyVerdict CheckByZones(const KeyHistory& history);
KeyVerdict CheckBySearch(const KeyHistory& history);
// Simplifies and picks the method.
KeyVerdict CheckKey(const std::vector<Operation>& ops);

}  // namespace lin
}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_LINEARIZABILITY_H_
