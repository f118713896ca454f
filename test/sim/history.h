// What clients of a key-value store saw: one record for each call, in the form that the checkers
// read.
//
// Time is a number that grows: the event counter of a simulation, or nanoseconds of one monotonic
// clock. An operation precedes another if it returned strictly before the other was called; all
// else is concurrent.
#ifndef BANDB_TEST_SIM_HISTORY_H_
#define BANDB_TEST_SIM_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

namespace bandb::sim {

enum class OpKind : uint8_t { kGet, kPut, kDelete, kCas };

// What the client knows. kUnknown: it may have taken effect, may yet do so, or never will.
enum class Outcome : uint8_t { kDone, kNotDone, kUnknown };

// The value of a key that is not there. No write may write it.
inline constexpr uint64_t kAbsent = 0;
// The return time of an operation that never returned.
inline constexpr uint64_t kNever = UINT64_MAX;

struct Operation {
  OpKind kind = OpKind::kGet;
  Outcome outcome = Outcome::kUnknown;
  uint32_t client = 0;
  uint64_t key = 0;
  // kPut, kCas: the value to write.
  uint64_t value = kAbsent;
  // kCas: the value that the key must have; kAbsent for "create".
  uint64_t expected = kAbsent;
  // kGet, kCas, if done: the value that was there. A kCas wrote if that is what it expected; one
  // that was refused must say what it found, or a write of unknown outcome that nobody else saw
  // might be needed to explain it.
  uint64_t found = kAbsent;
  uint64_t call = 0;
  uint64_t ret = kNever;

  bool done() const { return outcome == Outcome::kDone; }
  // For a kCas that is done.
  bool swapped() const { return found == expected; }
};

// One line: who, when, what, and how it ended.
std::string Describe(const Operation& op);
// One line each, in the order of the calls.
std::string Describe(std::vector<Operation> ops);

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_HISTORY_H_
