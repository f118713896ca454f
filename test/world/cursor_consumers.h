// Consumers that leave it to the cluster to remember where they are: named cursors, acknowledged at
// any machine, read from at any machine, put elsewhere when they are lost.
//
// Checked, by looking at what each replica has applied:
//   * a cursor goes forward in the log, and never further than it was acknowledged: so what was
//     durably acknowledged does not come again, and what was not is not passed over;
//   * what comes after it is what came there for anybody;
//   * it is lost only for want of room, or where another state, or a fault of the disk, has taken the
//     log away;
//   * at the end every member knows its cursors, and every acknowledgement has come to the log,
//     whatever became of those who took it.
#ifndef BANDB_TEST_WORLD_CURSOR_CONSUMERS_H_
#define BANDB_TEST_WORLD_CURSOR_CONSUMERS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "world/consumers.h"
#include "world/world.h"

namespace bandb::world {

struct CursorConsumerOptions {
  uint32_t consumers = 2;
  Nanos look_mean = 60 * kMilli;
  uint64_t moves_one_in = 8;
  uint64_t resets_one_in = 200;
  uint64_t drops_one_in = 400;
  // There is room for all that any cursor needs.
  bool roomy = false;
};

class CursorConsumers {
 public:
  struct Counters {
    uint64_t commits = 0;
    uint64_t acknowledged = 0;
    uint64_t changes_done = 0;  // made, put elsewhere, dropped
    uint64_t lost = 0;
  };

  // Lifetime: world and order outlive it, and what goes on in the world.
  CursorConsumers(World* world, CommitOrder* order, const CursorConsumerOptions& options, uint64_t seed);

  void Start();
  // All of it is read and acknowledged at the members, and it comes to the log of each.
  void Finish(const std::vector<Machine*>& members);
  Counters counters() const;

 private:
  // A cursor from when it was made or put elsewhere.
  struct Life {
    uint64_t acknowledged = 0;  // the furthest that it may be
    // Where it was when an entry was applied.
    std::map<raft::Index, uint64_t> places;
  };
  // A cursor, or another place for it.
  struct Asked {
    bool waits = false;
    uint64_t done = 0;
    // Nobody has said that it was done, or not: it may be at any later time.
    uint64_t open = 0;
  };
  struct Consumer {
    std::string name;
    Machine* at = nullptr;
    uint64_t process = 0;  // of the machine
    std::unique_ptr<ChangeReader> reader;
    uint64_t last_sequence = 0;  // of the commit that it was given last; 0: none since it began
    // Of what it has asked for: the answer may come when nobody is there any more.
    std::shared_ptr<Asked> asked = std::make_shared<Asked>();
    std::map<uint64_t, Life> lives;  // by id
    // The id that it had when an entry was applied; 0: none.
    std::map<raft::Index, uint64_t> ids;
    // By a token's sequence: the commit before it, where that is known.
    std::map<uint64_t, uint64_t> commit_at;
  };
  // A machine where it was not lost, and what may take that away.
  struct Held {
    uint64_t process = 0;
    uint64_t id = 0;
    uint64_t installs = 0;
  };

  void Plan(size_t number);
  void Look(Consumer* consumer);
  void Read(Consumer* consumer, int commits_max);
  // Of what the machine has applied.
  void CheckPlace(Consumer* consumer, Machine* machine);
  void CheckKept(Consumer* consumer, Machine* machine, const changes::StoredCursor& cursor);
  void Acknowledge(Consumer* consumer, Machine* machine, const std::string& token);
  void Change(Consumer* consumer, Machine* machine, cluster::CursorChangeKind kind);
  std::unique_ptr<internal::ChangeFeed> FeedToChange(Consumer* consumer, Machine* machine);
  Machine* AnyServing();
  // All members know their cursors, and have applied what any of them has by now.
  void AwaitKnown(const std::vector<Machine*>& members);
  // What one of them knows of a cursor comes to all. `may_change`: or it is another one by then.
  void AwaitAgreement(const std::vector<Machine*>& members, const Consumer& consumer, bool may_change);

  World* const world_;
  CommitOrder* const order_;
  const CursorConsumerOptions options_;
  base::Random random_;
  std::vector<Consumer> consumers_;
  std::map<std::pair<int, std::string>, Held> held_;
  bool stopped_ = false;
  Counters counters_;
};

}  // namespace bandb::world

#endif  // BANDB_TEST_WORLD_CURSOR_CONSUMERS_H_
