// The one checksum of every BanDB format: XXH3-64 (Yann Collet's xxHash), seeded.
//
// The seed binds bytes to where they belong. Files use BlockChecksum with the seed that their
// random file id yields and the offset of the bytes, so that a block which is written to the wrong
// place, or into the wrong file, does not verify.
#ifndef BANDB_BASE_CHECKSUM_H_
#define BANDB_BASE_CHECKSUM_H_

#include <cstdint>
#include <memory>
#include <string_view>

namespace bandb::base {

// XXH3-64 of `bytes` under `seed`.
uint64_t Hash64(std::string_view bytes, uint64_t seed = 0);

// Hash64 of bytes that come piece by piece.
class StreamHash64 {
 public:
  StreamHash64();
  ~StreamHash64();
  StreamHash64(StreamHash64&&) noexcept;
  StreamHash64& operator=(StreamHash64&&) noexcept;

  void Add(std::string_view bytes);
  // Of all that was added so far; more may come.
  uint64_t Value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The checksum of bytes at `offset` of the file whose checksum seed is `file_seed`.
uint64_t BlockChecksum(uint64_t file_seed, uint64_t offset, std::string_view bytes);

}  // namespace bandb::base

#endif  // BANDB_BASE_CHECKSUM_H_
