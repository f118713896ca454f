// A database beside a model of it: the same random operations on both, and every way of reading compared.
#ifndef BANDB_TEST_STORAGE_DB_MODEL_H_
#define BANDB_TEST_STORAGE_DB_MODEL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bandb/db.h"
#include "support/test_env.h"

namespace bandb::test {

// What a key holds in the model.
struct ModelValue {
  std::string value;
  uint64_t expiry_ms = UINT64_MAX;
};
using ModelState = std::map<std::string, ModelValue>;

class DbModel {
 public:
  // Everything about the run follows from the seed: the options, the operations, the order of background steps.
  explicit DbModel(uint64_t seed);
  ~DbModel();

  // Makes `count` random operations, and compares after some of them.
  void Run(int count);
  void CheckAll();

 private:
  struct HeldSnapshot {
    Snapshot snapshot;
    ModelState state;
    uint64_t now_ms = 0;
  };

  void Open();
  void Step();
  void WriteOne();
  void WriteBatchWithConditions();
  void Reopen();
  void TakeOrDropSnapshot();
  std::string RandomKey();
  std::string RandomValue();
  uint64_t NowMs();
  void CheckGet(const ModelState& state, uint64_t now_ms, const ReadOptions& options);
  void CheckIterator(const ModelState& state, uint64_t now_ms, ReadOptions options);
  void CheckWalk(Iterator* iterator, const std::vector<std::pair<std::string, std::string>>& expected);

  base::Random random_;
  TestEnv env_;
  Options options_;
  int key_space_ = 0;
  ModelState state_;
  std::unique_ptr<Db> db_;
  std::vector<HeldSnapshot> snapshots_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_DB_MODEL_H_
