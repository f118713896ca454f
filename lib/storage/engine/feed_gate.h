// The way from a reader of the change feed, which may outlive the database, to the engine.
#ifndef BANDB_STORAGE_ENGINE_FEED_GATE_H_
#define BANDB_STORAGE_ENGINE_FEED_GATE_H_

#include <atomic>
#include <cstdint>

#include "base/fork.h"
#include "base/mutex.h"
#include "changes/news.h"

namespace bandb::storage {

class Engine;

// Lifetime: shared by the engine and its readers. Thread safety: any thread.
class FeedGate {
 public:
  explicit FeedGate(Engine* engine) : engine_(engine) {}
  // Begins an activity, which the caller ends with Engine::Leave. Null: the database is closing,
  // gone, or a forked child's parent's.
  Engine* Enter() ABSL_LOCKS_EXCLUDED(mutex_);
  // The engine ends.
  void Forget() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    engine_ = nullptr;
  }

  // Told once the last sequence has moved, and once the durable one has: here, for a reader may
  // wait for it longer than the engine lives.
  changes::News committed;
  changes::News durable;
  // What readers hold of logs.
  std::atomic<uint64_t> held_bytes{0};

 private:
  const uint64_t forks_ = base::Forks();
  base::Mutex mutex_;
  Engine* engine_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_FEED_GATE_H_
