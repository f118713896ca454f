// The one checksum of every BanDB format: XXH3-64 (Yann Collet's xxHash), seeded.
//
// The seed binds bytes to where they belong. Files use BlockChecksum with the seed that their
// random file id yields and the offset of the bytes, so that a block which is written to the wrong
// place, or into the wrong file, does not verify.
#ifndef BANDB_BASE_CHECKSUM_H_
#define BANDB_BASE_CHECKSUM_H_

#include <cstdint>
#include <string_view>

namespace bandb::base {

// XXH3-64 of `bytes` under `seed`.
uint64_t Hash64(std::string_view bytes, uint64_t seed = 0);

// The checksum of bytes at `offset` of the file whose checksum seed is `file_seed`.
uint64_t BlockChecksum(uint64_t file_seed, uint64_t offset, std::string_view bytes);

}  // namespace bandb::base

#endif  // BANDB_BASE_CHECKSUM_H_
