// What an embedded database and a cluster node have in common; host code written against Store runs
// on either.
#ifndef BANDB_STORE_H_
#define BANDB_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "bandb/iterator.h"
#include "bandb/options.h"
#include "bandb/pinned_value.h"
#include "bandb/snapshot.h"
#include "bandb/write_batch.h"

namespace bandb {

class ChangeReader;
class ChangesFrom;
struct ChangesOptions;
struct CursorInfo;
namespace internal {
class ChangeFeed;
}

// Run exactly once, on a thread of the store that does nothing but run callbacks, one after the
// other, with no lock of BanDB held; also when the store closes. A callback may call the store's
// reading and writing methods, those that wait included; all other callbacks wait for it meanwhile,
// so it must not wait for one of them, and must not close the store.
using WriteCallback = absl::AnyInvocable<void(absl::Status) &&>;
using ReadCallback = absl::AnyInvocable<void(absl::Status) &&>;
// A WriteCallback that is given the batch back, if the write was not done: if the status is neither
// OK nor kUnknown. Else the batch is empty.
using ReturningWriteCallback = absl::AnyInvocable<void(absl::Status, WriteBatch) &&>;

// All that there is to know of a key.
struct Entry {
  std::string value{};
  // When it expires; infinite: never. In whole milliseconds.
  absl::Time expiry = absl::InfiniteFuture();
  // The version: the sequence of the operation that wrote the value, which is its place in the
  // order of all operations of the store (Commit::first_sequence). No two values of a store have
  // the same one, a newer value of a key has a larger one, and 0 is none. It stays what it is when
  // the store is opened again, in a checkpoint and in a restored backup, and where a
  // CompactionFilter changes the value; in a cluster it is the same at every member.
  //
  // What is taken back had versions that then are given out again, to other values: writes that
  // power loss takes back, those that Cluster::RecoverLostQuorum gives up, and those after the
  // state that is restored, from an older backup or of an earlier time. A version that was kept
  // outside the store from before that says nothing any more. See WriteBatch::RequireVersion.
  uint64_t version = 0;
};

// A persistent map from byte strings to byte strings, ordered bytewise (unsigned).
//
// Limits: keys up to 64 KiB; a value, and a batch, up to 64 MiB or a quarter of the memory budget,
// whichever is less; a batch up to one operation or condition for each 64 bytes of that, at most
// 1048576, and up to 16384 range deletes. Empty keys and empty values are allowed.
//
// Errors, the same at every method:
//   kNotFound            there is no such key
//   kInvalidArgument     the caller's mistake: a limit exceeded, a foreign snapshot, an empty limit of a DeleteRange
//   kFailedPrecondition  wrong state: the store is closed, or stopped by an I/O error and needs Resume or reopening
//   kAborted             a condition of the batch did not hold; nothing was changed
//   kUnavailable         not done, try again: overloaded, no file descriptor free, or a cluster without a leader
//   kDeadlineExceeded    gave up before the operation was submitted: not done
//   kUnknown             the outcome is unknown: the write may or may not take effect. Nothing else means that
//   kDataLoss            bytes were read and are wrong: a checksum failed; file and offset are in the message
//   kResourceExhausted   of writes: the disk is full, or there is no memory for what is written. Of NewIterator: the
//                        memory budget has no room for another iterator; see there
//   kInternal            the operating system refused: a device that cannot read, a file that is gone, no descriptor.
//                        Of reads, file and offset are in the message
//
// Thread safety: every method may be called from any thread.
// Lifetime: iterators, snapshots and pinned values may outlive the store; see there.
class Store {
 public:
  virtual ~Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Sets `key` to `value`.
  // Durability: see WriteOptions::sync.
  absl::Status Put(std::string_view key, std::string_view value, const WriteOptions& options = {});
  // Sets `key` to `value` for the next `ttl`; see WriteBatch::PutWithTtl.
  absl::Status PutWithTtl(std::string_view key, std::string_view value, absl::Duration ttl,
                          const WriteOptions& options = {});
  // Sets `key` to `value` until `expiry`; see WriteBatch::PutUntil.
  absl::Status PutUntil(std::string_view key, std::string_view value, absl::Time expiry,
                        const WriteOptions& options = {});
  // Removes `key`; OK whether it exists or not.
  absl::Status Delete(std::string_view key, const WriteOptions& options = {});
  // Applies the batch: all of it or, on any error but kUnknown, none.
  absl::Status Write(const WriteBatch& batch, const WriteOptions& options = {});
  // As Write, without ever blocking: `done` gets the outcome. Writes take effect in the order of
  // the calls. Where Write would wait because the store is stalled or slows writers down, so does
  // the outcome; unless WriteOptions::timeout is zero, in which case it is kUnavailable when the
  // store is stalled (no other timeout is heeded). It is kUnavailable, too, when asynchronous
  // writes whose callbacks have not returned hold more than Options::write_buffer_bytes (at least 1
  // MiB) with this one.
  void WriteAsync(WriteBatch batch, const WriteOptions& options, WriteCallback done);
  // As WriteAsync, but that `done` gets the batch back if it was not done, so that it may be
  // written again. No copy is made for it by a Db; the batch is kept until then.
  void WriteAsyncOrReturn(WriteBatch batch, const WriteOptions& options, ReturningWriteCallback done);

