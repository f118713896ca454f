// The main of a fuzz target where there is no libFuzzer: runs each file of a corpus, then random inputs.
//
//   bandb_NAME_fuzz_replay COUNT [FILE or FOLDER]...
//
// The random inputs are those of seeds 1 to COUNT, so a failure is repeated by its number; the input that failed is the
// last one named on stderr if the process aborts.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void RunBytes(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

void RunFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  RunBytes(std::string(std::istreambuf_iterator<char>(file), {}));
}

std::string RandomBytes(uint64_t seed) {
  bandb::base::Random random(seed);
  std::string bytes(random.Uniform(4096), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.Next());
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s COUNT [FILE or FOLDER]...\n", argv[0]);
    return 2;
  }
  size_t files = 0;
  for (int i = 2; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      RunFile(argv[i]);
      ++files;
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::fprintf(stderr, "%s\n", entry.path().c_str());
      RunFile(entry.path());
      ++files;
    }
  }
  const uint64_t count = std::strtoull(argv[1], nullptr, 10);
  const char* only = std::getenv("BANDB_FUZZ_SEED");
  const uint64_t first = only == nullptr ? 1 : std::strtoull(only, nullptr, 10);
  const uint64_t last = only == nullptr ? count : first;
  for (uint64_t seed = first; seed <= last; ++seed) {
    // Printed ahead in blocks, so that an abort leaves a hint without slowing the runs.
    if (only == nullptr && seed % 1000 == 1)
      std::fprintf(stderr, "seeds from %llu\n", static_cast<unsigned long long>(seed));
    RunBytes(RandomBytes(seed));
  }
  std::printf("%zu files, %llu random inputs\n", files, static_cast<unsigned long long>(count));
  return 0;
}
