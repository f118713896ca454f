// Log: what the core knows of its own log.
//
//   floor        applied       handed_out     commit                      last
//     |-------------|--------------|------------|--------------------------|
//                       |                               |            |
//                    cached from here              durable       written
//
// The terms of all entries after the floor are known (TermTrail). The entries themselves are kept
// only as long as somebody near needs them: until durable, handed out, and sent to the peers that
// keep up.
//
// Invariants: floor <= applied <= handed_out <= commit <= last; handed_out <= durable <= written <=
// last. Entries up to the commit index never change. The ids of log writes ascend, and their ranges
// follow on each other.
//
// Durability. A write may be overtaken by a truncation while it is under way. Its range is then cut
// at the truncation, so that its late completion says nothing about the entries that took the place
// of those it wrote, not even if they have the same index (and, after a second change of mind, the
// same term: the ABA trap of asynchronous logs). And the durable index goes down with a truncation,
// because the disk does not yet hold what is there now.
#ifndef BANDB_RAFT_LOG_H_
#define BANDB_RAFT_LOG_H_

#include <cstdint>
#include <optional>

#include "raft/cost_trail.h"
#include "raft/output.h"
#include "raft/restart.h"
#include "raft/ring.h"
#include "raft/term_trail.h"
#include "raft/types/entry.h"

namespace bandb::raft {

class Log {
 public:
  explicit Log(const Restart& restart);

  Index floor() const { return trail_.floor(); }
  Term floor_term() const { return trail_.floor_term(); }
  Index last() const { return trail_.last(); }
  Term last_term() const { return trail_.last_term(); }
  Index commit() const { return commit_; }
  Index durable() const { return durable_; }
  Index applied() const { return applied_; }
  // What may be stored as committed along with any write. The commit index itself may be of entries
  // that are still on their way to the disk: if it reached the disk before them, a restart would
  // find other entries in their place, and take those for committed.
  Index DurableCommit() const { return commit_ < durable_ ? commit_ : durable_; }
  Index handed_out() const { return handed_out_; }
  // Bytes between the commit index and the end, whichever term they are of.
  uint64_t uncommitted_bytes() const { return uncommitted_bytes_; }
  uint64_t cached_bytes() const { return cached_bytes_; }
  // What the entries after `index` cost, committed or not; rather more than less.
  uint64_t CostAfter(Index index) const { return costs_.After(index); }
  // The lowest index after which the entries up to `upper` cost at most `bytes`.
  Index KeepingBytes(Index upper, uint64_t bytes) const { return costs_.Within(upper, bytes); }

  std::optional<Term> TermAt(Index index) const { return trail_.At(index); }
  bool Matches(Index index, Term term) const { return trail_.At(index) == std::optional<Term>(term); }
  Index HighestAtMost(Index upper, Term term) const { return trail_.HighestAtMost(upper, term); }
  // Whether a log that ends at (index, term) holds at least what this one may have committed (Raft
  // paper, 5.4.1).
  bool UpToDate(Index index, Term term) const { return term > last_term() || (term == last_term() && index >= last()); }

  bool Cached(Index index) const { return index >= first_cached_ && index <= last(); }
  Index first_cached() const { return first_cached_; }
  // An entry that is Cached().
  const Entry& At(Index index) const { return entries_[static_cast<size_t>(index - first_cached_)]; }

  // Adds the entry last() + 1.
  void Append(Entry entry);
  // Removes everything from `first` on; first > commit().
  void TruncateFrom(Index first);
  // Raises the commit index, to last() at most.
  void CommitTo(Index index);
  void HandOutTo(Index index);
  void SetApplied(Index index);

  // Moves what has not been written into `write`, which gets the number `id`; false if there is
  // nothing.
  bool TakeWrite(uint64_t id, Nanos now, LogWrite* write);
  // All writes up to `id`, which is under way and ended with (term, index), are durable. False if
  // there is no such write.
  bool Persisted(uint64_t id, Term term, Index index);
  // The write after which everything up to `index` is durable; 0 if it is already. Only for written
  // entries.
  uint64_t WriteCovering(Index index) const;
  // Since when the oldest write is under way.
  std::optional<Nanos> OldestWriteSince() const;

  // Raises the floor to `index`, at most the applied index.
  void CompactTo(Index index);
  // An empty log after the snapshot (index, term); forgets writes under way.
  void Reset(Index index, Term term);

  // Drops entries from memory: what is durable, handed out and below `needed_from`; above
  // `soft_limit_bytes` also what is needed; above `hard_limit_bytes` everything durable.
  void Evict(Index needed_from, uint64_t soft_limit_bytes, uint64_t hard_limit_bytes);

 private:
  struct Write {
    uint64_t id = 0;
    Term term = 0;
    Index index = 0;
    // What its completion makes durable: index, or less if it was truncated meanwhile.
    Index covers = 0;
    Nanos since = 0;
  };

  TermTrail trail_;
  CostTrail costs_;
  Index commit_;
  Index durable_;
  Index written_;
  Index applied_;
  Index handed_out_;
  // Entries [first_cached_, last].
  Index first_cached_;
  Ring<Entry> entries_;
  uint64_t cached_bytes_ = 0;
  // The cost of each entry in (commit, last].
  Ring<uint64_t> uncommitted_;
  uint64_t uncommitted_bytes_ = 0;
  Ring<Write> writes_;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_LOG_H_
