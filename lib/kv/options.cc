#include "kv/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace bandb::kv {

namespace {

constexpr uint64_t kWorkingSpaceBytes = 64ull << 20;
// So few files that compactions would open one for each block.
constexpr int kOpenFilesMin = 8;
constexpr uint64_t kDerivedOpenFilesMax = 8192;

bool BuiltWith(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return true;
    case Compression::kLz4:
#ifdef BANDB_HAVE_LZ4
      return true;
#else
      return false;
#endif
    case Compression::kZstd:
#ifdef BANDB_HAVE_ZSTD
      return true;
#else
      return false;
#endif
  }
  return false;
}

uint64_t DerivedBudget(const Options& options) {
  return options.write_buffer_bytes + options.block_cache_bytes + kWorkingSpaceBytes;
}

void CheckBuiltIn(std::string_view option, Compression compression, OptionCheck* check) {
  if (BuiltWith(compression)) return;
  const char* const name = compression == Compression::kLz4 ? "kLz4" : "kZstd";
  check->Wrong({OptionName{option}, fmt::format(" is {}, which this library was built without", name)});
}

void CheckFifo(const Options& options, OptionCheck* check) {
  if (options.fifo_bytes_max != 0 && options.fifo_bytes_max < options.write_buffer_bytes) {
    check->Wrong({OptionName{"fifo_bytes_max"}, fmt::format(" is {}, less than ", options.fifo_bytes_max),
                  OptionName{"write_buffer_bytes"}, fmt::format(", {}", options.write_buffer_bytes)});
  }
  check->Within("fifo_bytes_max", options.fifo_bytes_max, 0, 1ull << 50);
  if (options.fifo_age_max < absl::Milliseconds(1)) {
    check->Wrong({OptionName{"fifo_age_max"}, " is less than a millisecond"});
  }
  const bool forgets = options.fifo_bytes_max != 0 || options.fifo_age_max != absl::InfiniteDuration();
  if (options.compaction_style == CompactionStyle::kFifo && !forgets) {
    check->Wrong({OptionName{"compaction_style"}, " is kFifo, and neither ", OptionName{"fifo_bytes_max"}, " nor ",
                  OptionName{"fifo_age_max"}, " says when something is forgotten"});
  }
}

}  // namespace

uint64_t OpenFilesMax(const Options& options, uint64_t process_max) {
  if (options.open_files_max != 0) return static_cast<uint64_t>(options.open_files_max);
  return std::clamp<uint64_t>(process_max / 2, kOpenFilesMin, kDerivedOpenFilesMax);
}

uint64_t MemoryBudgetBytes(const Options& options) {
  return options.memory_budget_bytes == 0 ? DerivedBudget(options) : options.memory_budget_bytes;
}

void CheckOptions(const Options& options, OptionCheck* check) {
  check->Within("background_threads", options.background_threads, 1, 64);
  check->Within("write_buffer_bytes", options.write_buffer_bytes, 64 << 10, 2ull << 30);
  check->Within("block_cache_bytes", options.block_cache_bytes, 0, 1ull << 40);
  check->Within("block_bytes", options.block_bytes, 512, 1 << 20);
  check->Within("bloom_bits_per_key", options.bloom_bits_per_key, 0, 32);
  check->Within("table_bytes", options.table_bytes, 64 << 10, 1 << 30);
  check->Within("level0_tables", options.level0_tables, 1, 64);
  check->Within("level_base_bytes", options.level_base_bytes, 64 << 10, 1ull << 40);
  if (options.memory_budget_bytes != 0 && options.memory_budget_bytes < DerivedBudget(options)) {
    check->Wrong({OptionName{"memory_budget_bytes"},
                  fmt::format(" is {}, less than the {} that ", options.memory_budget_bytes, DerivedBudget(options)),
                  OptionName{"write_buffer_bytes"}, ", ", OptionName{"block_cache_bytes"},
                  fmt::format(" and {} of working space come to", kWorkingSpaceBytes)});
  }
  if (options.open_files_max != 0) check->Within("open_files_max", options.open_files_max, kOpenFilesMin, 1 << 20);
  check->Within("changes_keep_bytes", options.changes_keep_bytes, 0, 1ull << 50);
  if (options.changes_keep_for < absl::ZeroDuration()) {
    check->Wrong({OptionName{"changes_keep_for"}, " is less than zero"});
  }
  if (options.table_bytes < options.block_bytes) {
    check->Wrong({OptionName{"table_bytes"}, fmt::format(" is {}, less than ", options.table_bytes),
                  OptionName{"block_bytes"}, fmt::format(", {}", options.block_bytes)});
  }
  if (options.error_if_exists && !options.create_if_missing) {
    check->Wrong({OptionName{"error_if_exists"}, " without ", OptionName{"create_if_missing"},
                  " leaves nothing that could be opened"});
  }
  CheckBuiltIn("compression", options.compression, check);
  if (options.compression_last_level) CheckBuiltIn("compression_last_level", *options.compression_last_level, check);
  if (options.background_bytes_per_second != 0) {
    check->Within("background_bytes_per_second", options.background_bytes_per_second, 64 << 10, 1ull << 40);
  }
  CheckFifo(options, check);
}

absl::Status Validate(const Options& options) {
  OptionCheck check;
  CheckOptions(options, &check);
  return check.ToStatus("options");
}

}  // namespace bandb::kv
