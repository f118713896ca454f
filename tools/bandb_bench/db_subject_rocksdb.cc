// RocksDB as a subject of bandb_bench db.
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>

#include "base/status.h"
#include "db_subject.h"

namespace bandb::bench {

namespace {

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

absl::Status ToStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInternal, "rocksdb: {}", status.ToString());
}

class RocksdbSubject final : public Subject {
 public:
  explicit RocksdbSubject(rocksdb::DB* db) : db_(db) {}

  absl::Status Put(std::string_view key, std::string_view value, bool sync) override {
    rocksdb::WriteOptions options;
    options.sync = sync;
    return ToStatus(db_->Put(options, ToSlice(key), ToSlice(value)));
  }
  absl::Status Delete(std::string_view key) override { return ToStatus(db_->Delete({}, ToSlice(key))); }
  absl::Status Ingest(const Next& next) override {
    const std::string path = db_->GetName() + "/ingested";
    const rocksdb::Options options = db_->GetOptions();
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options);
    BANDB_RETURN_IF_ERROR(ToStatus(writer.Open(path)));
    std::string_view key, value;
    while (next(&key, &value)) BANDB_RETURN_IF_ERROR(ToStatus(writer.Put(ToSlice(key), ToSlice(value))));
    BANDB_RETURN_IF_ERROR(ToStatus(writer.Finish()));
    rocksdb::IngestExternalFileOptions ingest;
    ingest.move_files = true;
    return ToStatus(db_->IngestExternalFile({path}, ingest));
  }
  absl::StatusOr<bool> Get(std::string_view key) override {
    rocksdb::PinnableSlice value;
    const rocksdb::Status status = db_->Get({}, db_->DefaultColumnFamily(), ToSlice(key), &value);
    if (status.ok()) return true;
    if (status.IsNotFound()) return false;
    return ToStatus(status);
  }
  absl::StatusOr<uint64_t> Scan(std::string_view key, uint64_t count, bool backward) override {
    const std::unique_ptr<rocksdb::Iterator> iterator(db_->NewIterator({}));
    const uint64_t seen = Walk(iterator.get(), ToSlice(key), count, backward);
    BANDB_RETURN_IF_ERROR(ToStatus(iterator->status()));
    return seen;
  }

 private:
  const std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace

SubjectKind RocksdbKind() {
  return {"rocksdb",
          [](const std::string& dir, const SubjectSettings& settings) -> absl::StatusOr<std::unique_ptr<Subject>> {
            rocksdb::BlockBasedTableOptions table;
            table.block_cache = rocksdb::NewLRUCache(settings.block_cache_bytes);
            table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(settings.bloom_bits_per_key));
            rocksdb::Options options;
            options.create_if_missing = true;
            options.write_buffer_size = settings.write_buffer_bytes;
            options.max_background_jobs = settings.background_threads;
            options.compression = rocksdb::kNoCompression;
            options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
            rocksdb::DB* db = nullptr;
            BANDB_RETURN_IF_ERROR(ToStatus(rocksdb::DB::Open(options, dir, &db)));
            return std::unique_ptr<Subject>(std::make_unique<RocksdbSubject>(db));
          }};
}

}  // namespace bandb::bench
