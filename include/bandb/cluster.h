// A replicated store: nodes in several processes, each with a copy of all data, that agree on every
// write.
#ifndef BANDB_CLUSTER_H_
#define BANDB_CLUSTER_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bandb/cluster_options.h"
#include "bandb/stats.h"
#include "bandb/store.h"

namespace bandb {

namespace internal {
class CheckpointSink;
struct DbAccess;
}  // namespace internal

// What a node is in the present term.
enum class NodeRole : int { kFollower = 0, kCandidate = 1, kLeader = 2 };

// How the node that was asked sees one member.
struct MemberStatus {
  uint64_t id = 0;
  std::string name{};
  std::string peer_address{};
  std::string client_address{};
  bool voter = false;     // or a learner
  bool promoted = false;  // a learner that will vote once it has caught up
  uint64_t replaces = 0;  // the member whose place it then takes; 0: nobody's
  bool leader = false;
  bool self = false;
  // What keeps it from being well, in words; empty if nothing does, or if who was asked cannot
  // know: the leader knows most.
  std::string trouble{};
  // The rest is known of others, and matched_index to the leader alone.
  bool connected = false;
  uint64_t matched_index = 0;                            // its log is known to be the same up to here
  uint64_t snapshot_bytes_sent = 0, snapshot_bytes = 0;  // of a copy of the database on its way to it
};

// How a node sees itself and the cluster.
struct ClusterStatus {
  uint64_t cluster_id = 0;  // drawn when the cluster was begun
  uint64_t node_id = 0;     // drawn when the node was made, and its own forever
  // Its part in this term.
  NodeRole role = NodeRole::kFollower;
  uint64_t term = 0;           // a period with one leader at the most
  uint64_t leader = 0;         // as far as is known; 0: nobody
  uint64_t commit_index = 0;   // agreed on
  uint64_t applied_index = 0;  // and visible to local reads
  uint64_t last_index = 0;     // in the log
  uint64_t durable_index = 0;  // in it for good
  uint64_t flushed_index = 0;  // in tables
  // Members, ordered by id, and how often they were changed.
  std::vector<MemberStatus> members{};
  uint64_t members_version = 0;
  bool members_changing = false;
  // OK, or what keeps this node from serving.
  absl::Status health{};
};

// What Cluster::RecoverLostQuorum has made.
struct QuorumRecovery {
  uint64_t cluster_id = 0;             // another one than before
  std::vector<uint64_t> voters{};      // all survivors
  std::vector<uint64_t> new_voters{};  // those of them that did not vote before
};

// A node of a replicated store, in the calling process.
//
//   bandb::ClusterOptions options{.dir = "/var/lib/app/node", .bootstrap = true, .listen = "10.0.0.1:7400"};
//   absl::StatusOr<std::unique_ptr<bandb::Cluster>> node = bandb::Cluster::Start(options);
//   absl::Status done = (*node)->Put("name", "Alice");
//
// Another process starts with `.join = {"10.0.0.1:7400"}` in place of `bootstrap`. Any node takes
// any call: what only the leader can do is passed on to it.
//
// An acknowledged write is durable on a majority of the voters and visible on the node that was
// asked. WriteOptions::sync makes no difference. Without a leader calls wait for one, as long as
// their timeout lets them; then a write that was never passed on is kDeadlineExceeded, and one
// whose fate cannot be told kUnknown. Times to live count by the time of the leader, which its
// writes carry: while nothing is written nothing expires.
//
// Reads with Consistency::kLinearizable and kLease see all that was acknowledged before they began,
// by whichever node; kLocal what this node has applied. Snapshots are local, too, and become
// invalid (kFailedPrecondition) when the node is given the whole database again.
//
// Errors, besides those of Store: kUnavailable overloaded, or the leader cannot take it just now;
// kFailedPrecondition the node was removed, or its disk failed: it has to be restarted.
//
// Thread safety: every method may be called from any thread. In a child that was forked while the
// node ran, all answer kFailedPrecondition.
class Cluster : public Store {
 public:
  // Starts the node whose directory it is, or makes one; see ClusterOptions. With `join` it returns
  // once the node was let in, and has been called by those who know it now.
  // Errors: kInvalidArgument     options that make no sense, all of them named
  //         kNotFound            no node is in the directory, and neither bootstrap nor join is given
  //         kFailedPrecondition  the directory is in use, of a newer format, of a node that was
  //                              removed before it was let in, or of a voter that lost all but its
  //                              id; or the address is in use
  //         kDeadlineExceeded    nobody who was asked could let it in within `join_timeout`; start it again
  //         kDataLoss            the directory is damaged; nothing was changed
  //         kInternal, kResourceExhausted, kPermissionDenied  the operating system refused
  static absl::StatusOr<std::unique_ptr<Cluster>> Start(const ClusterOptions& options,
                                                        absl::Duration join_timeout = absl::InfiniteDuration());

