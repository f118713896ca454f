// Consumers: readers of the change feed, each of which goes from machine to machine and keeps a
// copy of the database.
//
// A consumer knows nothing but its token and its copy: it goes on with the token at the same
// machine or at another one, in whatever life of it. Where what it needs is gone there, it begins
// with a snapshot of that machine and what follows it.
//
// Checked: a consumer that has come to a commit finds the same one next, with the same content and
// the same token; and at the end each copy is what the members hold.
#ifndef BANDB_TEST_WORLD_CONSUMERS_H_
#define BANDB_TEST_WORLD_CONSUMERS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bandb/changes.h"
#include "base/random.h"
#include "kv/change_feed.h"
#include "world/world.h"

namespace bandb::world {

struct ConsumerOptions {
  uint32_t consumers = 3;
  Nanos look_mean = 40 * kMilli;
  // One look in so many begins at another machine.
  uint64_t moves_one_in = 12;
};

// What came next after which commit, for every reader, wherever it read.
class CommitOrder {
 public:
  explicit CommitOrder(World* world) : world_(world) {}

  // At this machine, after the commit that ended with `before` (0: not known), this one came, and
  // the token after it.
  void Check(Machine* machine, uint64_t before, const Commit& commit, const std::string& token);

 private:
  struct Next {
    uint64_t digest = 0;
    std::string text;
  };

  World* const world_;
  // By the sequence with which the one before ended.
  std::map<uint64_t, Next> next_;
};

class Consumers {
 public:
  struct Counters {
    uint64_t commits = 0;
    uint64_t resumed = 0;    // by token, at a machine or in a life of it that is another one
    uint64_t gone = 0;       // what was needed was not there any more
    uint64_t snapshots = 0;  // that a copy was begun with
  };

  // Lifetime: world and order outlive it, and what goes on in the world.
  Consumers(World* world, CommitOrder* order, const ConsumerOptions& options, uint64_t seed);
  ~Consumers();

  void Start();
  // Nothing new: each reads at this machine, which has all, to the end, and its copy is compared
  // with what the machine holds.
  void Finish(const std::vector<Machine*>& members);
  const Counters& counters() const { return counters_; }

 private:
  struct Entry {
    std::string value;
    absl::Time expiry;
  };
  using Copy = std::map<std::string, Entry>;
  struct Consumer {
    std::string token;
    Copy copy;
    bool begun = false;  // it has a copy
    // The last commit that it was given; 0: none since it began.
    uint64_t last_sequence = 0;
    Machine* at = nullptr;
    uint64_t life = 0;
    std::unique_ptr<ChangeReader> reader;
  };
  void Plan(size_t number);
  void Look(Consumer* consumer);
  // Reads what there is, some commits at the most. False: it has to begin again.
  bool ReadSome(Consumer* consumer, int commits_max);
  bool OpenReader(Consumer* consumer);
  void BeginWithSnapshot(Consumer* consumer);
  void Take(Consumer* consumer, const Commit& commit);
  void Compare(const Consumer& consumer, Machine* machine);
  // What may happen to a reader: the process goes, its disk refuses.
  bool IsExcused(const Consumer& consumer, const absl::Status& status) const;

  World* const world_;
  CommitOrder* const order_;
  const ConsumerOptions options_;
  base::Random random_;
  std::vector<Consumer> consumers_;
  bool stopped_ = false;
  Counters counters_;
};

// Whether what its node says is to be taken for an answer.
bool IsServing(const Machine& machine);
// The feed of the node that a machine runs. `change`: as ClusterFeed::Parts has it.
std::unique_ptr<internal::ChangeFeed> FeedOf(Machine* machine,
                                             std::function<absl::Status(std::string changes)> change = nullptr);

}  // namespace bandb::world

#endif  // BANDB_TEST_WORLD_CONSUMERS_H_
