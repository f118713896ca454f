// The bytes that wait to be written to one connection: a chain of blocks that one gathering write
// empties.
//
// Small replies are copied into 4 KiB blocks of a pool, so that answering allocates nothing; large
// ones are chained in as they are. A connection with nothing to say holds no block.
#ifndef BANDB_NET_OUTPUT_QUEUE_H_
#define BANDB_NET_OUTPUT_QUEUE_H_

#include <cstddef>
#include <string_view>

#include "absl/types/span.h"
#include "net/reply.h"

namespace bandb::net {

struct OutputBlock;

// Blocks not in use, up to a limit. Thread safety: one thread. Lifetime: must outlive the queues.
class BlockPool {
 public:
  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  OutputBlock* Take();
  void Give(OutputBlock* block);

 private:
  static constexpr size_t kFreeBlocksMax = 1024;
  OutputBlock* free_ = nullptr;
  size_t free_count_ = 0;
};

class OutputQueue {
 public:
  explicit OutputQueue(BlockPool* pool) : pool_(pool) {}
  ~OutputQueue() { Clear(); }
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;

  void Append(std::string_view bytes);
  void AppendOwned(OwnedBytes bytes);

  // Bytes not yet written.
  size_t bytes() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }
  // What this queue alone keeps in memory, and what it keeps with others.
  size_t held_bytes() const { return held_bytes_; }
  size_t shared_bytes() const { return shared_bytes_; }
  // Nothing of what is in here was written yet, so that what was written before ends with a whole
  // reply.
  bool AtFrameEdge() const { return !begun_; }

  // Views of the bytes in front, as many as there is room for; how many.
  size_t Gather(absl::Span<std::string_view> pieces) const;
  // Forgets that many bytes in front.
  void Consume(size_t count);
  void Clear();

 private:
  void Chain(OutputBlock* block);
  void DropFirst();

  BlockPool* const pool_;
  OutputBlock* first_ = nullptr;
  OutputBlock* last_ = nullptr;
  size_t bytes_ = 0;
  size_t held_bytes_ = 0;
  size_t shared_bytes_ = 0;
  bool begun_ = false;
};

}  // namespace bandb::net

#endif  // BANDB_NET_OUTPUT_QUEUE_H_
