// history_check: reads what clients of a store saw, and says whether it is linearizable.
//
// Standard input has a line for each operation:
//
//   line := client kind outcome key value expected found call ret
//   kind := "get" | "put" | "delete" | "cas"          outcome := "done" | "not_done" | "unknown"
//
// The rest are numbers, as sim/history.h has them; ret 0: it never returned. Exit code: 0 it is
// linearizable, 1 it is not (with the reason and a small history that shows it), 2 the input is
// none, or the answer would take too long.
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "sim/linearizability.h"

namespace {

using bandb::sim::Operation;
using bandb::sim::OpKind;
using bandb::sim::Outcome;

const std::map<std::string, OpKind> kKinds{
    {"get", OpKind::kGet}, {"put", OpKind::kPut}, {"delete", OpKind::kDelete}, {"cas", OpKind::kCas}};
const std::map<std::string, Outcome> kOutcomes{
    {"done", Outcome::kDone}, {"not_done", Outcome::kNotDone}, {"unknown", Outcome::kUnknown}};

bool Read(std::vector<Operation>* history) {
  std::string kind, outcome;
  for (Operation op; std::cin >> op.client >> kind;) {
    if (!(std::cin >> outcome >> op.key >> op.value >> op.expected >> op.found >> op.call >> op.ret)) return false;
    if (kKinds.count(kind) == 0 || kOutcomes.count(outcome) == 0) return false;
    op.kind = kKinds.at(kind);
    op.outcome = kOutcomes.at(outcome);
    if (op.ret == 0) op.ret = bandb::sim::kNever;
    history->push_back(op);
  }
  return std::cin.eof();
}

}  // namespace

int main() {
  std::vector<Operation> history;
  if (!Read(&history)) {
    std::fprintf(stderr, "operation %zu is none\n", history.size() + 1);
    return 2;
  }
  const bandb::sim::LinearizabilityResult result = bandb::sim::CheckLinearizability(history);
  if (result.verdict == bandb::sim::Verdict::kLinearizable) {
    std::printf("%zu operations\n", history.size());
    return 0;
  }
  const std::string culprit = bandb::sim::Describe(result.culprit);
  std::fprintf(stderr, "key %llu: %s\n%s", static_cast<unsigned long long>(result.key), result.reason.c_str(),
               culprit.c_str());
  return result.verdict == bandb::sim::Verdict::kViolation ? 1 : 2;
}
