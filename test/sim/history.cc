#include "sim/history.h"

#include <fmt/format.h>

#include <algorithm>

namespace bandb::sim {
namespace {

std::string DescribeCall(const Operation& op) {
  switch (op.kind) {
    case OpKind::kGet:
      return op.outcome == Outcome::kDone ? fmt::format("get = {}", op.found) : "get";
    case OpKind::kPut:
      return fmt::format("put {}", op.value);
    case OpKind::kDelete:
      return "delete";
    case OpKind::kCas:
      return fmt::format("cas {} -> {}", op.expected, op.value) + (op.done() ? fmt::format(" found {}", op.found) : "");
  }
  return "?";
}

}  // namespace

std::string Describe(const Operation& op) {
  const char* outcome =
      op.outcome == Outcome::kDone ? "done" : (op.outcome == Outcome::kNotDone ? "not done" : "unknown");
  const std::string ret = op.ret == kNever ? "never" : fmt::format("{}", op.ret);
  return fmt::format("[{}, {}] client {} key {}: {} ({})", op.call, ret, op.client, op.key, DescribeCall(op), outcome);
}

std::string Describe(std::vector<Operation> ops) {
  std::sort(ops.begin(), ops.end(), [](const Operation& a, const Operation& b) { return a.call < b.call; });
  std::string text;
  for (const Operation& op : ops) text += Describe(op) + "\n";
  return text;
}

}  // namespace bandb::sim
