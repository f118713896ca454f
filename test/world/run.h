// One run: a seed from beginning to end, and what came of it.
//
// Machines make a cluster of three, each letting the next one in. Then clients work while a storm
// goes over them. At last all is healed: within a bounded time every member must serve writes and
// reads, all must come to the same state, every write that was acknowledged to a session must be
// there, the history of the clients must be linearizable, and what consumers were told of it the
// same.
#ifndef BANDB_TEST_WORLD_RUN_H_
#define BANDB_TEST_WORLD_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sim/trace.h"
#include "world/clients.h"
#include "world/consumers.h"
#include "world/cursor_consumers.h"
#include "world/storm.h"
#include "world/world.h"

namespace bandb::world {

struct Knobs {
  WorldOptions world;
  ClientOptions clients;
  ConsumerOptions consumers;
  CursorConsumerOptions cursor_consumers;
  StormOptions storm;
  Nanos duration = 0;  // of the storm
};
Knobs DrawKnobs(uint64_t seed);

struct RunOptions {
  sim::Trace::Sink sink;
  // Lines kept for the report of a violation.
  size_t recent_lines = 0;
  // What the machines have logged, too.
  bool with_logs = false;
};

struct RunReport {
  uint64_t seed = 0;
  uint64_t hash = 0;
  std::string violation;  // empty if all was well
  std::vector<std::string> recent;
  std::string history;  // the violating one of a key
  std::string logs;
  Nanos virtual_nanos = 0;
  World::Counters world;
  Clients::Counters clients;
  Consumers::Counters consumers;
  CursorConsumers::Counters cursors;
  Storm::Counters storm;
  uint64_t machines = 0;
};
RunReport Run(uint64_t seed, const RunOptions& options);
// One line for people.
std::string Describe(const RunReport& report);

// Of several runs.
struct Totals {
  uint64_t runs = 0;
  Nanos virtual_nanos = 0;
  uint64_t hash = 0;
  World::Counters world;
  Clients::Counters clients;
  Consumers::Counters consumers;
  CursorConsumers::Counters cursors;
  Storm::Counters storm;

  void Add(const RunReport& report);
};
std::string Describe(const Totals& totals);
// What there was too little of, for `runs` runs to count as a test; empty if nothing.
std::string Missing(const Totals& totals);

}  // namespace bandb::world

#endif  // BANDB_TEST_WORLD_RUN_H_
