#include "net/reply_queue.h"

#include <utility>

#include "base/assert.h"

namespace bandb::net {

namespace {
constexpr size_t kRingAtFirst = 4;
// A larger ring is given back when it is empty, so that a connection which once pipelined much
// costs little later.
constexpr size_t kRingKept = 64;

size_t BytesOf(const ReplyQueue::Place& place) { return place.head.size() + place.tail.bytes().size(); }
size_t OwnBytesOf(const ReplyQueue::Place& place) { return BytesOf(place) - place.tail.shared_bytes(); }
}  // namespace

ReplyQueue::Place& ReplyQueue::Push() {
  if (count_ == ring_.size()) {
    std::vector<Place> larger(ring_.empty() ? kRingAtFirst : 2 * ring_.size());
    for (uint64_t i = first_; i < first_ + count_; ++i) larger[i & (larger.size() - 1)] = std::move(At(i));
    ring_ = std::move(larger);
  }
  ++count_;
  return At(first_ + count_ - 1);
}

uint64_t ReplyQueue::PushPending(Lane lane, size_t request_bytes, std::unique_ptr<AfterContext> after) {
  Place& place = Push();
  place.ready = false;
  place.lane = lane;
  place.request_bytes = request_bytes;
  place.after = std::move(after);
  return first_ + count_ - 1;
}

void ReplyQueue::PushReady(Reply reply) { Fill(&Push(), std::move(reply)); }

ReplyQueue::Place* ReplyQueue::FindPending(uint64_t sequence) {
  if (sequence < first_ || sequence - first_ >= count_) return nullptr;
  Place& place = At(sequence);
  return place.ready ? nullptr : &place;
}

void ReplyQueue::Fill(Place* place, Reply reply) {
  place->head.assign(reply.head);
  place->head.append(reply.body);
  place->tail = std::move(reply.tail);
  place->ready = true;
  bytes_ += BytesOf(*place);
  own_bytes_ += OwnBytesOf(*place);
}

void ReplyQueue::Drain(OutputQueue* output) {
  while (count_ > 0 && At(first_).ready) {
    Place& place = At(first_);
    bytes_ -= BytesOf(place);
    own_bytes_ -= OwnBytesOf(place);
    output->Append(place.head);
    output->AppendOwned(std::move(place.tail));
    place.head.clear();
    // A large reply's memory is not kept for the small ones to come.
    if (place.head.capacity() > 256) std::string().swap(place.head);
    place.ready = false;
    ++first_;
    --count_;
  }
  if (count_ == 0 && ring_.size() > kRingKept) std::vector<Place>().swap(ring_);
}

void ReplyQueue::Shrink() {
  if (count_ == 0 && !ring_.empty()) std::vector<Place>().swap(ring_);
}

void ReplyQueue::Clear() {
  // The numbers go on: a ticket of before must find nothing.
  first_ += count_;
  count_ = 0;
  bytes_ = own_bytes_ = 0;
  std::vector<Place>().swap(ring_);
}

}  // namespace bandb::net
