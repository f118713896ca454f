#include "storage/table/block_memory.h"

#include <new>

#include "base/assert.h"
#include "base/thread_slot.h"

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, bytes) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(memory, bytes) static_cast<void>(0)
#endif

namespace bandb::storage {

namespace {

constexpr std::align_val_t kPieceAlignment{BlockMemory::kAlignment};

void Release(void* memory) { ::operator delete(memory, kPieceAlignment); }

}  // namespace

BlockMemory::~BlockMemory() {
  for (Stripe& stripe : stripes_) {
    const base::MutexLock lock(&stripe.mutex);
    while (Piece* piece = PopAnyLocked(&stripe)) Release(piece);
    BANDB_ASSERT(stripe.kept_bytes == 0);
  }
}

BlockMemory::Stripe& BlockMemory::OwnStripe() { return stripes_[base::ThreadSlot() % kStripes]; }

BlockMemory::Piece* BlockMemory::PopLocked(Stripe* stripe, size_t steps) {
  Piece* const piece = stripe->pieces[steps];
  if (piece == nullptr) return nullptr;
  const size_t bytes = steps * kStepBytes;
  BANDB_ASSERT(stripe->kept_bytes >= bytes);
  ASAN_UNPOISON_MEMORY_REGION(piece, bytes);
  stripe->pieces[steps] = piece->next;
  stripe->kept_bytes -= bytes;
  return piece;
}

BlockMemory::Piece* BlockMemory::PopAnyLocked(Stripe* stripe) {
  for (size_t steps = kSizes; stripe->kept_bytes > 0 && steps-- > 0;) {
    if (Piece* piece = PopLocked(stripe, steps)) return piece;
  }
  return nullptr;
}

void* BlockMemory::Take(size_t bytes) {
  const size_t steps = (bytes + kStepBytes - 1) / kStepBytes;
  if (steps >= kSizes || stripe_bytes_max_ < kStepBytes) return ::operator new(bytes, kPieceAlignment);
  Stripe& stripe = OwnStripe();
  Piece* unused = nullptr;
  {
    const base::MutexLock lock(&stripe.mutex);
    if (Piece* piece = PopLocked(&stripe, steps)) return piece;
    // This one will want to be kept once it is given back.
    if (stripe.kept_bytes + steps * kStepBytes > stripe_bytes_max_) unused = PopAnyLocked(&stripe);
  }
  if (unused != nullptr) Release(unused);
  return ::operator new(steps* kStepBytes, kPieceAlignment);
}

void BlockMemory::Give(void* memory, size_t bytes) {
  BANDB_ASSERT(memory != nullptr);
  const size_t steps = (bytes + kStepBytes - 1) / kStepBytes;
  const size_t kept = steps * kStepBytes;
  if (steps >= kSizes || kept > stripe_bytes_max_) return Release(memory);
  Stripe& stripe = OwnStripe();
  {
    const base::MutexLock lock(&stripe.mutex);
    if (stripe.kept_bytes + kept <= stripe_bytes_max_) {
      auto* const piece = new (memory) Piece{stripe.pieces[steps]};
      stripe.pieces[steps] = piece;
      stripe.kept_bytes += kept;
      ASAN_POISON_MEMORY_REGION(static_cast<char*>(memory) + sizeof(Piece), kept - sizeof(Piece));
      return;
    }
  }
  Release(memory);
}

uint64_t BlockMemory::kept_bytes() const {
  uint64_t bytes = 0;
  for (const Stripe& stripe : stripes_) {
    const base::MutexLock lock(&stripe.mutex);
    bytes += stripe.kept_bytes;
  }
  return bytes;
}

}  // namespace bandb::storage
