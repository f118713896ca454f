// Transactions: run on the loop where memory suffices, else on a reader's thread; committed under
// conditions, and run again where these did not hold.
//
// A command that writes sees what others of this loop have on their way to the store, so that a
// counter which everybody counts up takes no turn of the disk for each: each of them is under the
// condition of the one before it, and they reach the store in their order. It sees that at its
// first runs only; what keeps failing looks at the store alone.
#ifndef BANDB_SERVER_TRANSACTION_PATH_H_
#define BANDB_SERVER_TRANSACTION_PATH_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "bandb/store.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "server/commands.h"
#include "server/request.h"
#include "server/transaction.h"

namespace bandb::server {

// What transactions of this loop have on their way to the store.
class PendingWrites {
 public:
  // False: nothing is known of the key.
  bool Find(std::string_view key, EntryState* state) const;
  void Add(const Transaction& transaction);
  // Once, when it is done or has failed.
  void Remove(const Transaction& transaction);
  bool empty() const { return keys_.empty() && deletions_ == 0; }

 private:
  struct Pending {
    EntryState state;
    int writes = 0;
  };

  std::map<std::string, Pending, std::less<>> keys_;
  int deletions_ = 0;  // of everything
};

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class TransactionPath {
 public:
  struct Options {
    bool sync = true;
    // Of what a transaction reads and writes.
    size_t keys_max = 0;
    // What one may hold.
    size_t bytes_max = 0;
  };
  TransactionPath(Store* store, base::EventLoop* loop, base::Clock* clock, const RequestContext& context,
                  const Options& options)
      : store_(store), loop_(loop), clock_(clock), context_(context), options_(options) {}
  ~TransactionPath();

  void Run(Request& request, TransactionCommand* command);
  bool idle() const { return in_flight_ == 0; }

 private:
  struct Running;
  class StoreSource;
  class LoopSource;

  void RunSomewhere(std::unique_ptr<Running> running);
  // Whether the store needs to ask nobody for its present state.
  bool MayReadNow(const Running& running) const;
  // False: it would have to wait.
  bool RunOnLoop(Running* running);
  void RunOnReader(std::unique_ptr<Running> running);
  // The body has run: what follows, on the loop.
  void GoOn(std::unique_ptr<Running> running);
  // False if hooks or limits ended it: `outcome` is how.
  bool MakeBatch(Running* running, WriteBatch* batch, Outcome* outcome);
  void Commit(std::unique_ptr<Running> running);
  void Committed(std::unique_ptr<Running> running, const absl::Status& status);
  void End(std::unique_ptr<Running> running, Outcome outcome);

  Store* const store_;
  base::EventLoop* const loop_;
  base::Clock* const clock_;
  const RequestContext& context_;
  const Options options_;
  PendingWrites pending_;
  int in_flight_ = 0;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_TRANSACTION_PATH_H_
