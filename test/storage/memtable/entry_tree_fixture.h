// A tree in memory of its own, and the keys that are hard on it.
#ifndef BANDB_TEST_STORAGE_MEMTABLE_ENTRY_TREE_FIXTURE_H_
#define BANDB_TEST_STORAGE_MEMTABLE_ENTRY_TREE_FIXTURE_H_

#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/region.h"
#include "storage/key/internal_key.h"
#include "storage/memtable/entry_tree.h"

namespace bandb::storage {

class TreeInMemory {
 public:
  explicit TreeInMemory(size_t bytes) : region_(base::Region::Map(bytes)), tree_(region_->data(), bytes) {}

  EntryTree& operator*() { return tree_; }
  EntryTree* operator->() { return &tree_; }
  void Insert(std::string_view key, std::string_view value) {
    EntryTree::Entry* entry = tree_.Allocate(key.size(), value.size());
    std::memcpy(EntryTree::KeyBytes(entry), key.data(), key.size());
    if (!value.empty()) std::memcpy(EntryTree::ValueBytes(entry), value.data(), value.size());
    tree_.Insert(entry);
  }

 private:
  const std::unique_ptr<base::Region> region_;
  EntryTree tree_;
};

inline std::string_view KeyOf(const EntryTree::Entry* entry) {
  return entry == nullptr ? std::string_view() : entry->key();
}

// Ways in which keys come.
enum class KeyShape {
  kNumbers,  // at random, alike in their first ten bytes
  kAscending,
  kDescending,
  kFewLetters,  // short, zeros and high bytes among them: prefixes of one another; the empty key
  kOneKey,      // versions of one key
  kFewKeys,     // versions of a few keys, long and equal in their first 30 bytes
  kEqualWords,  // alike in their first hundred bytes and more
  kSpaces,      // of all three spaces
  kFalling,     // each agrees with the first in one byte less
};
inline constexpr KeyShape kKeyShapes[] = {KeyShape::kNumbers,    KeyShape::kAscending, KeyShape::kDescending,
                                          KeyShape::kFewLetters, KeyShape::kOneKey,    KeyShape::kFewKeys,
                                          KeyShape::kEqualWords, KeyShape::kSpaces,    KeyShape::kFalling};

inline std::string FewLetters(base::Random* random) {
  constexpr std::string_view kLetters("\0a\xff", 3);
  std::string key;
  for (uint64_t left = random->Uniform(12); left > 0; --left) key.push_back(kLetters[random->Uniform(3)]);
  return key;
}

// The user's key at `number`, from 1 on.
inline std::string KeyOfShape(KeyShape shape, uint64_t number, base::Random* random) {
  switch (shape) {
    case KeyShape::kNumbers:
      return fmt::format("{:016}", random->Uniform(1'000'000));
    case KeyShape::kAscending:
      return fmt::format("key{:09}", number);
    case KeyShape::kDescending:
      return fmt::format("key{:09}", 999'999'999 - number);
    case KeyShape::kOneKey:
      return "the one";
    case KeyShape::kFewKeys:
      return fmt::format("{:x>30}{}", "", random->Uniform(5));
    case KeyShape::kEqualWords:
      return std::string(100, 'p') + fmt::format("{:x>16}{}", random->Uniform(3), FewLetters(random));
    case KeyShape::kFalling:
      return number > 300 ? std::string(random->Uniform(300), 'f') + "e" : std::string(301 - number, 'f');
    default:
      return FewLetters(random);
  }
}

inline std::string InternalKeyOfShape(KeyShape shape, uint64_t number, base::Random* random) {
  const auto space = shape == KeyShape::kSpaces ? static_cast<Space>(random->Uniform(3)) : Space::kUser;
  return MakeInternalKey(MakeSpacedKey(space, KeyOfShape(shape, number, random)), MakeTrailer(number, Kind::kPut));
}

}  // namespace bandb::storage

#endif  // BANDB_TEST_STORAGE_MEMTABLE_ENTRY_TREE_FIXTURE_H_
