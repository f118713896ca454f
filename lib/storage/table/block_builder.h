// Makes blocks (block.h).
#ifndef BANDB_STORAGE_TABLE_BLOCK_BUILDER_H_
#define BANDB_STORAGE_TABLE_BLOCK_BUILDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/table/block.h"

namespace bandb::storage {

// Entries are added in the order of their keys; that they increase is the caller's affair.
// Thread safety: one thread at a time.
class BlockBuilder {
 public:
  BlockBuilder() = default;
  BlockBuilder(const BlockBuilder&) = delete;
  BlockBuilder& operator=(const BlockBuilder&) = delete;

  // The key is internal, or a separator. The block must stay below 4 GiB.
  void Add(std::string_view internal_key, std::string_view value);

  bool empty() const { return entries_ == 0; }
  // The internal key that was added last. Lifetime: until the next call that is not const.
  std::string_view last_key() const { return last_key_; }
  // What Finish would return now, in bytes.
  size_t bytes() const {
    return keys_bytes_ + values_bytes_ + restarts_.size() * sizeof(Block::Restart) + sizeof(uint32_t);
  }
  // Memory held, in bytes.
  size_t memory_bytes() const { return keys_capacity_ + values_capacity_ + block_.capacity(); }

  // The payload of the block, with kBlockSlackBytes after it. Lifetime: until the next call that is
  // not const. Only Reset may follow.
  std::string_view Finish();
  // Begins the next block.
  void Reset();

 private:
  // Grows by doubling and keeps its memory from block to block; std::string would clear what is
  // written right after.
  static char* MakeRoom(std::unique_ptr<char[]>* buffer, size_t used, size_t* capacity, size_t bytes);

  std::unique_ptr<char[]> keys_;
  size_t keys_bytes_ = 0;
  size_t keys_capacity_ = 0;
  std::unique_ptr<char[]> values_;
  size_t values_bytes_ = 0;
  size_t values_capacity_ = 0;
  // Counted from the first entry and the first value until Finish knows where those lie.
  std::vector<Block::Restart> restarts_;
  std::string last_key_;
  std::string block_;
  uint64_t entries_ = 0;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_BLOCK_BUILDER_H_
