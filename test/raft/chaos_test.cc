// Random commands for a ScriptedCluster: a small and quick relative of the simulator, for every run
// of the unit tests.
//
// Each seed is one run: nodes crash, links are cut, messages are lost and doubled, disks fail,
// members come and go, in any order. No two nodes may ever lead one term or commit different
// entries at one index, and when all is healed the cluster must commit again.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "raft/scripted_cluster.h"
#include "support/catch.h"

namespace bandb::raft {
namespace {

class Chaos {
 public:
  explicit Chaos(uint64_t seed) : random_(seed) {
    const uint64_t voters = 1 + random_.Uniform(5);
    std::string start = "start";
    for (uint64_t i = 1; i <= voters; ++i) start += fmt::format(" {}", i);
    start +=
        fmt::format(" message-bytes={} inflight-messages={} uncommitted-bytes={} cached-bytes={} retained={} lease={}",
                    1 + random_.Uniform(400), 1 + random_.Uniform(4), 100 + random_.Uniform(2000),
                    random_.Uniform(1000), 40 * random_.Uniform(10), random_.Uniform(2));
    cluster_.Run(start);
    history_.push_back(start);
    for (uint64_t i = voters + 1; i <= kNodes; ++i) Do(fmt::format("join {}", i));
  }

  // One random command.
  void Step() {
    switch (random_.Uniform(24)) {
      case 0:
      case 1:
        return Do(fmt::format("elapse {}", random_.Uniform(400)));
      case 2:
        return Do(fmt::format("elapse {}", random_.Uniform(3000)));
      case 3:
      case 4:
      case 5:
        return Do(fmt::format("deliver count={}", 1 + random_.Uniform(10)));
      case 6:
        return Do(fmt::format("deliver to={} count={}", Any(), 1 + random_.Uniform(10)));
      case 7:
        return Do(fmt::format("drop from={} count={}", Any(), 1 + random_.Uniform(3)));
      case 8:
        return Do(fmt::format("duplicate to={} count=3", Any()));
      case 9:
      case 10:
      case 11:
        return Do(fmt::format("propose {} x{}", Any(), ++value_));
      case 12:
      case 13:
        return Do(fmt::format("persist {} {}", Any(), 1 + random_.Uniform(4)));
      case 14:
        return Do(fmt::format("apply {}", Any()));
      case 15:
        return Do(fmt::format("read {} {}", Any(), ++value_));
      case 16:
        return Fault();
      case 17:
        return Do(fmt::format("snapshot {} {}", Any(), random_.Uniform(40)));
      case 18:
        return Do(fmt::format("install {}{}", Any(), random_.OneIn(4) ? " fail" : ""));
      case 19:
        return Do(fmt::format("answer {}{}", Any(), random_.OneIn(4) ? " fail" : ""));
      case 20:
        return Change();
      case 21:
        return Do(fmt::format("stabilize {} {} {}", Any(), Any(), Any()));
      case 22:
        return Do(random_.OneIn(3) ? "settle" : fmt::format("stabilize {} {}", Any(), Any()));
      default:
        return Do(fmt::format("run {}", random_.Uniform(300)));
    }
  }

  // Everything is healed: whether a write is then committed within a minute.
  bool Recovers() {
    Do("heal");
    for (uint64_t i = 1; i <= kNodes; ++i) {
      Do(fmt::format("capacity {} free", i));
      // A node whose disk failed is of no use until it is restarted.
      Do(fmt::format("crash {}", i));
      Do(fmt::format("restart {}", i));
    }
    for (int second = 0; second < 60; ++second) {
      Do("run 1000");
      for (uint64_t i = 1; i <= kNodes; ++i) Do(fmt::format("propose {} last", i));
      Do("settle");
      const std::string status = cluster_.Run("status");
      // A leader whose own log is applied to its end has committed that write.
      const size_t leader = status.find(": leader t");
      if (leader == std::string::npos) continue;
      const std::string line = status.substr(leader, status.find('\n', leader) - leader);
      unsigned long long floor = 0, last = 0, durable = 0, commit = 0;
      const size_t log = line.find("log=");
      if (std::sscanf(line.c_str() + log, "log=%llu..%llu durable=%llu commit=%llu", &floor, &last, &durable,
                      &commit) == 4 &&
          last == commit) {
        return true;
      }
    }
    return false;
  }

  const std::string& violation() const { return cluster_.violation(); }
  std::string History() const {
    std::string text;
    for (const std::string& line : history_) text += line + "\n";
    return text;
  }

 private:
  static constexpr uint64_t kNodes = 6;

  uint64_t Any() { return 1 + random_.Uniform(kNodes); }
  void Do(const std::string& command) {
    history_.push_back(command);
    cluster_.Run(command);
  }
  void Fault() {
    switch (random_.Uniform(8)) {
      case 0:
        return Do(fmt::format("crash {}", Any()));
      case 1:
      case 2:
      case 3:
        return Do(fmt::format("restart {}", Any()));
      case 4:
        return Do(fmt::format("cut {} {}", Any(), Any()));
      case 5:
        return Do(fmt::format("isolate {}", Any()));
      case 6:
        return Do(random_.OneIn(4) ? fmt::format("fail {}", Any())
                                   : fmt::format("capacity {} {}", Any(), random_.OneIn(2) ? "full" : "free"));
      default:
        return Do("heal");
    }
  }
  void Change() {
    static const char* const kKinds[] = {"add-learner", "add-voter", "promote", "demote", "remove", "replace"};
    if (random_.OneIn(4)) return Do(fmt::format("transfer {} {}", Any(), random_.Uniform(kNodes + 1)));
    const uint64_t kind = random_.Uniform(6);
    std::string command = fmt::format("change {} {} {}", Any(), kKinds[kind], Any());
    if (kind == 5) command += fmt::format(" {}", Any());
    Do(command);
  }

  base::Random random_;
  ScriptedCluster cluster_;
  uint64_t value_ = 0;
  std::vector<std::string> history_;
};

TEST_CASE("no order of events makes two leaders of a term or two entries of an index, and all heals", "[raft]") {
  const char* seeds = std::getenv("BANDB_CHAOS_SEEDS");
  const uint64_t count = seeds == nullptr ? 60 : std::strtoull(seeds, nullptr, 10);
  for (uint64_t seed = 1; seed <= count; ++seed) {
    Chaos chaos(seed);
    for (int i = 0; i < 400 && chaos.violation().empty(); ++i) chaos.Step();
    const bool recovers = chaos.violation().empty() && chaos.Recovers();
    if (!chaos.violation().empty() || !recovers) {
      INFO("seed " << seed << ": " << chaos.violation() << "\n" << chaos.History());
      CHECK(chaos.violation() == "");
      CHECK(recovers);
      break;
    }
  }
}

}  // namespace
}  // namespace bandb::raft
