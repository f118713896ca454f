// An iterator beside the entries that it must find: what was visible when it was made, whatever is
// written meanwhile.
#ifndef BANDB_TEST_STORAGE_MODEL_MODEL_ITERATOR_H_
#define BANDB_TEST_STORAGE_MODEL_MODEL_ITERATOR_H_

#include <cstddef>
#include <memory>

#include "bandb/iterator.h"
#include "storage/model/model_input.h"
#include "storage/model/model_state.h"

namespace bandb::test {

class ModelIterator {
 public:
  ModelIterator(std::unique_ptr<Iterator> iterator, ModelEntries expected)
      : iterator_(std::move(iterator)), expected_(std::move(expected)) {}

  // From the first to the last entry, and back.
  void CheckAll();
  // Seeks, steps and changes of direction, from where it is.
  void Walk(base::Random* random, ModelInput* input, uint64_t moves);
  // Once its database is closed.
  void CheckClosed();

 private:
  bool AtEntry() const { return at_ >= 0 && at_ < static_cast<std::ptrdiff_t>(expected_.size()); }
  // The number of entries below `key`.
  std::ptrdiff_t CountBelow(const std::string& key) const;
  void Move(base::Random* random, ModelInput* input);

  std::unique_ptr<Iterator> iterator_;
  ModelEntries expected_;
  std::ptrdiff_t at_ = -1;  // before the first entry to after the last one
};

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_MODEL_MODEL_ITERATOR_H_
