// bandb_raft_bench [SECONDS]: what the core alone costs. A program, not a test: it prints, and
// judges nothing.
//
// Three cores in one process and one thread; messages are moved from one to the other, and what is
// to be written counts as durable at once. Each turn, the leader gets as many proposals of 100
// bytes as keep the given number in flight, and every core gives one output. Printed: committed
// entries per second, steps and allocations per entry (the payload's own included, of all three
// cores), and what a group costs in which nothing happens.
#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/clock.h"
#include "raft/core.h"

namespace {

uint64_t allocations = 0;

}  // namespace

// Not inlined: the compiler would see malloc and delete meet and take it for a mistake.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace bandb::raft {
namespace {

constexpr size_t kNodes = 3;

double Seconds() { return static_cast<double>(base::SystemClock().MonotonicNanos()) / 1e9; }

class Group {
 public:
  Group() {
    for (NodeId id = 1; id <= kNodes; ++id) {
      Options options;
      options.self = id;
      options.seed = id;
      options.snapshot_log_bytes = 64 << 20;
      options.retained_log_bytes = 1 << 17;
      auto core = Core::Create(options, FirstStart(MakeConfiguration({1, 2, 3})), now_);
      BANDB_ASSERT(core.ok());
      cores_.push_back(*std::move(core));
    }
    Step(0, Campaign{});
    for (int i = 0; i < 20; ++i) Turn();
    BANDB_ASSERT(cores_[0]->inspect().role == Role::kLeader);
  }

  void Propose(const std::string& bytes) {
    const StepResult result = Step(0, raft::Propose{Payload(bytes)});
    BANDB_ASSERT(result.ok());
    ++proposed_;
  }
  // Every core gives one output, which is carried out.
  void Turn() {
    for (size_t i = 0; i < kNodes; ++i) Carry(i);
  }
  void Advance(Nanos nanos) {
    now_ += nanos;
    for (size_t i = 0; i < kNodes; ++i) {
      if (now_ >= deadlines_[i]) Step(i, Tick{});
    }
  }
  uint64_t proposed() const { return proposed_; }
  uint64_t committed() const { return committed_; }
  uint64_t steps() const { return steps_; }
  Nanos NextDeadline() const { return std::min({deadlines_[0], deadlines_[1], deadlines_[2]}); }
  Nanos now() const { return now_; }

 private:
  StepResult Step(size_t i, Event event) {
    ++steps_;
    return cores_[i]->Step(now_, std::move(event));
  }
  void Carry(size_t i) {
    cores_[i]->TakeOutput(&output_);
    deadlines_[i] = output_.next_deadline;
    if (output_.hard_state) Step(i, HardStatePersisted{output_.hard_state->write});
    if (output_.log) Step(i, LogPersisted{output_.log->write, output_.log->term, output_.log->index});
    for (Outgoing& message : output_.messages) {
      const size_t to = message.message.to - 1;
      Step(to, Receive{std::move(message.message)});
    }
    if (!output_.committed.empty()) {
      if (i == 0) {
        for (const Entry& entry : output_.committed.entries) committed_ += entry.kind == EntryKind::kData;
      }
      Step(i, Applied{output_.committed.last});
    }
    if (output_.take_snapshot) Step(i, SnapshotTaken{cores_[i]->inspect().applied, 0});
  }

  Nanos now_ = 1;
  std::vector<std::unique_ptr<Core>> cores_;
  Nanos deadlines_[kNodes] = {};
  Output output_;
  uint64_t proposed_ = 0;
  uint64_t committed_ = 0;
  uint64_t steps_ = 0;
};

void Proposals(uint64_t in_flight, double seconds) {
  Group group;
  const std::string bytes(100, 'x');
  auto run_until = [&](double end) {
    while (Seconds() < end) {
      for (int i = 0; i < 100; ++i) {
        while (group.proposed() - group.committed() < in_flight) group.Propose(bytes);
        group.Turn();
        group.Advance(10'000);
      }
    }
  };
  run_until(Seconds() + seconds / 5);
  const double begin = Seconds();
  const uint64_t allocations_before = allocations;
  const uint64_t committed_before = group.committed();
  const uint64_t steps_before = group.steps();
  run_until(begin + seconds);
  const double spent = Seconds() - begin;
  const double entries = static_cast<double>(group.committed() - committed_before);
  fmt::print("{:>5} in flight: {:>9.0f} committed/s, {:.2f} steps and {:.2f} allocations for each\n", in_flight,
             entries / spent, static_cast<double>(group.steps() - steps_before) / entries,
             static_cast<double>(allocations - allocations_before) / entries);
}

void Idle(double seconds) {
  Group group;
  const double begin = Seconds();
  const uint64_t allocations_before = allocations;
  const uint64_t steps_before = group.steps();
  const Nanos from = group.now();
  while (Seconds() < begin + seconds) {
    group.Advance(group.NextDeadline() - group.now());
    // The heartbeats, then the answers.
    group.Turn();
    group.Turn();
  }
  const double spent = Seconds() - begin;
  const double group_seconds = static_cast<double>(group.now() - from) / 1e9;
  fmt::print("idle: {:.2f} us of CPU, {:.0f} steps and {:.1f} allocations in each second, for all three cores\n",
             spent / group_seconds * 1e6, static_cast<double>(group.steps() - steps_before) / group_seconds,
             static_cast<double>(allocations - allocations_before) / group_seconds);
}

}  // namespace
}  // namespace bandb::raft

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 2.0;
  for (uint64_t in_flight : {1, 64, 1024}) bandb::raft::Proposals(in_flight, seconds);
  bandb::raft::Idle(seconds);
  return 0;
}
