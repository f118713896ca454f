// A consumer of the change feed beside DbModel: it makes a map of the changes, which must be what
// the database holds.
//
// It goes on from where it was through crashes, by its token or by its cursor. Where what comes
// next is gone, it must have been told so for a reason, and begins again with a snapshot.
#ifndef BANDB_TEST_STORAGE_MODEL_MODEL_FEED_H_
#define BANDB_TEST_STORAGE_MODEL_MODEL_FEED_H_

#include <cstdint>
#include <memory>
#include <string>

#include "bandb/changes.h"
#include "bandb/db.h"
#include "base/random.h"
#include "storage/model/model_state.h"

namespace bandb::test {

// What a change makes of a map.
void ApplyChange(const Change& change, ModelState* state);
// All that the feed of `db` gives at once, from the first write on, makes what was found at
// `now_ms`. Errors: what the feed answers; kInternal something else.
absl::Status CheckFeed(Db* db, const ModelEntries& found, uint64_t now_ms);

class ModelFeed {
 public:
  struct Counts {
    uint64_t commits = 0;
    uint64_t resumed = 0;
    uint64_t trimmed = 0;   // told that what comes next is gone
    uint64_t diverged = 0;  // told that what it had seen was lost with the power
  };

  // `undurable`: sees commits at once. `cursor`: the name of one that it acknowledges to; empty:
  // none. Lifetime: `random` and `counts` are borrowed.
  ModelFeed(bool undurable, std::string cursor, base::Random* random, Counts* counts)
      : undurable_(undurable), cursor_(std::move(cursor)), random_(random), counts_(counts) {}

  // Of `db`, which holds `present`: reads what there is. `complete`: everything may be given, so
  // that the map must then be `present`, as it looks at `now_ms`.
  void Follow(Db* db, const ModelState& present, uint64_t now_ms, bool complete);
  // The database was closed, or its process died; power may have been lost.
  void Interrupted(bool power_lost);

 private:
  bool Resume(Db* db);
  void Restart(Db* db, const ModelState& present);
  // False: what comes next is gone.
  bool ReadAll(Db* db);
  void CheckGone(Db* db, const absl::Status& status);

  const bool undurable_;
  const std::string cursor_;
  base::Random* const random_;
  Counts* const counts_;
  std::unique_ptr<ChangeReader> reader_;
  std::string token_;
  // What the token comes after.
  uint64_t sequence_ = 0;
  bool power_lost_ = false;
  ModelState state_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_MODEL_MODEL_FEED_H_
