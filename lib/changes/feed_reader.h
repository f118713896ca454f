// The ChangeReader of every store: what it wants of the commits of a source.
#ifndef BANDB_CHANGES_FEED_READER_H_
#define BANDB_CHANGES_FEED_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "bandb/changes.h"
#include "changes/commit_source.h"
#include "changes/key_filter.h"
#include "kv/change_feed.h"

namespace bandb::changes {

class FeedReader final : public internal::AwaitableReader {
 public:
  // Begins with the first commit of no earlier time than `not_before_ms`.
  FeedReader(std::unique_ptr<CommitSource> source, KeyFilter filter, uint64_t not_before_ms)
      : source_(std::move(source)), filter_(std::move(filter)), not_before_ms_(not_before_ms) {}

  absl::Status Next(Commit* commit, absl::Duration wait) override;
  absl::Status Look(Commit* commit) override;
  int64_t Await(internal::ChangeListener* listener) override { return source_->Await(listener); }
  void Forget() override { source_->Forget(); }
  uint64_t looked_bytes() const override { return looked_bytes_; }
  std::string token() const override { return EncodeToken(source_->place()); }

 private:
  // The next commit that is wanted, if there is one. True: an empty one, for too much was passed
  // over, counting what had been before.
  absl::StatusOr<bool> Read(Commit* commit, uint64_t* passed_bytes);
  // What is wanted of it, into *commit. Errors: kDataLoss what a record holds is malformed.
  absl::Status Pick(const LoggedCommit& logged, Commit* commit) const;

  const std::unique_ptr<CommitSource> source_;
  const KeyFilter filter_;
  // 0 once one was found.
  uint64_t not_before_ms_;
  uint64_t looked_bytes_ = 0;
};

}  // namespace bandb::changes

#endif  // BANDB_CHANGES_FEED_READER_H_
