// GET: on the loop, or on a thread of the store. The one place where that is decided.
//
// On the loop a read costs no hop, and as long as it is served from memory that is the quickest for
// everybody; so it is tried there with ReadOptions::only_cached. What has to wait, for a disk or
// for a quorum, is collected and made after one read barrier, on the store's thread, one step of
// bounded keys and bytes at a time, in the order of arrival. A read after one that waits takes the
// same way: so reads of one connection take effect in request order.
#ifndef BANDB_SERVER_READ_ENDPOINT_H_
#define BANDB_SERVER_READ_ENDPOINT_H_

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bandb/store.h"
#include "base/event_loop.h"
#include "server/commands.h"
#include "server/request.h"

namespace bandb::server {

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class ReadEndpoint {
 public:
  ReadEndpoint(Store* store, base::EventLoop* loop, const RequestContext& context, bool reads_inline);
  ~ReadEndpoint();

  void Get(Request& request, std::string_view key);
  void EndTurn();
  bool idle() const { return step_ == nullptr && waiting_.empty(); }

 private:
  // A key on its way to the store's thread, and what was found on the way back.
  struct Item {
    Pending pending;
    std::string key;
    Outcome outcome{};
    bool read = false;
    bool saw_undurable = false;
    int64_t bytes = 0;  // of the outcome, on the account
  };

  // False, and not answered, if the store cannot tell without waiting.
  bool GetInline(Request& request, std::string_view key);
  void StartStep();
  void ReadStep(const absl::Status& barrier);
  void Read(Item* item);
  void FinishStep();

  Store* const store_;
  base::EventLoop* const loop_;
  const RequestContext& context_;
  const bool reads_inline_;
  std::deque<Item> waiting_;
  std::unique_ptr<std::vector<Item>> step_;  // while there is one, the store's thread's
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_READ_ENDPOINT_H_
