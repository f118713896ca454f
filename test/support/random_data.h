// Bytes for tests, drawn from a seed.
#ifndef BANDB_TEST_SUPPORT_RANDOM_DATA_H_
#define BANDB_TEST_SUPPORT_RANDOM_DATA_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/random.h"

namespace bandb::test {

// Any bytes.
std::string RandomBytes(base::Random* random, size_t length);
// Letters that repeat, so that they compress.
std::string RandomText(base::Random* random, size_t length);
// "key" and `digits` digits of `number`: in the order of the numbers.
std::string NumberedKey(uint64_t number, int digits = 6);
// A length below `limit`: often tiny, now and then close to it.
size_t RandomLength(base::Random* random, size_t limit);

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_RANDOM_DATA_H_
