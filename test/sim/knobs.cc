#include "sim/knobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace bandb::sim {
namespace {

// Between low and high, each order of magnitude equally likely.
uint64_t LogUniform(base::Random* random, uint64_t low, uint64_t high) {
  const double span = std::log(static_cast<double>(high) / static_cast<double>(low));
  return static_cast<uint64_t>(static_cast<double>(low) * std::exp(span * random->Double()));
}

// Off in half of the runs; else up to `most`, small values preferred.
double Rate(base::Random* random, double most) {
  if (random->OneIn(2)) return 0;
  const double x = random->Double();
  return most * x * x;
}

void DrawNetwork(base::Random* random, const CoreKnobs& core, NetworkKnobs* network) {
  network->delay_min = LogUniform(random, 20 * kMicro, core.election_timeout / 100 + 21 * kMicro);
  network->delay_mean = LogUniform(random, 50 * kMicro, core.election_timeout / 20 + 51 * kMicro);
  network->loss = Rate(random, 0.2);
  network->duplicate = Rate(random, 0.3);
  network->straggler = Rate(random, 0.05);
  network->straggler_mean = LogUniform(random, core.election_timeout / 4, core.election_timeout * 8);
  network->in_order = random->OneIn(3);
  // A lease is only as good as its arithmetic about slow answers.
  if (core.leases && random->OneIn(2)) {
    network->straggler = 0.1 + 0.4 * random->Double();
    network->straggler_mean = LogUniform(random, core.election_timeout / 8, core.election_timeout);
  }
}

void DrawDisk(base::Random* random, const CoreKnobs& core, DiskKnobs* disk) {
  disk->write_min = LogUniform(random, 10 * kMicro, kMilli);
  disk->write_mean = LogUniform(random, 50 * kMicro, core.election_timeout / 10);
  disk->stall = Rate(random, 0.02);
  disk->stall_mean = LogUniform(random, core.election_timeout / 20, core.election_timeout * 2);
  disk->read_mean = LogUniform(random, 10 * kMicro, core.election_timeout / 20);
}

void DrawCore(base::Random* random, CoreKnobs* core) {
  core->election_timeout = LogUniform(random, 100 * kMilli, 4 * kSecond);
  core->heartbeat_interval = core->election_timeout / static_cast<Nanos>(random->Between(3, 10));
  core->append_bytes_max = LogUniform(random, 1, 1 << 20);
  core->inflight_bytes_max = LogUniform(random, 64, 16 << 20);
  core->inflight_messages_max = static_cast<uint32_t>(LogUniform(random, 1, 512));
  core->uncommitted_bytes_max = LogUniform(random, 200, 16 << 20);
  core->commit_batch_bytes_max = LogUniform(random, 1, 1 << 20);
  core->cached_bytes_max = LogUniform(random, 1, 16 << 20);
  core->promotion_lag = LogUniform(random, 1, 200);
  core->leases = random->OneIn(3);
}

void DrawWorkload(base::Random* random, Nanos duration, Knobs* knobs) {
  WorkloadKnobs& w = knobs->workload;
  w.clients = static_cast<uint32_t>(LogUniform(random, 2, 17));
  w.keys = static_cast<uint32_t>(LogUniform(random, 1, 65));
  w.value_bytes_max = static_cast<uint32_t>(LogUniform(random, 8, 4096));
  w.reads_percent = static_cast<uint32_t>(random->Between(20, 70));
  w.cas_percent = random->OneIn(3) ? 0 : static_cast<uint32_t>(random->Between(5, 50));
  w.delete_percent = random->OneIn(2) ? 0 : static_cast<uint32_t>(random->Between(1, 20));
  w.follower_reads_percent = static_cast<uint32_t>(random->Between(0, 60));
  w.timeout = knobs->core.election_timeout * static_cast<Nanos>(random->Between(1, 6));
  w.burst_max = random->OneIn(3) ? static_cast<uint32_t>(LogUniform(random, 2, 96 / w.clients + 3)) : 1;
  // The search for an order of conditional writes is exponential in how many are open on one key.
  if (w.cas_percent + w.delete_percent > 0) w.keys = std::max(w.keys, w.clients * w.burst_max / 4 + 1);
  // Enough thinking that the operations spread over the whole run.
  w.think_mean = duration * w.clients * (w.burst_max + 1) / 2 / 2600;
}

void DrawNemesis(base::Random* random, const Knobs& knobs, NemesisKnobs* nemesis) {
  const Nanos timeout = knobs.core.election_timeout;
  nemesis->fault_interval_mean = LogUniform(random, timeout * 2, timeout * 20);
  nemesis->fault_duration_mean = LogUniform(random, timeout / 2, timeout * 10);
  for (uint32_t& weight : nemesis->weights) {
    weight = random->OneIn(3) ? 0 : static_cast<uint32_t>(LogUniform(random, 1, 20));
  }
  // A crash is never out of fashion; and where time is a bet, clocks must keep to the model.
  nemesis->weights[static_cast<size_t>(FaultKind::kCrash)] += 2;
  nemesis->weights[static_cast<size_t>(FaultKind::kPartition)] += 1;
  if (knobs.core.leases) nemesis->weights[static_cast<size_t>(FaultKind::kClockJump)] = 0;
  if (random->Between(0, 2) > 0) nemesis->membership_interval_mean = LogUniform(random, timeout * 5, timeout * 60);
  if (random->OneIn(2) || knobs.core.leases)
    nemesis->transfer_interval_mean = LogUniform(random, timeout * 3, timeout * 60);
  nemesis->weights[static_cast<size_t>(FaultKind::kLostQuorum)] = 0;
  nemesis->lose_quorum = random->OneIn(6);
  nemesis->wipes_max = static_cast<uint32_t>(random->Between(0, 8));
  nemesis->mid_step_chance = static_cast<double>(random->Between(1, 200)) / 1000;
  for (FaultKind aimed : {FaultKind::kRotate, FaultKind::kStrand}) nemesis->weights[static_cast<size_t>(aimed)] = 0;
  if (random->OneIn(2)) nemesis->aimed_interval_mean = LogUniform(random, timeout * 4, timeout * 20);
}

// Snapshots often, changes often, and crashes in the midst of either.
void DrawStorm(base::Random* random, Knobs* knobs) {
  const Nanos timeout = knobs->core.election_timeout;
  knobs->machine.checkpoint_every = static_cast<uint32_t>(LogUniform(random, 5, 40));
  knobs->machine.log_retained = static_cast<uint32_t>(random->Uniform(4));
  knobs->nemesis.install_crash_chance = 0.1 + 0.6 * random->Double();
  knobs->nemesis.joint_crash_chance = 0.05 + 0.25 * random->Double();
  if (knobs->nemesis.membership_interval_mean == 0) {
    knobs->nemesis.membership_interval_mean = LogUniform(random, timeout * 5, timeout * 60);
  }
}

}  // namespace

