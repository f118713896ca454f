// Histories of a correct store, and ways to spoil them: the food of the checker's own tests.
#ifndef BANDB_TEST_SIM_HISTORY_GENERATOR_H_
#define BANDB_TEST_SIM_HISTORY_GENERATOR_H_

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "sim/history.h"

namespace bandb::sim {

struct HistoryShape {
  uint32_t operations = 1000;
  uint32_t clients = 4;
  uint32_t keys = 1;
  // Gets and puts only.
  bool registers_only = false;
  // One operation in this many ends as unknown, having taken effect or not.
  uint32_t unknown_one_in = 50;
};

// Clients that overlap at random, each operation taking effect at one random instant of its
// interval. Values unique.
std::vector<Operation> GenerateHistory(const HistoryShape& shape, uint64_t seed);

// Changes one read so that no order explains it: it returns a value that another write had replaced
// for certain before it was called. False if the history offers no such place near where it looked.
bool PlantStaleRead(std::vector<Operation>* history, base::Random* random);

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_HISTORY_GENERATOR_H_
