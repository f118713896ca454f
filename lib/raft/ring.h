// Ring: a queue in one array that grows by doubling. Pushing and popping cost no allocation once it
// has its size, which a std::deque cannot promise.
#ifndef BANDB_RAFT_RING_H_
#define BANDB_RAFT_RING_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace bandb::raft {

template <typename T>
class Ring {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  T& operator[](size_t i) {
    BANDB_ASSERT(i < size_);
    return slots_[(head_ + i) & (slots_.size() - 1)];
  }
  const T& operator[](size_t i) const { return const_cast<Ring&>(*this)[i]; }
  T& front() { return (*this)[0]; }
  const T& front() const { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }
  const T& back() const { return (*this)[size_ - 1]; }

  void push_back(T value) {
    if (size_ == slots_.size()) Grow();
    slots_[(head_ + size_++) & (slots_.size() - 1)] = std::move(value);
  }
  void pop_front() {
    front() = T();
    head_ = (head_ + 1) & (slots_.size() - 1);
    --size_;
  }
  void pop_back() {
    back() = T();
    --size_;
  }
  void clear() {
    while (!empty()) pop_back();
  }

 private:
  void Grow() {
    std::vector<T> larger(slots_.empty() ? 16 : slots_.size() * 2);
    for (size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    slots_.swap(larger);
    head_ = 0;
  }

  // A power of two in size.
  std::vector<T> slots_;
  size_t head_ = 0;
  size_t size_ = 0;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_RING_H_
