// The input of a fuzz target as a program that it runs.
#ifndef BANDB_TEST_FUZZ_FUZZ_PROGRAM_H_
#define BANDB_TEST_FUZZ_FUZZ_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bandb::test {

// The input, byte by byte; zeros after its end.
class Program {
 public:
  explicit Program(std::string_view bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }
  std::string_view Take(size_t count) {
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view bytes_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_FUZZ_FUZZ_PROGRAM_H_
