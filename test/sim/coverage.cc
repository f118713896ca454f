#include "sim/coverage.h"

#include <fmt/format.h>

namespace bandb::sim {
namespace {

struct Counter {
  uint64_t Coverage::*count;
  const char* name;
};

constexpr Counter kCounters[] = {
    {&Coverage::install_crashes, "crashes during an install"},
    {&Coverage::joint_leader_crashes, "leader crashes in a joint configuration"},
    {&Coverage::joint_snapshot_leader_crashes, "leader crashes in one with a peer in snapshot"},
    {&Coverage::truncations_under_way, "truncations with writes under way"},
    {&Coverage::joint_quorum_losses, "lost quorums in a joint configuration"},
    {&Coverage::starts_ahead, "starts with a log ahead of its term"},
};
static_assert(sizeof(kCounters) / sizeof(Counter) * sizeof(uint64_t) == sizeof(Coverage), "a counter has no name");

}  // namespace

void Coverage::Add(const Coverage& other) {
  for (const Counter& c : kCounters) this->*c.count += other.*c.count;
}

std::string Missing(const Coverage& coverage, const Coverage& required) {
  std::string text;
  for (const Counter& c : kCounters) {
    if (coverage.*c.count >= required.*c.count) continue;
    text +=
        fmt::format("{}{} {}, {} are required", text.empty() ? "" : "; ", coverage.*c.count, c.name, required.*c.count);
  }
  return text;
}

std::string Describe(const Coverage& coverage) {
  std::string text;
  for (const Counter& c : kCounters)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", coverage.*c.count, c.name);
  return text;
}

}  // namespace bandb::sim
