#include "storage/model/model_input.h"

#include "storage/table/compression.h"

namespace bandb::test {

ModelInput::ModelInput(base::Random* random)
    : random_(random), keys_(5 + random->Uniform(random->OneIn(2) ? 40 : 3000)) {}

Options ModelInput::DrawOptions() {
  Options options;
  options.write_buffer_bytes = 65536ull << random_->Uniform(3);
  options.table_bytes = 64 << 10;
  options.level_base_bytes = 65536ull << random_->Uniform(3);
  options.block_bytes = static_cast<uint32_t>(512u << random_->Uniform(5));
  options.level0_tables = static_cast<int>(1 + random_->Uniform(5));
  options.bloom_bits_per_key = random_->OneIn(3) ? 0 : random_->OneIn(4) ? 32 : 10;
  options.block_cache_bytes = random_->OneIn(3) ? 0 : random_->OneIn(2) ? 4096 : 1 << 20;
  const auto compression = static_cast<Compression>(random_->Uniform(3));
  if (storage::CompressionIsBuiltIn(compression)) options.compression = compression;
  static constexpr CompactionStyle kStyles[] = {CompactionStyle::kLevelled, CompactionStyle::kTiered,
                                                CompactionStyle::kFifo};
  options.compaction_style = kStyles[random_->Uniform(std::size(kStyles))];
  // Nothing is forgotten here; forgetting_model_test.cc is about that.
  options.fifo_bytes_max = uint64_t{1} << 50;
  const auto last_level = static_cast<Compression>(random_->Uniform(3));
  if (random_->OneIn(2) && storage::CompressionIsBuiltIn(last_level)) options.compression_last_level = last_level;
  if (random_->OneIn(6)) options.background_bytes_per_second = uint64_t{1} << (20 + random_->Uniform(8));
  options.background_threads = static_cast<int>(1 + random_->Uniform(4));
  options.open_files_max = random_->OneIn(2) ? 8 : 0;
  static constexpr uint64_t kKeepBytes[] = {0, 40'000, 400'000, uint64_t{1} << 30};
  options.changes_keep_bytes = kKeepBytes[random_->Uniform(std::size(kKeepBytes))];
  // Less than a step of the clock, or what only cursors hold.
  if (random_->OneIn(3)) options.changes_keep_for = absl::Milliseconds(random_->Uniform(3) * 1000);
  return options;
}

std::string ModelInput::Key() {
  const std::string number = std::to_string(random_->Uniform(keys_));
  switch (random_->Uniform(24)) {
    case 0:
      return std::string();
    case 1:
      return std::string(1 + random_->Uniform(9), '\xff') + number;
    case 2:
      return number + std::string(1 + random_->Uniform(12), '\0');
    case 3:
      return std::string(1 + random_->Uniform(9), '\0');
    case 4:
      // Room below the limit of 64 KiB for the number, and for what the limit of a range appends.
      return std::string(random_->Uniform(random_->OneIn(20) ? 65'500 : 300), 'k') + number;
    case 5:
      return number.substr(0, 1);
    default:
      return "key" + number;
  }
}

std::string ModelInput::Value() {
  size_t length = random_->Uniform(200);
  switch (random_->Uniform(60)) {
    case 0:
      length = random_->Uniform(40'000);
      break;
    case 1:
      length = random_->OneIn(30) ? random_->Uniform(3 << 20) : 4000 + random_->Uniform(200);
      break;
    case 2:
    case 3:
      length = 0;
      break;
    default:
      break;
  }
  std::string value(length, static_cast<char>('a' + random_->Uniform(26)));
  if (!random_->OneIn(3)) return value;
  for (size_t i = 0; i < value.size(); i += 7) value[i] = static_cast<char>(random_->Next());
  return value;
}

ModelChange ModelInput::Change() {
  const std::string key = Key();
  switch (random_->Uniform(10)) {
    case 0:
    case 1:
      return {ModelChange::Kind::kDelete, key};
    case 2: {
      std::string limit = random_->OneIn(2) ? Key() : std::string();
      if (limit.empty()) limit = key + std::string(1 + random_->Uniform(3), '\xff');
      return {ModelChange::Kind::kDeleteRange, key, limit};
    }
    case 3:
      return {ModelChange::Kind::kPutWithTtl, key, Value(), random_->Uniform(300)};
    default:
      return {ModelChange::Kind::kPut, key, Value()};
  }
}

std::vector<ModelChange> ModelInput::Changes() {
  std::vector<ModelChange> changes;
  uint64_t count = random_->OneIn(3) ? random_->Uniform(40) : 1;
  if (random_->OneIn(30)) count = 0;
  for (; count > 0; --count) changes.push_back(Change());
  return changes;
}

}  // namespace bandb::test
