// Transactions: run on the loop where memory and a moment suffice, else in steps on a reader's
// thread; committed under conditions, and run again where these did not hold.
//
// Walks, and commands that look up more keys than one step may, take turns: of a loop one step at a
// time is on a reader's thread, so that reads that wait for a disk find one. One whose client has
// gone, or has said that it sends nothing more, ends where others wait for their turn, unless it
// names the keys that it writes.
//
// A command that writes sees what others of this loop have on their way to the store, so that a
// counter which everybody counts up takes no turn of the disk for each: each of them is under the
// condition of the one before it, and they reach the store in their order. It sees that at its
// first runs only; what keeps failing looks at the store alone.
#ifndef BANDB_SERVER_TRANSACTION_PATH_H_
#define BANDB_SERVER_TRANSACTION_PATH_H_

#include <cstdint>
#include <deque>
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
                  const Options& options);
  ~TransactionPath();

  void Run(Request& request, TransactionCommand* command);
  // What takes turns ends where it is.
  void Close();
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
  // Has the next step of it run on a reader's thread, once it is its turn.
  void AwaitTurn(std::unique_ptr<Running> running);
  void NextTurn();
  // Whether it goes on only when it is its turn.
  bool TakesTurns(const Running& running) const;
  void StartStep(std::unique_ptr<Running> running);
  // On a reader's thread.
  void RunStep(Running* running);
  void FinishStep(std::unique_ptr<Running> running);
  // Nobody is there for whom it would be worth the time.
  bool IsInVain(const Running& running) const;
  // The body has run: what follows, on the loop.
  void GoOn(std::unique_ptr<Running> running);
  // Makes what is to be committed, as hooks and limits leave it. False: they ended it, and
  // `outcome` is how.
  bool Judge(Running* running, Outcome* outcome);
  void Commit(std::unique_ptr<Running> running);
  // What is to be committed is so many bytes on the account.
  void Account(Running* running, size_t bytes);
  void Submit(std::unique_ptr<Running> running);
  void Committed(std::unique_ptr<Running> running, const absl::Status& status);
  void End(std::unique_ptr<Running> running, Outcome outcome);

  Store* const store_;
  base::EventLoop* const loop_;
  base::Clock* const clock_;
  const RequestContext& context_;
  const Options options_;
  PendingWrites pending_;
  std::deque<std::unique_ptr<Running>> waiting_;  // for their turn
  bool turn_is_taken_ = false;
  bool closed_ = false;
  int in_flight_ = 0;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_TRANSACTION_PATH_H_
