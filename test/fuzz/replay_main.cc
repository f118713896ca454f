// The main of a fuzz target where there is no libFuzzer: runs each file of a corpus, then random
// inputs, then mutations of the corpus, for targets that random bytes do not get far into.
//
//   bandb_NAME_fuzz_replay COUNT [--mutations COUNT] [FILE or FOLDER]...
//
// The random inputs are those of seeds 1 to COUNT, and so are the mutations, so a failure is
// repeated by its number; the input that failed is the last one named on stderr if the process
// aborts.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void RunBytes(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

std::string ReadBytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The files of the corpus, in the order of their names.
std::vector<std::filesystem::path> FilesUnder(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// A few changes of the kinds that break parsers: bytes, lengths at their limits, cuts, repetitions.
std::string Mutated(std::string bytes, bandb::base::Random* random) {
  for (uint64_t changes = 1 + random->Uniform(4); changes > 0 && !bytes.empty(); --changes) {
    const size_t at = random->Uniform(bytes.size());
    switch (random->Uniform(6)) {
      case 0:
        bytes[at] = static_cast<char>(random->Next());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << random->Uniform(8));
        break;
      case 2:
        bytes[at] = static_cast<char>(random->OneIn(2) ? 0xff : 0x7f);
        break;
      case 3:
        bytes.resize(at);
        break;
      case 4:
        bytes.insert(at, bytes.substr(random->Uniform(bytes.size()), random->Uniform(32)));
        break;
      default:
        bytes.erase(at, random->Uniform(16));
        break;
    }
  }
  return bytes;
}

std::string RandomBytes(uint64_t seed) {
  bandb::base::Random random(seed);
  std::string bytes(random.Uniform(4096), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.Next());
  return bytes;
}

// Runs what `make` makes of the seeds 1 to count, or of the one that BANDB_FUZZ_SEED names.
template <typename Make>
void RunSeeds(const char* what, uint64_t count, const Make& make) {
  const char* only = std::getenv("BANDB_FUZZ_SEED");
  const uint64_t first = only == nullptr ? 1 : std::strtoull(only, nullptr, 10);
  const uint64_t last = only == nullptr ? count : first;
  for (uint64_t seed = first; seed <= last; ++seed) {
    // Printed ahead in blocks, so that an abort leaves a hint without slowing the runs.
    if (only == nullptr && seed % 1000 == 1) {
      std::fprintf(stderr, "%s from seed %llu\n", what, static_cast<unsigned long long>(seed));
    }
    RunBytes(make(seed));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s COUNT [--mutations COUNT] [FILE or FOLDER]...\n", argv[0]);
    return 2;
  }
  uint64_t mutations = 0;
  std::vector<std::string> corpus;
  for (int i = 2; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--mutations" && i + 1 < argc) {
      mutations = std::strtoull(argv[++i], nullptr, 10);
      continue;
    }
    for (const std::filesystem::path& path : FilesUnder(argv[i])) {
      std::fprintf(stderr, "%s\n", path.c_str());
      corpus.push_back(ReadBytes(path));
      RunBytes(corpus.back());
    }
  }
  const uint64_t count = std::strtoull(argv[1], nullptr, 10);
  RunSeeds("random inputs", count, RandomBytes);
  if (mutations > 0 && corpus.empty()) return 1;  // a test that could not fail
  RunSeeds("mutations", mutations, [&corpus](uint64_t seed) {
    bandb::base::Random random(seed);
    return Mutated(corpus[random.Uniform(corpus.size())], &random);
  });
  std::printf("%zu files, %llu random inputs, %llu mutations\n", corpus.size(), static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(mutations));
  return 0;
}
