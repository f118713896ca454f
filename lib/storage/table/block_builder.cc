#include "storage/table/block_builder.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace bandb::storage {

char* BlockBuilder::MakeRoom(std::unique_ptr<char[]>* buffer, size_t used, size_t* capacity, size_t bytes) {
  if (*capacity - used < bytes) {
    const size_t wanted = std::max({used + bytes, *capacity * 2, size_t{4096}});
    // Not make_unique: it would write zeros first.
    std::unique_ptr<char[]> larger(new char[wanted]);
    if (used > 0) std::memcpy(larger.get(), buffer->get(), used);
    *buffer = std::move(larger);
    *capacity = wanted;
  }
  return buffer->get() + used;
}

void BlockBuilder::Add(std::string_view internal_key, std::string_view value) {
  BANDB_ASSERT(internal_key.size() >= kSpaceBytes + kTrailerBytes);
  BANDB_ASSERT(internal_key.size() <= kSpacedKeyBytesMax + kTrailerBytes);
  size_t shared = 0;
  if (entries_ % kRestartInterval == 0) {
    restarts_.push_back({static_cast<uint32_t>(keys_bytes_), static_cast<uint32_t>(values_bytes_)});
  } else {
    const size_t shorter = std::min(last_key_.size(), internal_key.size()) - kTrailerBytes;
    shared = CommonPrefixBytes(last_key_.data(), internal_key.data(), shorter);
  }
  const std::string_view rest = internal_key.substr(shared);
  char* const from = MakeRoom(&keys_, keys_bytes_, &keys_capacity_, 3 * base::kVarint64BytesMax + rest.size());
  char* to = base::StoreVarint(from, shared);
  to = base::StoreVarint(to, rest.size() - kTrailerBytes);
  to = base::StoreVarint(to, value.size());
  std::memcpy(to, rest.data(), rest.size());
  keys_bytes_ += static_cast<size_t>(to + rest.size() - from);
  if (!value.empty()) {
    std::memcpy(MakeRoom(&values_, values_bytes_, &values_capacity_, value.size()), value.data(), value.size());
    values_bytes_ += value.size();
  }
  last_key_.resize(shared);
  last_key_.append(rest);
  ++entries_;
  BANDB_ASSERT(bytes() <= UINT32_MAX);
}

std::string_view BlockBuilder::Finish() {
  const size_t all = bytes();
  block_.clear();
  block_.reserve(all + kBlockSlackBytes);
  const auto entries_at = static_cast<uint32_t>(sizeof(uint32_t) + restarts_.size() * sizeof(Block::Restart));
  const auto values_at = static_cast<uint32_t>(entries_at + keys_bytes_);
  base::PutFixed32(&block_, static_cast<uint32_t>(restarts_.size()));
  for (const Block::Restart& restart : restarts_) {
    base::PutFixed32(&block_, entries_at + restart.entry_at);
    base::PutFixed32(&block_, values_at + restart.value_at);
  }
  block_.append(keys_.get(), keys_bytes_);
  if (values_bytes_ > 0) block_.append(values_.get(), values_bytes_);
  BANDB_ASSERT(block_.size() == all);
  block_.append(kBlockSlackBytes, '\0');
  return std::string_view(block_).substr(0, all);
}

void BlockBuilder::Reset() {
  keys_bytes_ = 0;
  values_bytes_ = 0;
  restarts_.clear();
  last_key_.clear();
  entries_ = 0;
}

}  // namespace bandb::storage
