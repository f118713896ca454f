// What DbModel draws: options, keys, values and the changes of a write.
//
// Small numbers of keys, so that they meet again in every layer, among them those at which order
// and limits go wrong: empty, long ones, and runs of the least and the greatest byte. Options so
// small that a few hundred writes flush and compact.
#ifndef BANDB_TEST_STORAGE_MODEL_MODEL_INPUT_H_
#define BANDB_TEST_STORAGE_MODEL_MODEL_INPUT_H_

#include <string>
#include <vector>

#include "bandb/options.h"
#include "base/random.h"
#include "storage/model/model_state.h"

namespace bandb::test {

class ModelInput {
 public:
  // Lifetime: `random` is borrowed.
  explicit ModelInput(base::Random* random);

  Options DrawOptions();
  std::string Key();
  std::string Value();
  // Often one, now and then none.
  std::vector<ModelChange> Changes();

 private:
  ModelChange Change();

  base::Random* const random_;
  const uint64_t keys_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_MODEL_MODEL_INPUT_H_
