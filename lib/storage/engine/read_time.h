// The time that one read goes by.
#ifndef BANDB_STORAGE_ENGINE_READ_TIME_H_
#define BANDB_STORAGE_ENGINE_READ_TIME_H_

#include <cstdint>
#include <optional>

#include "storage/engine/engine.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

// Unless it is given, the present time, which is asked for once, and only if something that expires
// is met: most reads meet nothing of the kind, and are quicker than the clock would let them be.
// Then it is later than the sequence that was read: what is live by it was live at the sequence,
// but what has expired need not have.
class Engine::ReadTime {
 public:
  explicit ReadTime(const Engine* engine) : engine_(engine) {}

  // Gives it, for a read of several keys, with the view and the sequence: all of one moment, or of
  // the snapshot of `options`. Errors: of ResolveSnapshot; kFailedPrecondition it is closed.
  absl::Status Begin(Engine* engine, const ReadOptions& options, ViewRef* view, Sequence* sequence);
  void Set(uint64_t ms) { ms_ = ms; }
  uint64_t Ms() {
    is_late_ |= !ms_.has_value();
    if (!ms_) ms_ = engine_->NowMs();
    return *ms_;
  }
  // For reading an entry of this kind.
  uint64_t For(Kind kind) { return kind == Kind::kPutWithExpiry ? Ms() : 0; }
  // It was asked for, and not given.
  bool is_late() const { return is_late_; }

 private:
  const Engine* const engine_;
  std::optional<uint64_t> ms_;
  bool is_late_ = false;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_READ_TIME_H_
