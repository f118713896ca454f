// A store under measurement: BanDB, or one of its peers, reduced to the few calls that the
// workloads make.
#ifndef BANDB_TOOLS_BANDB_BENCH_DB_SUBJECT_H_
#define BANDB_TOOLS_BANDB_BENCH_DB_SUBJECT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bandb::bench {

// Settings that all subjects are given alike, as far as they know them.
struct SubjectSettings {
  uint64_t write_buffer_bytes = 64 << 20;
  uint64_t block_cache_bytes = 512 << 20;
  int bloom_bits_per_key = 10;
  int background_threads = 2;
  // Of BanDB alone: one of kCompactionStyles.
  std::string compaction_style = "levelled";
};

// Names for CompactionStyle, in its order.
inline constexpr const char* kCompactionStyles[] = {"levelled", "tiered", "fifo"};

// Thread safety: any thread.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual absl::Status Put(std::string_view key, std::string_view value, bool sync) = 0;
  virtual absl::Status Delete(std::string_view key) = 0;
  // Loads what is sorted into an empty store, as it is best done: `next` gives one entry after the
  // other, and false at the end.
  using Next = std::function<bool(std::string_view* key, std::string_view* value)>;
  virtual absl::Status Ingest(const Next& next) {
    std::string_view key, value;
    while (next(&key, &value)) {
      if (absl::Status put = Put(key, value, false); !put.ok()) return put;
    }
    return absl::OkStatus();
  }
  // True if the key was found. Reads the value's bytes.
  virtual absl::StatusOr<bool> Get(std::string_view key) = 0;
  // Seeks, unless `key` is empty (then from the begin, or backward from the end), and walks at most
  // `count` entries. Answers how many there were.
  virtual absl::StatusOr<uint64_t> Scan(std::string_view key, uint64_t count, bool backward) = 0;
  // Lines of the subject's own statistics, for people.
  virtual std::string Describe() { return {}; }
};

// Subject::Scan with an iterator of any store that has LevelDB's interface for them, which most do.
// Answers how many entries there were; whether the walk failed is for the caller to ask.
template <typename StoreIterator, typename Key>
uint64_t Walk(StoreIterator* iterator, const Key& key, uint64_t count, bool backward) {
  if (!key.empty()) {
    iterator->Seek(key);
  } else if (backward) {
    iterator->SeekToLast();
  } else {
    iterator->SeekToFirst();
  }
  uint64_t seen = 0;
  while (iterator->Valid() && seen < count) {
    ++seen;
    if (backward) {
      iterator->Prev();
    } else {
      iterator->Next();
    }
  }
  return seen;
}

struct SubjectKind {
  std::string name;
  std::function<absl::StatusOr<std::unique_ptr<Subject>>(const std::string& dir, const SubjectSettings& settings)> open;
};

SubjectKind BandbKind();
#ifdef BANDB_BENCH_ROCKSDB
SubjectKind RocksdbKind();
#endif
#ifdef BANDB_BENCH_LEVELDB
SubjectKind LeveldbKind();
#endif
#ifdef BANDB_BENCH_LMDB
SubjectKind LmdbKind();
#endif

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_DB_SUBJECT_H_