  // When a majority of the voters will never come back, the others can go on as a cluster of their
  // own. WHAT WAS ACKNOWLEDGED AND NO SURVIVOR HOLDS IS LOST. The way: stop all survivors; ask each
  // of them for a text that describes it; give all of these texts, the same ones, to each of them;
  // start them again. All survivors vote then, those that were learners, too: one that is not to
  // vote does not belong on the list. Nodes of the old cluster that come back are refused.
  //
  // Both are for the directory of a node that does not run; of the options, `dir`, `storage` and
  // what concerns the log count. Errors: kFailedPrecondition the directory is in use, or no node's;
  // others as Start.
  static absl::StatusOr<std::string> DescribeSurvivor(const ClusterOptions& options);
  // The same call with the same list may be made again, if a survivor died meanwhile. Errors:
  // kFailedPrecondition the survivors can elect one of them as they are: start them.
  // kInvalidArgument the texts are not those of survivors of one cluster; this node is not among
  // them, or was started after it was asked for its text.
  static absl::StatusOr<QuorumRecovery> RecoverLostQuorum(const ClusterOptions& options,
                                                          const std::vector<std::string>& survivors);

  // A session makes writes safe to repeat: the cluster does each of its numbers once, whichever
  // node is asked, and however often. A session that is not used for an hour ends; there may be
  // 10000.
  // Errors: as of a write.
  virtual absl::StatusOr<uint64_t> OpenSession(absl::Duration timeout = absl::InfiniteDuration()) = 0;
  // As Write, as the `number`th of the session, which count from 1: a number that was done already
  // does nothing, and answers what it answered then. At most the 64 highest numbers are remembered.
  // Errors: kFailedPrecondition the session has ended, or the number is too low to be remembered:
  // nothing is done now. kInvalidArgument it is 0 or too high.
  virtual absl::Status WriteOnce(uint64_t session, uint64_t number, const WriteBatch& batch,
                                 const WriteOptions& options = {}) = 0;
  // Ends a session; OK if there is none.
  virtual absl::Status CloseSession(uint64_t session, absl::Duration timeout = absl::InfiniteDuration()) = 0;

  // Members are named by their name, peer address or id. Each of these returns once the change is
  // agreed on; a learner is promoted later, by itself. Errors: kNotFound no such member ·
  // kInvalidArgument the name fits several, or the change leaves no voter · kFailedPrecondition
  // another change is under way · kUnavailable no leader, or not now · kUnknown it may have been
  // begun.
  //
  // Makes a learner a voter, once it has caught up.
  virtual absl::Status PromoteMember(std::string_view member, absl::Duration timeout = absl::Seconds(10)) = 0;
  // Takes a member out, this node and the leader included. It is told, and rests.
  virtual absl::Status RemoveMember(std::string_view member, absl::Duration timeout = absl::Seconds(10)) = 0;
  // The learner `by` takes the place of the voter `member`, in one step, once it has caught up.
  virtual absl::Status ReplaceMember(std::string_view member, std::string_view by,
                                     absl::Duration timeout = absl::Seconds(10)) = 0;
  // Makes another voter lead: `to`, or the one that fits best if it is empty. OK only if another
  // node leads then. Errors: kFailedPrecondition at once if it is dead, far behind or without room;
  // kDeadlineExceeded nobody else is known to lead in time.
  virtual absl::Status TransferLeadership(std::string_view to = {}) = 0;

  // Times to live go by the time of the log, which never goes back: a leader's clock that was
  // ahead holds expiry until clocks get there (Stats::expiry_ahead_ms). Once the clocks of all
  // nodes are right, this has expiry go by them, on all from the same entry of the log on; one
  // that is still ahead and leads later has all expire that much too early. What had expired by the
  // log stays gone, unlike in a Db; what had not keeps what was left of its time; and times that
  // users see or give are by the clocks. Only a copy opened as a Db goes on by the log, until it
  // accepts its clock. Errors: as of a write; kUnimplemented a member is of a release before this
  // call, or has not been reached since the leader started. One that comes later ends when it gets
  // to such an entry: first have all nodes of this release. Durability: as a write.
  virtual absl::Status AcceptClock(absl::Duration timeout = absl::Seconds(10)) = 0;

  // Both are of the database in this node alone, as for Db. What is applied goes into tables, so
  // that the log before it is not needed to start again. Errors: kResourceExhausted the disk is
  // full; kUnavailable no descriptor is free; kFailedPrecondition the node serves no more.
  virtual absl::Status Flush() = 0;
  // Compacts the tables that hold keys of [begin, limit); empty means unbounded. Errors: as Flush,
  // with which it begins; kDataLoss, kInternal a table could not be read; kAborted the node was
  // given a new copy of the database meanwhile.
  virtual absl::Status CompactRange(std::string_view begin, std::string_view limit) = 0;

  // What this node knows, at once. After Stop the last it knew.
  virtual ClusterStatus GetStatus() const = 0;
  // Of the database in this node.
  virtual Stats GetStats() const = 0;

  // Ends the node: what waits is answered (kUnknown if its fate is not known, kFailedPrecondition
  // if it was not begun), and what others are owed is said. Later calls answer kFailedPrecondition.
  // A leader hands over first, if another voter is fit to lead. Idempotent; the destructor calls
  // it. Must not be called from a callback of the node. Errors: kInternal the operating system
  // refused.
  virtual absl::Status Stop() = 0;

 protected:
  Cluster() = default;

 private:
  friend struct internal::DbAccess;
  // Copies the database of this node, as it is applied, into a directory, but for the tables, which
  // go to the sink: see Backup.
  virtual absl::Status DoCheckpoint(const std::filesystem::path& dir, internal::CheckpointSink* sink) = 0;
};

}  // namespace bandb

#endif  // BANDB_CLUSTER_H_
