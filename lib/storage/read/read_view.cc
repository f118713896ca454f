#include "storage/read/read_view.h"

#include <utility>

#include "base/status.h"
#include "base/thread_slot.h"

namespace bandb::storage {

absl::Status ReplacedError() {
  return base::Error(absl::StatusCode::kFailedPrecondition,
                     "another state was installed, and what this read from is gone");
}

namespace {

// A slot holds nothing, the address of a view, or the address with this bit set while a reader has
// borrowed its reference. That the mark names the view keeps a reader that was overtaken by Install
// from giving an old view back to a slot that another reader has filled and borrowed since.
constexpr uintptr_t kEmpty = 0;
constexpr uintptr_t kBorrowedBit = 1;

uintptr_t Address(const ReadView* view) { return reinterpret_cast<uintptr_t>(view); }

void Unreference(const ReadView* view) {
  if (view->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete view;
}

}  // namespace

ViewRef& ViewRef::operator=(ViewRef&& other) noexcept {
  if (this == &other) return *this;
  Reset();
  view_ = std::exchange(other.view_, nullptr);
  slot_ = std::exchange(other.slot_, nullptr);
  return *this;
}

void ViewRef::Reset() {
  if (view_ == nullptr) return;
  const ReadView* view = std::exchange(view_, nullptr);
  std::atomic<uintptr_t>* slot = std::exchange(slot_, nullptr);
  if (slot != nullptr) {
    uintptr_t expected = Address(view) | kBorrowedBit;
    if (slot->compare_exchange_strong(expected, Address(view), std::memory_order_acq_rel)) return;
    // A new view was installed meanwhile, and the reference is ours to drop.
  }
  Unreference(view);
}

ViewRef ViewRef::Share() const {
  if (view_ != nullptr) view_->references.fetch_add(1, std::memory_order_relaxed);
  return ViewRef(view_, nullptr);
}

void ViewRef::Detach() {
  if (slot_ != nullptr) *this = Share();
}

ViewHolder::~ViewHolder() { const Retired retired = Install(nullptr); }

ViewHolder::Retired::~Retired() {
  for (const ReadView* view : views_) Unreference(view);
}

ViewRef ViewHolder::Acquire() {
  std::atomic<uintptr_t>* slot = &slots_[base::ThreadSlot() % kSlots].view;
  uintptr_t held = slot->load(std::memory_order_acquire);
  if (held != kEmpty && (held & kBorrowedBit) == 0 &&
      slot->compare_exchange_strong(held, held | kBorrowedBit, std::memory_order_acq_rel)) {
    return ViewRef(reinterpret_cast<const ReadView*>(held), slot);
  }
  base::MutexLock lock(&mutex_);
  if (current_ == nullptr) return ViewRef();
  current_->references.fetch_add(1, std::memory_order_relaxed);
  // Install empties the slots under the mutex, so a slot that is filled here holds the present
  // view. One that another reader has borrowed is left to it.
  uintptr_t empty = kEmpty;
  const bool filled = slot->compare_exchange_strong(empty, Address(current_) | kBorrowedBit, std::memory_order_acq_rel);
  return ViewRef(current_, filled ? slot : nullptr);
}

ViewHolder::Retired ViewHolder::Install(std::unique_ptr<const ReadView> view) {
  Retired retired;
  retired.views_.reserve(kSlots + 1);
  base::MutexLock lock(&mutex_);
  const ReadView* previous = std::exchange(current_, view.release());
  if (previous != nullptr) retired.views_.push_back(previous);
  if (current_ != nullptr) current_->references.fetch_add(1, std::memory_order_relaxed);
  for (Slot& slot : slots_) {
    const uintptr_t value = slot.view.exchange(kEmpty, std::memory_order_acq_rel);
    if (value != kEmpty && (value & kBorrowedBit) == 0)
      retired.views_.push_back(reinterpret_cast<const ReadView*>(value));
  }
  return retired;
}

}  // namespace bandb::storage