  // The value of `key`, or kNotFound.
  absl::StatusOr<std::string> Get(std::string_view key, const ReadOptions& options = {});
  // As Get, without copying; see PinnedValue. On error `value` is reset.
  absl::Status GetPinned(std::string_view key, PinnedValue* value, const ReadOptions& options = {});
  // The value of `key` with its expiry and its version, or kNotFound. GetPinned has them, too.
  absl::StatusOr<Entry> GetEntry(std::string_view key, const ReadOptions& options = {});
  // One result for each key, in their order, all of one state.
  std::vector<absl::StatusOr<std::string>> MultiGet(absl::Span<const std::string_view> keys,
                                                    const ReadOptions& options = {});
  // Never null; a mistake in the options shows as the iterator's status. An iterator keeps the
  // memtables and blocks that it reads in memory. Where those of all that are open leave no room in
  // the memory budget, the status is kResourceExhausted: close some, first those that have been
  // open for longest, or raise Options::memory_budget_bytes.
  std::unique_ptr<Iterator> NewIterator(const ReadOptions& options = {});
  // The same over the keys that begin with `prefix`, within the bounds of `options`.
  std::unique_ptr<Iterator> NewPrefixIterator(std::string_view prefix, const ReadOptions& options = {});
  // The present state. Empty if the store is closed.
  Snapshot GetSnapshot();

  // Calls `ready` once reads with Consistency::kLocal, made inside the callback, have the
  // consistency that `options` asks for.
  void ReadBarrierAsync(const ReadOptions& options, ReadCallback ready);

  // Begins to read what was written to the store; see bandb/changes.h. Of these six, errors:
  // kInvalidArgument a token of another database, or options that make no sense; kOutOfRange what
  // is asked for is not kept any more, and the message has the oldest token, in hexadecimal digits;
  // kFailedPrecondition a token ahead of the store, or of a past that it has lost: writes that
  // power loss took back, another copy; kUnimplemented a store without a change feed. All of these
  // are final. Reads of the feed answer besides as ChangeReader::Next does.
  absl::StatusOr<std::unique_ptr<ChangeReader>> ReadChanges(const ChangesOptions& options);
  // Makes a cursor: a place in the feed from which on logs are kept, within
  // Options::changes_keep_bytes. The name is 1 to 255 bytes; 1024 cursors at most. Errors:
  // kAlreadyExists; kResourceExhausted too many. Durability: survives power loss when it returns
  // OK.
  absl::Status CreateCursor(std::string_view name, const ChangesFrom& from);
  // Puts a cursor at another place, also back, and also a lost one. Errors: kNotFound; kUnavailable
  // it is being written down just now, and the same call may be tried again. Durability: survives
  // power loss when it returns OK.
  absl::Status ResetCursor(std::string_view name, const ChangesFrom& from);
  // Everything up to the token has been dealt with for this cursor. Cheap: it is written down once
  // a second, and when the store closes, so that a crash may bring a consumer what it had
  // acknowledged, but never lose it what it had not. A token of before that changes nothing.
  // Errors: kNotFound no such cursor.
  // At a node of a cluster, cursors are the cluster's. What is acknowledged here counts at other
  // members once it is written down. One made at another member is kNotFound until this one has
  // applied that, and any is kUnavailable at one that has started until it has applied what was
  // agreed on by then. Changes take up to ten seconds, and end besides with kUnavailable or
  // kDeadlineExceeded nothing was done; kUnknown it may have been; kFailedPrecondition the node has
  // ended, or is being stopped. Which of them are lost is each member's own affair.
  absl::Status Acknowledge(std::string_view name, std::string_view token);
  // Errors: kNotFound. Durability: survives power loss when it returns OK.
  absl::Status DropCursor(std::string_view name);
  // In the order of their names. Reads the logs that they are in, to count.
  absl::StatusOr<std::vector<CursorInfo>> ListCursors();

 protected:
  Store() = default;

 private:
  // What Put, Delete and Write come to; a single operation is not made into a batch first.
  virtual absl::Status DoPut(std::string_view key, std::string_view value, const WriteOptions& options) = 0;
  virtual absl::Status DoDelete(std::string_view key, const WriteOptions& options) = 0;
  virtual absl::Status DoWrite(const WriteBatch& batch, const WriteOptions& options) = 0;
  virtual void DoWriteAsync(WriteBatch batch, const WriteOptions& options, WriteCallback done) = 0;
  // Unless it is overridden: DoWriteAsync, with a copy of the batch to give back.
  virtual void DoWriteAsyncOrReturn(WriteBatch batch, const WriteOptions& options, ReturningWriteCallback done);
  virtual absl::Status DoGet(std::string_view key, PinnedValue* value, const ReadOptions& options) = 0;
  virtual std::vector<absl::StatusOr<std::string>> DoMultiGet(absl::Span<const std::string_view> keys,
                                                              const ReadOptions& options) = 0;
  virtual std::unique_ptr<Iterator> DoNewIterator(const ReadOptions& options) = 0;
  virtual Snapshot DoGetSnapshot() = 0;
  virtual void DoReadBarrierAsync(const ReadOptions& options, ReadCallback ready) = 0;
  // Null: there is none. Lifetime: as long as the store.
  virtual internal::ChangeFeed* DoChangeFeed() { return nullptr; }
};

}  // namespace bandb

#endif  // BANDB_STORE_H_
