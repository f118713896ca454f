#include "net/output_queue.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace bandb::net {

namespace {
constexpr size_t kBlockBytes = 4096;
}

struct OutputBlock {
  OutputBlock* next = nullptr;
  const char* begin = nullptr;  // of what is unwritten
  const char* end = nullptr;
  OwnedBytes owned;  // if it has bytes, `begin` and `end` lie in them and not in `bytes`
  size_t held_bytes = 0;
  size_t shared_bytes = 0;
  char bytes[kBlockBytes];

  size_t Room() const { return owned.bytes().empty() ? static_cast<size_t>(bytes + kBlockBytes - end) : 0; }
};

BlockPool::~BlockPool() {
  while (free_ != nullptr) {
    OutputBlock* next = free_->next;
    delete free_;
    free_ = next;
  }
}

OutputBlock* BlockPool::Take() {
  OutputBlock* block = free_;
  if (block == nullptr) {
    block = new OutputBlock;
  } else {
    free_ = block->next;
    --free_count_;
  }
  block->next = nullptr;
  block->begin = block->end = block->bytes;
  block->held_bytes = sizeof(OutputBlock);
  block->shared_bytes = 0;
  return block;
}

void BlockPool::Give(OutputBlock* block) {
  block->owned.Reset();
  if (free_count_ >= kFreeBlocksMax) {
    delete block;
    return;
  }
  block->next = free_;
  free_ = block;
  ++free_count_;
}

void OutputQueue::Chain(OutputBlock* block) {
  if (last_ == nullptr) {
    first_ = block;
  } else {
    last_->next = block;
  }
  last_ = block;
  held_bytes_ += block->held_bytes;
  shared_bytes_ += block->shared_bytes;
}

void OutputQueue::Append(std::string_view bytes) {
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    if (last_ == nullptr || last_->Room() == 0) Chain(pool_->Take());
    const size_t count = std::min(bytes.size(), last_->Room());
    std::memcpy(const_cast<char*>(last_->end), bytes.data(), count);
    last_->end += count;
    bytes.remove_prefix(count);
  }
}

void OutputQueue::AppendOwned(OwnedBytes bytes) {
  if (bytes.bytes().empty()) return;
  OutputBlock* block = pool_->Take();
  block->begin = bytes.bytes().data();
  block->end = block->begin + bytes.bytes().size();
  block->held_bytes += bytes.own_bytes();
  block->shared_bytes = bytes.shared_bytes();
  bytes_ += bytes.bytes().size();
  block->owned = std::move(bytes);
  Chain(block);
}

size_t OutputQueue::Gather(absl::Span<std::string_view> pieces) const {
  size_t count = 0;
  for (const OutputBlock* block = first_; block != nullptr && count < pieces.size(); block = block->next) {
    pieces[count++] = std::string_view(block->begin, static_cast<size_t>(block->end - block->begin));
  }
  return count;
}

void OutputQueue::DropFirst() {
  OutputBlock* block = first_;
  first_ = block->next;
  if (first_ == nullptr) last_ = nullptr;
  held_bytes_ -= block->held_bytes;
  shared_bytes_ -= block->shared_bytes;
  pool_->Give(block);
}

void OutputQueue::Consume(size_t count) {
  BANDB_ASSERT(count <= bytes_);
  bytes_ -= count;
  begun_ = bytes_ > 0 && (begun_ || count > 0);
  while (first_ != nullptr) {
    const size_t part = std::min(count, static_cast<size_t>(first_->end - first_->begin));
    first_->begin += part;
    count -= part;
    if (first_->begin != first_->end) return;
    DropFirst();
  }
  BANDB_ASSERT(count == 0);
}

void OutputQueue::Clear() {
  while (first_ != nullptr) DropFirst();
  bytes_ = 0;
  begun_ = false;
}

}  // namespace bandb::net
