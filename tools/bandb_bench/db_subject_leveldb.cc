// LevelDB as a subject of bandb_bench db.
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/options.h>

#include "base/status.h"
#include "db_subject.h"

namespace bandb::bench {

namespace {

leveldb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

absl::Status ToStatus(const leveldb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInternal, "leveldb: {}", status.ToString());
}

class LeveldbSubject final : public Subject {
 public:
  LeveldbSubject(std::unique_ptr<leveldb::Cache> cache, std::unique_ptr<const leveldb::FilterPolicy> filter)
      : cache_(std::move(cache)), filter_(std::move(filter)) {}

  absl::Status Open(const std::string& dir, leveldb::Options options) {
    options.block_cache = cache_.get();
    options.filter_policy = filter_.get();
    leveldb::DB* db = nullptr;
    BANDB_RETURN_IF_ERROR(ToStatus(leveldb::DB::Open(options, dir, &db)));
    db_.reset(db);
    return absl::OkStatus();
  }

  absl::Status Put(std::string_view key, std::string_view value, bool sync) override {
    leveldb::WriteOptions options;
    options.sync = sync;
    return ToStatus(db_->Put(options, ToSlice(key), ToSlice(value)));
  }
  absl::Status Delete(std::string_view key) override { return ToStatus(db_->Delete({}, ToSlice(key))); }
  absl::StatusOr<bool> Get(std::string_view key) override {
    std::string value;
    const leveldb::Status status = db_->Get({}, ToSlice(key), &value);
    if (status.ok()) return true;
    if (status.IsNotFound()) return false;
    return ToStatus(status);
  }
  absl::StatusOr<uint64_t> Scan(std::string_view key, uint64_t count, bool backward) override {
    const std::unique_ptr<leveldb::Iterator> iterator(db_->NewIterator({}));
    const uint64_t seen = Walk(iterator.get(), ToSlice(key), count, backward);
    BANDB_RETURN_IF_ERROR(ToStatus(iterator->status()));
    return seen;
  }

 private:
  const std::unique_ptr<leveldb::Cache> cache_;
  const std::unique_ptr<const leveldb::FilterPolicy> filter_;
  std::unique_ptr<leveldb::DB> db_;
};

}  // namespace

SubjectKind LeveldbKind() {
  return {
      "leveldb",
      [](const std::string& dir, const SubjectSettings& settings) -> absl::StatusOr<std::unique_ptr<Subject>> {
        auto subject = std::make_unique<LeveldbSubject>(
            std::unique_ptr<leveldb::Cache>(leveldb::NewLRUCache(settings.block_cache_bytes)),
            std::unique_ptr<const leveldb::FilterPolicy>(leveldb::NewBloomFilterPolicy(settings.bloom_bits_per_key)));
        leveldb::Options options;
        options.create_if_missing = true;
        options.write_buffer_size = settings.write_buffer_bytes;
        options.compression = leveldb::kNoCompression;
        BANDB_RETURN_IF_ERROR(subject->Open(dir, options));
        return std::unique_ptr<Subject>(std::move(subject));
      }};
}

}  // namespace bandb::bench
