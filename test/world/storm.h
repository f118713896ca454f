// Storm: what goes wrong in a world, when and for how long; and what its operators do meanwhile.
//
// Machines die at any moment and at any call to their file systems, with the loss of what was not
// synced or of the process alone, and come back; networks are parted, deaf in one direction, slow
// or reset; disks hang, are slow, full, or refuse; processes are stopped; clocks are set.
// Leadership is handed over, members are removed, added and replaced, and those who were removed
// come back.
//
// A disk that lost everything comes back as another node. So that a majority of what was promised
// is always there, no member is wiped that was not removed before.
#ifndef BANDB_TEST_WORLD_STORM_H_
#define BANDB_TEST_WORLD_STORM_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "world/world.h"

namespace bandb::world {

enum class Trouble : uint8_t {
  kKill,         // one machine, between two steps
  kKillAtCall,   // one machine, at a call to its file system
  kKillMany,     // some or all of them
  kKillInstall,  // one that installs a snapshot, soon
  kAmbush,       // the leader, and then the voters, with slow disks
  kPartition,
  kIsolate,
  kOneWay,
  kSlowLinks,
  kReset,  // all connections break
  kDiskHang,
  kDiskSlow,
  kDiskFull,
  kDiskFail,  // some calls are refused
  kFreeze,
  kClock,
  kClocks,  // all of them, ahead and back; and then one has them accepted, perhaps
  kTransfer,
  kRemove,
  kAdd,  // a machine that was removed, or never was a member
  kReplace,
  kReturn,  // one that was removed comes back as it was
};
inline constexpr size_t kTroubles = static_cast<size_t>(Trouble::kReturn) + 1;
std::string_view TroubleName(Trouble trouble);

struct StormOptions {
  Nanos interval_mean = 600 * kMilli;
  Nanos duration_mean = kSecond;
  std::array<uint32_t, kTroubles> weights{};
  size_t voters_min = 3;
  size_t machines_max = 6;
  int64_t clock_jump_ms_max = 30'000;
};

class Storm {
 public:
  struct Counters {
    std::array<uint64_t, kTroubles> troubles{};
    uint64_t changes_done = 0;
    uint64_t changes_not_done = 0;
    uint64_t clocks_accepted = 0;
    uint64_t total() const;
  };

  // Lifetime: the world outlives it, and what goes on in it.
  Storm(World* world, const StormOptions& options, uint64_t seed);

  void Start() { Plan(); }
  // Nothing new. Networks and disks are as they should be, and all machines run that belong to
  // anybody.
  void Heal();
  const Counters& counters() const { return counters_; }

 private:
  Nanos Exponential(Nanos mean);
  void Plan();
  // Runs `what` later, unless all is healed by then.
  void Later(Nanos delay, std::function<void()> what);
  // False if it finds nothing to strike.
  bool Strike(Trouble trouble);
  bool StrikeProcess(Trouble trouble);
  bool Ambush();
  bool SetClocks();
  bool StrikeNetwork(Trouble trouble);
  bool StrikeDisk(Trouble trouble);
  bool StrikeMembers(Trouble trouble);
  // Nodes that have ended are started, and those that wait for it are let in.
  void Tend();

  Death DrawDeath();
  Machine* PickUp();
  std::vector<Machine*> Up();
  void RestartLater(Machine* machine);
  void Cut(const std::vector<std::pair<int, int>>& links);
  // Configuration as the leader has it; null if nobody leads.
  const raft::Configuration* Members();
  Machine* Find(raft::NodeId id);
  void Ask(const raft::Change& change);
  // A machine that no configuration may need: it is stopped and wiped.
  Machine* TakeSpare();

  World* const world_;
  const StormOptions options_;
  base::Random random_;
  uint64_t epoch_ = 0;
  bool healed_ = false;
  std::set<int> out_;  // machines that were removed, and rest
  std::set<int> restarting_;
  Counters counters_;
};

}  // namespace bandb::world

#endif  // BANDB_TEST_WORLD_STORM_H_
