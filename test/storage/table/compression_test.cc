#include "storage/table/compression.h"

#include "base/coding.h"
#include "base/random.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

constexpr Compression kMethods[] = {Compression::kLz4, Compression::kZstd};

std::string Repetitive(base::Random* random, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += "entry number " + std::to_string(random->Uniform(50)) + "; ";
  text.resize(bytes);
  return text;
}

}  // namespace

TEST_CASE("what shrinks comes back as it was") {
  base::Random random(1);
  for (const Compression method : kMethods) {
    if (!CompressionIsBuiltIn(method)) continue;
    for (const size_t bytes : {100u, 1000u, 4096u, 100'000u, 3'000'000u}) {
      const std::string text = Repetitive(&random, bytes);
      std::string compressed;
      REQUIRE(Compress(method, text, &compressed));
      CHECK(compressed.size() <= text.size() - text.size() / 8);
      uint64_t declared = 0;
      REQUIRE(ReadUncompressedBytes(compressed, &declared));
      REQUIRE(declared == text.size());
      std::string back(declared, '\0');
      REQUIRE(Decompress(method, compressed, absl::MakeSpan(back)));
      CHECK(back == text);
    }
  }
}

TEST_CASE("what does not shrink by an eighth is not compressed") {
  base::Random random(2);
  std::string noise(4096, '\0');
  for (char& byte : noise) byte = static_cast<char>(random.Next());
  std::string compressed;
  for (const Compression method : kMethods) {
    CHECK_FALSE(Compress(method, noise, &compressed));
    CHECK_FALSE(Compress(method, "", &compressed));
    CHECK_FALSE(Compress(method, "a", &compressed));
  }
  CHECK_FALSE(Compress(Compression::kNone, std::string(4096, 'a'), &compressed));
}

TEST_CASE("damaged bytes are refused, or fill what they were given and no more") {
  base::Random random(3);
  for (const Compression method : kMethods) {
    if (!CompressionIsBuiltIn(method)) continue;
    const std::string text = Repetitive(&random, 2000);
    std::string compressed;
    REQUIRE(Compress(method, text, &compressed));
    // Exactly sized, so that a sanitizer sees a write beyond it.
    const std::unique_ptr<char[]> memory(new char[text.size()]);
    const absl::Span<char> to(memory.get(), text.size());
    for (size_t bytes = 0; bytes < compressed.size(); ++bytes) {
      CHECK_FALSE(Decompress(method, std::string_view(compressed).substr(0, bytes), to));
    }
    for (int round = 0; round < 2000; ++round) {
      std::string bad = compressed;
      bad[random.Uniform(bad.size())] = static_cast<char>(random.Next());
      static_cast<void>(Decompress(method, bad, to));
    }
    // A declared size that is not that of the memory.
    CHECK_FALSE(Decompress(method, compressed, to.subspan(1)));
    std::string lie;
    base::PutVarint(&lie, text.size() + 1);
    lie += compressed.substr(static_cast<size_t>(base::VarintLength(text.size())));
    std::string larger(text.size() + 1, '\0');
    CHECK_FALSE(Decompress(method, lie, absl::MakeSpan(larger)));
  }
}

TEST_CASE("a number that is no method is named and refused") {
  const auto none_such = static_cast<Compression>(9);
  CHECK_FALSE(CompressionIsBuiltIn(none_such));
  CHECK(CompressionName(none_such) == "compression 9");
  std::string bytes(1, '\1'), to(1, '\0');
  CHECK_FALSE(Decompress(none_such, bytes, absl::MakeSpan(to)));
  CHECK(CompressionIsBuiltIn(Compression::kNone));
}

}  // namespace bandb::storage
