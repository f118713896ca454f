#include "admin/figures.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "admin/cluster_words.h"

namespace bandb::admin {

namespace {

constexpr FigureKind kCounter = FigureKind::kCounter;
constexpr FigureKind kGauge = FigureKind::kGauge;

// Fields of Stats that are not a figure: lists, what two other fields give, and what is never so of
// a store that is served, in the room of a number. Of the damaged tables, and of the compactions
// that run, there is their number.
constexpr size_t kStatsBytesElsewhere = sizeof(Stats::levels) + sizeof(Stats::write_amplification) +
                                        sizeof(Stats::damaged_tables) - sizeof(uint64_t) +
                                        sizeof(Stats::running_compactions) - sizeof(uint64_t) + sizeof(uint64_t);

}  // namespace

std::vector<Figure> FiguresOf(const ServerStats& s) {
  const Figure figures[] = {
      {"connections_open", "Connections that are open.", kGauge, s.connections_open},
      {"connections_accepted", "Connections accepted.", kCounter, s.connections_accepted},
      {"connections_refused", "Connections refused: too many, or by a hook.", kCounter, s.connections_refused},
      {"connections_evicted", "Connections closed for lack of memory.", kCounter, s.connections_evicted},
      {"connections_timed_out", "Connections closed by a timeout.", kCounter, s.connections_timed_out},
      {"accept_failures", "Connections that could not be accepted.", kCounter, s.accept_failures},
      {"read_bytes", "Bytes read from clients.", kCounter, s.bytes_read},
      {"written_bytes", "Bytes written to clients.", kCounter, s.bytes_written},
      {"frames_read", "Requests read.", kCounter, s.frames_read},
      {"replies", "Replies sent.", kCounter, s.replies},
      {"error_replies", "Replies that tell an error.", kCounter, s.error_replies},
      {"malformed_frames", "Frames that were too long or of an unknown kind.", kCounter, s.malformed_frames},
      {"read_calls", "System calls that read from clients.", kCounter, s.read_calls},
      {"write_calls", "System calls that wrote to clients.", kCounter, s.write_calls},
      {"turns", "Turns of the loops.", kCounter, s.turns},
      {"pauses", "Times that a connection was not read, for back-pressure.", kCounter, s.pauses},
      {"hook_failures", "Hooks and handlers that threw, or whose verdict made no sense.", kCounter, s.hook_failures},
      {"hook_overruns", "Hooks and handlers that took longer than they may.", kCounter, s.hook_overruns},
      {"workers_lost", "Threads of routes that took longer than they may, and have not returned.", kGauge,
       s.workers_lost},
      {"hook_drops", "Requests that a hook dropped.", kCounter, s.hook_drops},
      {"hook_rejections", "Requests that a hook rejected.", kCounter, s.hook_rejections},
      {"hook_routes", "Operations that a hook gave another key.", kCounter, s.hook_routes},
      {"hook_emissions", "Operations that hooks added.", kCounter, s.hook_emissions},
      {"write_groups", "Batches handed to the store.", kCounter, s.write_groups},
      {"write_operations", "Writes in these batches.", kCounter, s.write_operations},
      {"reads", "Reads of keys and ranges.", kCounter, s.reads},
      {"overloaded", "Requests answered \"overloaded\".", kCounter, s.overloaded},
      {"failed_logins", "Logins with a wrong name or token.", kCounter, s.failed_logins},
      {"denials", "Requests of clients that are not known, or not allowed to.", kCounter, s.denials},
      {"slow_requests", "Requests that took as long as the threshold of the slow log.", kCounter, s.slow_requests},
      {"tls_failures", "TLS connections that did not come about.", kCounter, s.tls_failures},
      {"snapshots_open", "Snapshots that clients hold by number.", kGauge, s.snapshots_open},
      {"memory_bytes", "Memory of all connections, which the limit bounds.", kGauge, s.memory_bytes},
      {"in_flight_requests", "Requests that wait for the store.", kGauge, s.in_flight},
  };
  static_assert(sizeof(figures) / sizeof(figures[0]) == sizeof(ServerStats) / sizeof(uint64_t));
  return {std::begin(figures), std::end(figures)};
}

std::vector<Figure> FiguresOf(const Stats& s) {
  const Figure figures[] = {
      {"table_bytes", "Bytes of tables on disk.", kGauge, s.table_bytes},
      {"log_bytes", "Bytes of logs on disk.", kGauge, s.log_bytes},
      {"memtable_bytes", "Bytes of memtables.", kGauge, s.memtable_bytes},
      {"immutable_memtables", "Memtables that wait to be flushed.", kGauge, s.immutable_memtables},
      {"operations_written", "Operations written.", kCounter, s.operations_written},
      {"batches_written", "Batches written.", kCounter, s.batches_written},
      {"user_written_bytes", "Bytes of keys and values written.", kCounter, s.user_bytes_written},
      {"log_written_bytes", "Bytes written to logs.", kCounter, s.log_bytes_written},
      {"log_syncs", "Syncs of logs.", kCounter, s.log_syncs},
      {"flushes", "Memtables flushed.", kCounter, s.flushes},
      {"compactions", "Compactions done.", kCounter, s.compactions},
      {"compactions_running", "Compactions that run.", kGauge, s.running_compactions.size()},
      {"compaction_pauses", "Times that compactions were paused and not continued.", kGauge, s.compaction_pauses},
      {"throttled_micros", "Time for which flushes and compactions kept to their bytes per second.", kCounter,
       s.throttled_micros},
      {"forgotten_tables", "Tables that were forgotten, first in, first out.", kCounter, s.forgotten_tables},
      {"forgotten_bytes", "Bytes of these tables.", kCounter, s.forgotten_bytes},
      {"values_removed", "Values that the compaction filter had removed.", kCounter, s.values_removed},
      {"values_changed", "Values that the compaction filter had changed.", kCounter, s.values_changed},
      {"stalls", "Writes that had to wait.", kCounter, s.stall_count},
      {"stall_micros", "Time for which writes waited.", kCounter, s.stall_micros},
      {"compaction_debt_bytes", "Bytes that compactions have still to rewrite.", kGauge, s.compaction_debt_bytes},
      {"gets", "Keys looked up.", kCounter, s.gets},
      {"tables_probed", "Tables that a lookup searched beyond their filter.", kCounter, s.tables_probed},
      {"filter_negatives", "Tables that a filter let a lookup skip.", kCounter, s.filter_negatives},
      {"block_reads", "Blocks read from disk.", kCounter, s.block_reads},
      {"block_read_bytes", "Bytes of blocks read from disk.", kCounter, s.block_read_bytes},
      {"open_table_files", "Table files that are open.", kGauge, s.open_table_files},
      {"damaged_tables", "Tables set aside since they are damaged or cannot be read.", kGauge, s.damaged_tables.size()},
      {"descriptor_shortages", "Times that no file descriptor was free.", kCounter, s.descriptor_shortages},
      {"expiry_ahead_ms", "Milliseconds by which the clock was later once than it is now.", kGauge, s.expiry_ahead_ms},
      {"exceptions", "Exceptions of listener, logger and callbacks.", kCounter, s.exceptions},
      {"cache_hits", "Blocks found in the cache.", kCounter, s.cache_hits},
      {"cache_misses", "Blocks not found in the cache.", kCounter, s.cache_misses},
      {"cache_bytes", "Bytes of the block cache.", kGauge, s.cache_bytes},
      {"pinned_bytes", "Bytes of indexes, filters and what readers hold.", kGauge, s.pinned_bytes},
      {"memory_bytes", "All memory that counts against the budget.", kGauge, s.memory_bytes},
      {"memory_budget_bytes", "The budget.", kGauge, s.memory_budget_bytes},
      {"recovered_log_records", "Log records that opening replayed.", kGauge, s.recovered_log_records},
      {"dropped_log_bytes", "Bytes of a torn log tail that opening dropped.", kGauge, s.dropped_log_bytes},
      {"changes_kept_logs", "Logs that are kept for the change feed alone.", kGauge, s.changes_kept_logs},
      {"changes_kept_bytes", "Their bytes.", kGauge, s.changes_kept_bytes},
      {"oldest_change", "The sequence of the oldest change that can be read.", kGauge, s.oldest_change},
      {"cursors", "Cursors of the change feed.", kGauge, s.cursors},
      {"lost_cursors", "Cursors for which more had to be kept than may be.", kGauge, s.lost_cursors},
      {"changes_logs_let_go", "Logs that were kept for the change feed, and are not any more.", kCounter,
       s.changes_logs_let_go},
      {"live_snapshots", "Snapshots that are held.", kGauge, s.live_snapshots},
      {"oldest_snapshot_sequence", "Sequence of the oldest of them; 0 if there is none.", kGauge,
       s.oldest_snapshot_sequence},
      {"last_sequence", "Sequence of the last operation.", kGauge, s.last_sequence},
  };
  static_assert(sizeof(figures) / sizeof(figures[0]) == (sizeof(Stats) - kStatsBytesElsewhere) / sizeof(uint64_t));
  return {std::begin(figures), std::end(figures)};
}

std::vector<Figure> FiguresOf(const LevelStats& l) {
  const Figure figures[] = {
      {"tables", "Tables of a level.", kGauge, l.tables},
      {"bytes", "Bytes of a level on disk.", kGauge, l.bytes},
      {"target_bytes", "Bytes that a level should have; 0 for level 0, which counts tables.", kGauge, l.target_bytes},
      {"compaction_read_bytes", "Bytes that compactions read out of a level.", kCounter, l.bytes_read},
      {"written_bytes", "Bytes that flushes and compactions wrote into a level.", kCounter, l.bytes_written},
      {"moved_bytes", "Bytes that came into a level without being rewritten.", kCounter, l.bytes_moved},
  };
  static_assert(sizeof(figures) / sizeof(figures[0]) == sizeof(LevelStats) / sizeof(uint64_t));
  return {std::begin(figures), std::end(figures)};
}

std::vector<Figure> FiguresOf(const ClusterStatus& c) {
  const auto voters = std::count_if(c.members.begin(), c.members.end(), [](const MemberStatus& m) { return m.voter; });
  return {
      {"is_leader", "1 while this node leads.", kGauge, uint64_t{c.role == NodeRole::kLeader}},
      {"has_leader", "1 while this node knows of a leader.", kGauge, uint64_t{c.leader != 0}},
      {"is_healthy", "1 while nothing keeps this node from serving.", kGauge, uint64_t{c.health.ok()}},
      {"term", "The term: a period with one leader at the most.", kGauge, c.term},
      {"commit_index", "The last entry of the log that is agreed on, as far as this node knows.", kGauge,
       c.commit_index},
      {"applied_index", "The last entry that this node's reads see.", kGauge, c.applied_index},
      {"last_index", "The last entry in this node's log.", kGauge, c.last_index},
      {"durable_index", "The last entry that is in it for good.", kGauge, c.durable_index},
      {"flushed_index", "The last entry that is in this node's tables.", kGauge, c.flushed_index},
      {"members", "Members of the cluster.", kGauge, c.members.size()},
      {"voters", "Those of them that vote.", kGauge, static_cast<uint64_t>(voters)},
      {"members_version", "How often the members were changed.", kGauge, c.members_version},
  };
}

std::vector<Figure> FiguresOf(const ClusterStatus& c, const MemberStatus& m) {
  return {
      {"is_voter", "1 of a member that votes.", kGauge, uint64_t{m.voter}},
      {"is_connected", "1 of a member to which this node has a connection, and of itself.", kGauge,
       uint64_t{m.self || m.connected}},
      {"is_well", "1 of a member of which no trouble is known; the leader knows most.", kGauge,
       uint64_t{TroubleOf(c, m).empty()}},
      {"matched_index", "Its log is known to be the same up to here; 0 where this node does not know.", kGauge,
       m.self ? c.durable_index : m.matched_index},
      {"snapshot_bytes", "Bytes of the copy of the database that it is being given; 0: of none.", kGauge,
       m.snapshot_bytes},
      {"snapshot_sent_bytes", "Those that it has.", kGauge, m.snapshot_bytes_sent},
  };
}

std::vector<Figure> FiguresOf(const AuditStats& a) {
  return {{"lines_lost", "Lines of the audit log that could not be written.", kCounter, a.lines_lost}};
}

}  // namespace bandb::admin
