// What a store gives a reader of its change feed: commits as they are in its log, one by one.
#ifndef BANDB_CHANGES_COMMIT_SOURCE_H_
#define BANDB_CHANGES_COMMIT_SOURCE_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "changes/change_token.h"
#include "kv/change_feed.h"

namespace bandb::changes {

// Lifetime: the operations are those of the source, until its next call.
struct LoggedCommit {
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  uint64_t commit_time_ms = 0;
  // All times of it are ahead of what readers are shown by so much.
  uint64_t ahead_ms = 0;
  // Encoded as in a batch (kv/batch_format.h), with absolute times.
  std::string_view operations{};
};

// At a place in the feed of a store. Errors: as ChangeReader. Thread safety: one thread at a time.
// Lifetime: may outlive the store.
class CommitSource {
 public:
  virtual ~CommitSource() = default;
  // The commit after the place, which then is after that. False: there is none that may be given
  // now, and the place is as far as was looked.
  virtual absl::StatusOr<bool> Next(LoggedCommit* commit) = 0;
  // After Next was false: waits until it may be true, for *nanos at the most, and lowers that by
  // the time that has passed. Also where that is 0: then others may have to be told that
  // somebody looks.
  virtual absl::Status Wait(int64_t* nanos) = 0;
  // After Next was false: as internal::AwaitableReader has them. A source that cannot tell is
  // looked at now and then.
  virtual int64_t Await(internal::ChangeListener* /*listener*/) { return kLookNanos; }
  virtual void Forget() {}
  static constexpr int64_t kLookNanos = 10'000'000;
  // Holds no memory until the next call.
  virtual void Release() = 0;
  virtual ChangePlace place() const = 0;
};

}  // namespace bandb::changes

#endif  // BANDB_CHANGES_COMMIT_SOURCE_H_
