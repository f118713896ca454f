// BanDB as a subject of bandb_bench db.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include "bandb/db.h"
#include "base/status.h"
#include "db_subject.h"

namespace bandb::bench {

namespace {

class BandbSubject final : public Subject {
 public:
  explicit BandbSubject(std::unique_ptr<Db> db) : db_(std::move(db)) {}

  absl::Status Put(std::string_view key, std::string_view value, bool sync) override {
    return db_->Put(key, value, {.sync = sync});
  }
  absl::Status Delete(std::string_view key) override { return db_->Delete(key); }
  absl::Status Ingest(const Next& next) override {
    const auto source = [&](IngestEntry* entry) -> absl::StatusOr<bool> { return next(&entry->key, &entry->value); };
    return db_->Ingest(source).status();
  }
  absl::StatusOr<bool> Get(std::string_view key) override {
    PinnedValue value;
    const absl::Status status = db_->GetPinned(key, &value);
    if (status.ok()) return true;
    if (status.code() == absl::StatusCode::kNotFound) return false;
    return status;
  }
  absl::StatusOr<uint64_t> Scan(std::string_view key, uint64_t count, bool backward) override {
    const std::unique_ptr<Iterator> iterator = db_->NewIterator();
    const uint64_t seen = Walk(iterator.get(), key, count, backward);
    if (!iterator->status().ok()) return iterator->status();
    return seen;
  }
  std::string Describe() override {
    const Stats stats = db_->GetStats();
    std::string text = fmt::format(
        "write amplification {:.2f}, {} flushes, {} compactions, {} waits of {:.3f} s, memory {} MiB of {}",
        stats.write_amplification, stats.flushes, stats.compactions, stats.stall_count,
        static_cast<double>(stats.stall_micros) / 1e6, stats.memory_bytes >> 20, stats.memory_budget_bytes >> 20);
    for (size_t level = 0; level < stats.levels.size(); ++level) {
      if (stats.levels[level].tables == 0) continue;
      text += fmt::format(", L{} {} tables {} MiB", level, stats.levels[level].tables, stats.levels[level].bytes >> 20);
    }
    return text;
  }

 private:
  const std::unique_ptr<Db> db_;
};

}  // namespace

SubjectKind BandbKind() {
  return {"bandb",
          [](const std::string& dir, const SubjectSettings& settings) -> absl::StatusOr<std::unique_ptr<Subject>> {
            Options options;
            options.write_buffer_bytes = settings.write_buffer_bytes;
            options.block_cache_bytes = settings.block_cache_bytes;
            options.bloom_bits_per_key = settings.bloom_bits_per_key;
            options.background_threads = settings.background_threads;
            options.compression = Compression::kNone;
            const auto style = std::find(std::begin(kCompactionStyles), std::end(kCompactionStyles),
                                         std::string_view(settings.compaction_style));
            options.compaction_style = static_cast<CompactionStyle>(style - std::begin(kCompactionStyles));
            // Nothing is forgotten, for all that was written is looked for.
            options.fifo_bytes_max = uint64_t{1} << 50;
            absl::StatusOr<std::unique_ptr<Db>> db = Db::Open(dir, options);
            if (!db.ok()) return db.status();
            // What was in the log goes to a table in the background; the peers do that before they
            // open.
            BANDB_RETURN_IF_ERROR((*db)->Flush());
            return std::unique_ptr<Subject>(std::make_unique<BandbSubject>(*std::move(db)));
          }};
}

}  // namespace bandb::bench
