#include "sim/linearizability.h"

#include <algorithm>
#include <array>

#include "base/random.h"
#include "sim/history_generator.h"
#include "support/catch.h"

namespace bandb::sim {
namespace {

Operation Get(uint64_t call, uint64_t ret, uint64_t value) {
  return {.kind = OpKind::kGet, .outcome = Outcome::kDone, .found = value, .call = call, .ret = ret};
}
Operation Put(uint64_t call, uint64_t ret, uint64_t value, Outcome outcome = Outcome::kDone) {
  return {.kind = OpKind::kPut, .outcome = outcome, .value = value, .call = call, .ret = ret};
}
Operation Delete(uint64_t call, uint64_t ret, Outcome outcome = Outcome::kDone) {
  return {.kind = OpKind::kDelete, .outcome = outcome, .call = call, .ret = ret};
}
Operation Cas(uint64_t call, uint64_t ret, uint64_t expected, uint64_t value, uint64_t found) {
  return {.kind = OpKind::kCas,
          .outcome = Outcome::kDone,
          .value = value,
          .expected = expected,
          .found = found,
          .call = call,
          .ret = ret};
}

Verdict Check(const std::vector<Operation>& ops) { return CheckLinearizability(ops).verdict; }

// The dumb search: tries every order that respects time, one operation after the other.
bool Explainable(const std::vector<Operation>& ops, uint32_t taken, uint64_t value) {
  bool finished = true;
  for (size_t i = 0; i < ops.size(); ++i) {
    if ((taken >> i & 1) == 0 && ops[i].outcome == Outcome::kDone) finished = false;
  }
  if (finished) return true;
  for (size_t i = 0; i < ops.size(); ++i) {
    const Operation& op = ops[i];
    if ((taken >> i & 1) != 0 || op.outcome == Outcome::kNotDone) continue;
    bool is_next = true;
    for (size_t j = 0; j < ops.size(); ++j) {
      const bool still_to_come = (taken >> j & 1) == 0 && ops[j].outcome == Outcome::kDone;
      if (j != i && still_to_come && ops[j].ret < op.call) is_next = false;
    }
    if (!is_next) continue;
    uint64_t after = value;
    bool legal = true;
    switch (op.kind) {
      case OpKind::kGet:
        legal = op.done() && op.found == value;
        break;
      case OpKind::kPut:
        after = op.value;
        break;
      case OpKind::kDelete:
        after = kAbsent;
        break;
      case OpKind::kCas: {
        legal = !op.done() || op.found == value;
        if (op.expected == value) after = op.value;
        break;
      }
    }
    if (legal && Explainable(ops, taken | 1u << i, after)) return true;
  }
  return false;
}

// A handful of operations at small random times with random results: sometimes explainable, often
// not.
std::vector<Operation> RandomHistory(base::Random* random) {
  const size_t count = 1 + random->Uniform(7);
  const bool unique = random->OneIn(2);
  const bool registers_only = random->OneIn(3);
  const uint64_t values = 1 + random->Uniform(4);
  const uint64_t horizon = 4 + random->Uniform(20);
  std::vector<Operation> ops;
  for (size_t i = 0; i < count; ++i) {
    Operation op;
    op.kind = static_cast<OpKind>(random->Uniform(registers_only ? 2 : 4));
    op.outcome = random->OneIn(6) ? (random->OneIn(3) ? Outcome::kNotDone : Outcome::kUnknown) : Outcome::kDone;
    op.call = random->Uniform(horizon);
    op.ret = op.outcome == Outcome::kUnknown ? kNever : op.call + random->Uniform(horizon);
    const uint64_t visible = (unique ? count : values) + 1;
    op.value = unique ? i + 1 : 1 + random->Uniform(values);
    op.expected = random->Uniform(visible);
    op.found = op.kind == OpKind::kCas && random->OneIn(2) ? op.expected : random->Uniform(visible);
    ops.push_back(op);
  }
  return ops;
}

}  // namespace

TEST_CASE("the classical small histories get their known verdicts") {
  CHECK(Check({}) == Verdict::kLinearizable);
  CHECK(Check({Get(1, 2, kAbsent)}) == Verdict::kLinearizable);
  CHECK(Check({Get(1, 2, 7)}) == Verdict::kViolation);
  CHECK(Check({Put(1, 2, 7), Get(3, 4, 7)}) == Verdict::kLinearizable);
  CHECK(Check({Put(1, 2, 7), Get(3, 4, kAbsent)}) == Verdict::kViolation);
  // Two reads inside one write may see it in turn, but not unsee it.
  CHECK(Check({Put(1, 9, 7), Get(2, 3, kAbsent), Get(4, 5, 7)}) == Verdict::kLinearizable);
  CHECK(Check({Put(1, 9, 7), Get(2, 3, 7), Get(4, 5, kAbsent)}) == Verdict::kViolation);
  // A read from the future.
  CHECK(Check({Get(1, 2, 7), Put(3, 4, 7)}) == Verdict::kViolation);
}

TEST_CASE("a write of unknown outcome may have happened at any later time, or never") {
  CHECK(Check({Put(1, kNever, 7, Outcome::kUnknown), Get(3, 4, kAbsent), Get(5, 6, 7)}) == Verdict::kLinearizable);
  CHECK(Check({Put(1, kNever, 7, Outcome::kUnknown), Get(3, 4, kAbsent)}) == Verdict::kLinearizable);
  CHECK(Check({Put(1, kNever, 7, Outcome::kUnknown), Get(3, 4, 7), Get(5, 6, kAbsent)}) == Verdict::kViolation);
  CHECK(Check({Put(5, kNever, 7, Outcome::kUnknown), Get(1, 2, 7)}) == Verdict::kViolation);
  CHECK(Check({Put(5, kNever, 7, Outcome::kUnknown), Get(1, 2, 7), Delete(8, 9)}) == Verdict::kViolation);
}

TEST_CASE("a write that was answered with not done must never be seen") {
  CHECK(Check({Put(1, 2, 7, Outcome::kNotDone), Get(3, 4, kAbsent)}) == Verdict::kLinearizable);
  CHECK(Check({Put(1, 2, 7, Outcome::kNotDone), Get(3, 4, 7)}) == Verdict::kViolation);
}

TEST_CASE("an unknown delete explains one absence, and two need two") {
  const auto maybe = Delete(1, kNever, Outcome::kUnknown);
  CHECK(Check({maybe, Put(2, 3, 7), Get(4, 5, kAbsent)}) == Verdict::kLinearizable);
  CHECK(Check({maybe, Put(2, 3, 7), Get(4, 5, kAbsent), Put(6, 7, 8), Get(8, 9, kAbsent)}) == Verdict::kViolation);
  CHECK(Check({maybe, maybe, Put(2, 3, 7), Get(4, 5, kAbsent), Put(6, 7, 8), Get(8, 9, kAbsent)}) ==
        Verdict::kLinearizable);
}

TEST_CASE("a conditional write swaps if and only if it finds what it expects") {
  CHECK(Check({Cas(1, 2, kAbsent, 7, kAbsent), Cas(3, 4, 7, 8, 7), Get(5, 6, 8)}) == Verdict::kLinearizable);
  CHECK(Check({Put(1, 2, 7), Cas(3, 4, 7, 8, 6)}) == Verdict::kViolation);
  CHECK(Check({Put(1, 2, 7), Cas(3, 8, 7, 8, 7), Cas(4, 9, 7, 9, 7)}) == Verdict::kViolation);
  CHECK(Check({Put(1, 2, 7), Cas(3, 8, 7, 8, 7), Cas(4, 9, 7, 9, 8)}) == Verdict::kLinearizable);
}

TEST_CASE("the fast checkers agree with a dumb search on 200,000 small histories") {
  base::Random random(20);
  uint64_t linearizable = 0;
  uint64_t by_zones = 0;
  for (int round = 0; round < 200'000; ++round) {
    const std::vector<Operation> ops = RandomHistory(&random);
    const bool expected = Explainable(ops, 0, kAbsent);
    const Verdict verdict = lin::CheckKey(ops).verdict;
    if (verdict != (expected ? Verdict::kLinearizable : Verdict::kViolation)) {
      FAIL("expected " << (expected ? "linearizable" : "violation") << "\n" << Describe(ops));
    }
    // Where both methods apply, both must say so.
    const lin::KeyHistory simple = lin::Simplify(ops);
    if (simple.zones_apply) {
      ++by_zones;
      if (lin::CheckBySearch(simple).verdict != verdict) FAIL("zones and search differ\n" << Describe(ops));
    }
    linearizable += expected ? 1 : 0;
  }
  // Neither verdict may be rare, or the comparison says little.
  CHECK(linearizable > 40'000);
  CHECK(linearizable < 160'000);
  CHECK(by_zones > 10'000);
}

TEST_CASE("histories of a correct register are linearizable, and every stale or lost read put into them is found") {
  base::Random random(21);
  uint64_t mutants = 0;
  for (int round = 0; round < 150; ++round) {
    HistoryShape shape;
    shape.operations = 200;
    shape.clients = 1 + static_cast<uint32_t>(random.Uniform(12));
    shape.keys = 1 + static_cast<uint32_t>(random.Uniform(3));
    shape.registers_only = random.OneIn(2);
    const std::vector<Operation> good = GenerateHistory(shape, random.Next());
    REQUIRE(CheckLinearizability(good).verdict == Verdict::kLinearizable);
    for (int attempt = 0; attempt < 10; ++attempt) {
      std::vector<Operation> bad = good;
      if (!PlantStaleRead(&bad, &random)) continue;
      ++mutants;
      const LinearizabilityResult result = CheckLinearizability(bad);
      if (result.verdict != Verdict::kViolation) FAIL("missed a planted violation");
      CHECK_FALSE(result.culprit.empty());
    }
  }
  CHECK(mutants > 500);
}

TEST_CASE("what is reported is a small history that is itself a violation") {
  base::Random random(22);
  HistoryShape shape;
  shape.operations = 2000;
  shape.clients = 6;
  shape.keys = 2;
  shape.registers_only = true;
  std::vector<Operation> history = GenerateHistory(shape, 5);
  REQUIRE(PlantStaleRead(&history, &random));
  const LinearizabilityResult result = CheckLinearizability(history);
  REQUIRE(result.verdict == Verdict::kViolation);
  CHECK(result.culprit.size() <= 4);
  CHECK(lin::CheckKey(result.culprit).verdict == Verdict::kViolation);
  CHECK_FALSE(result.reason.empty());
}

TEST_CASE("a million operations are decided, by zones and by search") {
  HistoryShape shape;
  shape.operations = 1'000'000;
  shape.clients = 32;
  shape.keys = 100;
  shape.registers_only = true;
  const LinearizabilityResult zones = CheckLinearizability(GenerateHistory(shape, 6));
  CHECK(zones.verdict == Verdict::kLinearizable);
  CHECK(zones.keys_by_zones == 100);
  shape.registers_only = false;
  const LinearizabilityResult search = CheckLinearizability(GenerateHistory(shape, 7));
  CHECK(search.verdict == Verdict::kLinearizable);
  CHECK(search.keys_by_search == 100);
}

}  // namespace bandb::sim
