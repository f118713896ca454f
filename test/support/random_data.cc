#include "support/random_data.h"

#include <fmt/format.h>

namespace bandb::test {

std::string RandomBytes(base::Random* random, size_t length) {
  std::string bytes(length, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random->Next());
  return bytes;
}

std::string RandomText(base::Random* random, size_t length) {
  constexpr std::string_view kWords[] = {"table ", "log ", "manifest ", "level ", "term ", "index ", "applied "};
  std::string text;
  while (text.size() < length) text += kWords[random->Uniform(std::size(kWords))];
  text.resize(length);
  return text;
}

std::string NumberedKey(uint64_t number, int digits) { return fmt::format("key{:0{}}", number, digits); }

size_t RandomLength(base::Random* random, size_t limit) {
  if (limit == 0) return 0;
  // Each order of magnitude below the limit is as likely as the next.
  uint64_t scale = limit;
  while (scale > 1 && random->OneIn(2)) scale /= 4;
  return random->Uniform(scale > 0 ? scale : 1);
}

}  // namespace bandb::test
