// Times between events that come at random.
#ifndef BANDB_TEST_SIM_EXPONENTIAL_H_
#define BANDB_TEST_SIM_EXPONENTIAL_H_

#include <cmath>

#include "base/random.h"

namespace bandb::sim {

// A time until the next of events that are `mean` apart on average and know nothing of each other.
template <typename Nanos>
Nanos Exponential(base::Random* random, Nanos mean) {
  return static_cast<Nanos>(-std::log(1.0 - random->Double()) * static_cast<double>(mean));
}

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_EXPONENTIAL_H_