const char* Name(FaultKind kind) {
  static constexpr const char* kNames[kFaultKinds] = {
      "crash",     "crash-many", "crash-mid-step", "pause",      "partition",   "isolate",   "one-way",
      "bridge",    "slow-links", "loss-burst",     "clock-jump", "clock-drift", "disk-hang", "disk-fail",
      "disk-full", "wipe",       "no-space",       "rot",        "rotate",      "strand",    "lost-quorum"};
  return kNames[static_cast<size_t>(kind)];
}

Knobs DrawKnobs(uint64_t seed) {
  base::Random random(seed ^ 0x5eed0f5eed0f5eedull);
  Knobs knobs;
  knobs.seed = seed;
  static constexpr uint32_t kVoters[] = {1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7};
  knobs.voters = kVoters[random.Uniform(std::size(kVoters))];
  knobs.learners = random.OneIn(3) ? static_cast<uint32_t>(random.Between(1, 2)) : 0;
  if (knobs.voters + knobs.learners > 7) knobs.learners = 7 - knobs.voters;
  DrawCore(&random, &knobs.core);
  // Long enough for many terms, and longer where time runs slower.
  knobs.duration = 30 * kSecond + knobs.core.election_timeout * static_cast<Nanos>(random.Between(60, 240));
  DrawNetwork(&random, knobs.core, &knobs.network);
  DrawDisk(&random, knobs.core, &knobs.disk);
  knobs.clock.drift_max = knobs.core.leases ? 0.009 : Rate(&random, 0.25);
  knobs.clock.jump_max = knobs.core.leases ? 0 : LogUniform(&random, kMilli, 60 * kSecond);
  DrawWorkload(&random, knobs.duration, &knobs);
  knobs.machine.checkpoint_every = static_cast<uint32_t>(LogUniform(&random, 5, 2000));
  knobs.machine.log_retained = random.OneIn(3) ? 0 : static_cast<uint32_t>(LogUniform(&random, 1, 1000));
  knobs.machine.apply_mean = LogUniform(&random, kMicro, 20 * kMilli);
  knobs.machine.checkpoint_mean = LogUniform(&random, kMilli, knobs.core.election_timeout * 2);
  if (random.OneIn(4)) knobs.disk.capacity_bytes = LogUniform(&random, 64 << 10, 2 << 20);
  DrawNemesis(&random, knobs, &knobs.nemesis);
  if (random.OneIn(3)) DrawStorm(&random, &knobs);
  return knobs;
}

std::string Describe(const Knobs& k) {
  return fmt::format(
      "seed {} voters {} learners {} duration {:.0f}s election {}ms heartbeat {}ms append {}B inflight {}B/{} "
      "uncommitted {}B leases {} delay {}+{}us loss {:.3f} dup {:.3f} straggler {:.3f} write {}us stall {:.3f} "
      "capacity {}B drift {:.3f} clients {} keys {} burst {} checkpoint every {} retain {} membership {}ms transfer "
      "{}ms fault every {}ms",
      k.seed, k.voters, k.learners, static_cast<double>(k.duration) / kSecond, k.core.election_timeout / kMilli,
      k.core.heartbeat_interval / kMilli, k.core.append_bytes_max, k.core.inflight_bytes_max,
      k.core.inflight_messages_max, k.core.uncommitted_bytes_max, k.core.leases, k.network.delay_min / kMicro,
      k.network.delay_mean / kMicro, k.network.loss, k.network.duplicate, k.network.straggler,
      k.disk.write_mean / kMicro, k.disk.stall, k.disk.capacity_bytes, k.clock.drift_max, k.workload.clients,
      k.workload.keys, k.workload.burst_max, k.machine.checkpoint_every, k.machine.log_retained,
      k.nemesis.membership_interval_mean / kMilli, k.nemesis.transfer_interval_mean / kMilli,
      k.nemesis.fault_interval_mean / kMilli);
}

}  // namespace bandb::sim
