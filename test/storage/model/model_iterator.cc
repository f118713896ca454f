#include "storage/model/model_iterator.h"

#include <algorithm>

#include "support/catch.h"

namespace bandb::test {

void ModelIterator::CheckAll() {
  ModelEntries found;
  for (iterator_->SeekToFirst(); iterator_->Valid() && found.size() <= expected_.size(); iterator_->Next()) {
    found.emplace_back(iterator_->key(), iterator_->value());
  }
  REQUIRE_OK(iterator_->status());
  if (found != expected_) FAIL("forward: " << Difference(found, expected_));
  found.clear();
  for (iterator_->SeekToLast(); iterator_->Valid() && found.size() <= expected_.size(); iterator_->Prev()) {
    found.emplace_back(iterator_->key(), iterator_->value());
  }
  REQUIRE_OK(iterator_->status());
  std::reverse(found.begin(), found.end());
  if (found != expected_) FAIL("backward: " << Difference(found, expected_));
  // As before the first entry: the next move is a seek.
  at_ = -1;
}

std::ptrdiff_t ModelIterator::CountBelow(const std::string& key) const {
  return std::lower_bound(expected_.begin(), expected_.end(), key,
                          [](const auto& entry, const std::string& wanted) { return entry.first < wanted; }) -
         expected_.begin();
}

void ModelIterator::Move(base::Random* random, ModelInput* input) {
  // Next and Prev need an entry to start from.
  switch (random->Uniform(AtEntry() ? 10 : 4)) {
    case 0: {
      const std::string target = input->Key();
      iterator_->Seek(target);
      at_ = CountBelow(target);
      break;
    }
    case 1: {
      const std::string target = input->Key();
      iterator_->SeekForPrev(target);
      at_ = CountBelow(target + '\0') - 1;
      break;
    }
    case 2:
      iterator_->SeekToFirst();
      at_ = 0;
      break;
    case 3:
      iterator_->SeekToLast();
      at_ = static_cast<std::ptrdiff_t>(expected_.size()) - 1;
      break;
    case 4:
    case 5:
    case 6:
      iterator_->Next();
      ++at_;
      break;
    default:
      iterator_->Prev();
      --at_;
  }
}

void ModelIterator::Walk(base::Random* random, ModelInput* input, uint64_t moves) {
  for (; moves > 0; --moves) {
    Move(random, input);
    REQUIRE_OK(iterator_->status());
    REQUIRE(iterator_->Valid() == AtEntry());
    if (!AtEntry()) continue;
    const auto& [key, value] = expected_[static_cast<size_t>(at_)];
    if (iterator_->key() == key && iterator_->value() == value) continue;
    FAIL("entry " << at_ << " of " << expected_.size() << ": "
                  << Difference({{std::string(iterator_->key()), std::string(iterator_->value())}}, {{key, value}}));
  }
}

void ModelIterator::CheckClosed() {
  iterator_->SeekToFirst();
  REQUIRE_FALSE(iterator_->Valid());
  REQUIRE_CODE(iterator_->status(), kFailedPrecondition);
}

}  // namespace bandb::test
