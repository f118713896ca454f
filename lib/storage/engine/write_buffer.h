// How Options::write_buffer_bytes is divided: one half is the memtable that is written, the other
// those being flushed.
#ifndef BANDB_STORAGE_ENGINE_WRITE_BUFFER_H_
#define BANDB_STORAGE_ENGINE_WRITE_BUFFER_H_

#include <algorithm>
#include <cstddef>

#include "bandb/options.h"

namespace bandb::storage {

// However small the buffer is: a memtable pays for its log and its table.
inline constexpr size_t kMemtableBytesMin = 64 << 10;

// The capacity of a memtable.
inline size_t MemtableBytes(const Options& options) {
  return std::max<size_t>(options.write_buffer_bytes / 2, kMemtableBytesMin);
}

// What all memtables together may take before writers wait for a flush.
inline size_t MemtablesBytesMax(const Options& options) {
  return std::max<size_t>(options.write_buffer_bytes, 2 * MemtableBytes(options));
}

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_WRITE_BUFFER_H_
