// Entry: one element of the replicated log.
#ifndef BANDB_RAFT_TYPES_ENTRY_H_
#define BANDB_RAFT_TYPES_ENTRY_H_

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "raft/types/ids.h"
#include "raft/types/payload.h"

namespace bandb::raft {

enum class EntryKind : uint8_t {
  kNoop = 0,           // a new leader's first entry; empty
  kData = 1,           // opaque bytes of the user of the core
  kConfiguration = 2,  // a Configuration, encoded by configuration_codec.h
};

// Term and index together name an entry: no two different entries of a group ever share both.
struct Entry {
  Term term = 0;
  Index index = 0;
  GroupId group = 0;
  EntryKind kind = EntryKind::kData;
  uint8_t version = kProtocolVersion;
  Payload payload;

  friend bool operator==(const Entry& a, const Entry& b) {
    return a.term == b.term && a.index == b.index && a.group == b.group && a.kind == b.kind && a.version == b.version &&
           a.payload == b.payload;
  }
};

// The entries of one message or write. A few of them need no memory of their own, so that a group
// with little to do does not allocate for each entry and each peer what a busy one allocates for
// each batch.
using Entries = absl::InlinedVector<Entry, 4>;

// What every limit in bytes counts for an entry besides its payload, so that empty entries are not
// free.
inline constexpr uint64_t kEntryOverheadBytes = 32;
inline uint64_t CostBytes(const Entry& entry) { return entry.payload.size() + kEntryOverheadBytes; }

}  // namespace bandb::raft

#endif  // BANDB_RAFT_TYPES_ENTRY_H_
