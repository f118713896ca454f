#include "transfer/store_source.h"

#include <utility>

#include "absl/time/time.h"
#include "base/status.h"

namespace bandb::transfer {

namespace {

class StoreSource final : public EntrySource {
 public:
  explicit StoreSource(std::unique_ptr<Iterator> iterator) : iterator_(std::move(iterator)) {}

  absl::StatusOr<bool> Next(Entry* entry) override {
    if (begun_) {
      iterator_->Next();
    } else {
      iterator_->SeekToFirst();
      begun_ = true;
    }
    if (!iterator_->Valid()) {
      BANDB_RETURN_IF_ERROR(iterator_->status());
      return false;
    }
    const absl::Time expiry = iterator_->expiry();
    const bool expires = expiry != absl::InfiniteFuture();
    *entry = {.key = iterator_->key(),
              .value = iterator_->value(),
              .expires_ms = expires ? static_cast<uint64_t>(absl::ToUnixMillis(expiry)) : 0};
    return true;
  }

 private:
  const std::unique_ptr<Iterator> iterator_;
  bool begun_ = false;
};

}  // namespace

std::unique_ptr<EntrySource> MakeStoreSource(Store* store, const Snapshot* snapshot, std::string begin,
                                             std::string limit) {
  ReadOptions options;
  options.snapshot = snapshot;
  options.lower_bound = std::move(begin);
  options.upper_bound = std::move(limit);
  options.fill_cache = false;
  return std::make_unique<StoreSource>(store->NewIterator(options));
}

}  // namespace bandb::transfer
