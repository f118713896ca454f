// What the application may say about values that compactions rewrite.
#ifndef BANDB_COMPACTION_FILTER_H_
#define BANDB_COMPACTION_FILTER_H_

#include <string>
#include <string_view>

namespace bandb {

// Implemented by the application, for what it knows of its values and the database does not: what
// has become useless, or can be written in a shorter way.
//
// Asked for each value that a compaction rewrites, at most once by each compaction; never for
// deletes, for what has expired, and for versions that it finds overwritten. (Where the newer
// version lies elsewhere the older one may be asked about; what becomes of it shows nowhere. What
// has expired may be asked about, too, while a snapshot lives that is older than that.)
// Flushes and tables that move to another level as they are do not ask. So it is not known when a
// value is asked about, or whether at all; CompactRange asks about all that it covers, but of
// CompactionStyle::kFifo.
//
// What it decides is a change of the present state that the log does not know: the change feed does
// not tell of it, and a crash may undo what was not installed yet. A removed value never brings an
// older one to light. Writes come after it, also those that are made while a compaction runs.
// Snapshots: a value that a snapshot sees which is live when the compaction begins is left alone.
// One that is taken while the compaction runs may lose it. An open iterator keeps what it sees.
// Not in a cluster: its members compact at different times, and would differ.
//
// Lifetime: must outlive the database.
// Thread safety: called from background threads, several at once, never with a lock of BanDB held.
// It must not call the database. Where it throws, the value is kept as it is, and the exception
// counted and logged.
class CompactionFilter {
 public:
  // What becomes of a value.
  enum class Decision : int { kKeep = 0, kRemove = 1, kChange = 2 };

  virtual ~CompactionFilter() = default;
  // `level` is the one that the compaction writes into. kChange: *changed takes the value's place,
  // with the same time to live and the same version, so that WriteBatch::RequireVersion holds as
  // before; one that is larger than a value may be changes nothing.
  virtual Decision Filter(int level, std::string_view key, std::string_view value, std::string* changed) = 0;
};

}  // namespace bandb

#endif  // BANDB_COMPACTION_FILTER_H_
