// What a reader reads: the memtables and the version of one moment, taken without a lock.
//
// The present view is handed to readers through slots, one cache line each, over which threads are
// spread. A slot holds a reference to the view; a reader borrows it by marking the slot, and gives
// it back by clearing the mark, one compare-exchange each. When a new view is installed, every slot
// is emptied; a reader whose slot was emptied meanwhile drops its reference itself, and a reader
// that finds its slot empty or borrowed takes a reference under the mutex. (RocksDB's thread-local
// SuperVersion, with slots in place of thread-local storage.)
#ifndef BANDB_STORAGE_READ_READ_VIEW_H_
#define BANDB_STORAGE_READ_READ_VIEW_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "storage/memtable/memtable.h"
#include "storage/version/version.h"

namespace bandb::storage {

// Never changes once it is installed. Newest first: memtable, frozen from the front, version.
struct ReadView {
  std::shared_ptr<Memtable> memtable;
  std::vector<std::shared_ptr<const Memtable>> frozen;
  std::shared_ptr<const Version> version;
  // Of the state that it belongs to, and of the present one, null where that cannot change: a
  // replica that installs another state lets nobody go on with the one before.
  uint64_t generation = 0;
  std::shared_ptr<const std::atomic<uint64_t>> present_generation;
  mutable std::atomic<uint64_t> references{0};

  bool IsReplaced() const {
    return present_generation != nullptr && present_generation->load(std::memory_order_acquire) != generation;
  }
};

class ViewHolder;

// What reads of a state answer once another has taken its place.
absl::Status ReplacedError();

// A reference to a view. Movable; thread safety: one thread at a time. May outlive the holder once
// it is Detached.
class ViewRef {
 public:
  ViewRef() = default;
  ~ViewRef() { Reset(); }
  ViewRef(ViewRef&& other) noexcept { *this = static_cast<ViewRef&&>(other); }
  ViewRef& operator=(ViewRef&& other) noexcept;
  ViewRef(const ViewRef&) = delete;
  ViewRef& operator=(const ViewRef&) = delete;

  const ReadView* operator->() const { return view_; }
  const ReadView& operator*() const { return *view_; }
  // False if the holder had no view: the database is closed.
  explicit operator bool() const { return view_ != nullptr; }
  void Reset();
  // Another reference to the same view, of the bearer's own.
  ViewRef Share() const;
  // Gives a borrowed slot back and holds a reference of its own instead: for callers that keep it
  // long.
  void Detach();

 private:
  friend class ViewHolder;
  ViewRef(const ReadView* view, std::atomic<uintptr_t>* slot) : view_(view), slot_(slot) {}

  const ReadView* view_ = nullptr;
  // The slot that the reference was borrowed from; null if it is the bearer's own.
  std::atomic<uintptr_t>* slot_ = nullptr;
};

// Thread safety: any thread.
class ViewHolder {
 public:
  ViewHolder() = default;
  ~ViewHolder();
  ViewHolder(const ViewHolder&) = delete;
  ViewHolder& operator=(const ViewHolder&) = delete;

  ViewRef Acquire() ABSL_LOCKS_EXCLUDED(mutex_);
  // The references that Install took back. Destroying it may free a memtable or remove a file, so
  // do it without locks.
  class Retired {
   public:
    Retired() = default;
    ~Retired();
    Retired(Retired&& other) noexcept { *this = static_cast<Retired&&>(other); }
    // Takes over what `other` holds; releases nothing before this is destroyed.
    Retired& operator=(Retired&& other) noexcept {
      views_.swap(other.views_);
      return *this;
    }

   private:
    friend class ViewHolder;
    std::vector<const ReadView*> views_;
  };
  // Replaces the present view; null when the database closes.
  [[nodiscard]] Retired Install(std::unique_ptr<const ReadView> view) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr size_t kSlots = 64;
  struct alignas(64) Slot {
    std::atomic<uintptr_t> view{0};
  };

  std::array<Slot, kSlots> slots_;
  base::Mutex mutex_;
  // Holds one reference.
  const ReadView* current_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_READ_READ_VIEW_H_
