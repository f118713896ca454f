// Options under which a few dozen writes freeze memtables, flush and merge.
#ifndef BANDB_TEST_SUPPORT_TINY_OPTIONS_H_
#define BANDB_TEST_SUPPORT_TINY_OPTIONS_H_

#include "bandb/options.h"

namespace bandb::test {

inline Options TinyOptions() {
  Options options;
  options.write_buffer_bytes = 64 << 10;
  options.block_cache_bytes = 64 << 10;
  options.block_bytes = 1024;
  options.table_bytes = 64 << 10;
  options.level0_tables = 2;
  options.level_base_bytes = 64 << 10;
  return options;
}

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_TINY_OPTIONS_H_
