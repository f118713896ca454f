// Error replies.
#ifndef BANDB_SERVER_ANSWER_H_
#define BANDB_SERVER_ANSWER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/executor.h"
#include "net/dispatcher.h"
#include "net/quota.h"
#include "net/router.h"
#include "server/service_counters.h"

namespace bandb::server {

class DurableReplies;

// What the handlers of one loop share. Lifetime: borrows.
struct AnswerContext {
  net::Completions* completions = nullptr;
  ServiceCounters* counters = nullptr;
  net::Quota* quota = nullptr;
  base::Executor* readers = nullptr;  // for reads that may wait for a disk
  DurableReplies* durable = nullptr;  // null: replies may show what is not durable yet
  uint32_t frame_bytes_max = 0;
  int64_t memory_bytes_max = 0;

  // No more may be produced for now.
  bool MemoryIsFull() const { return quota->memory_bytes.load(std::memory_order_relaxed) >= memory_bytes_max; }
};

// The code of a failure that says nothing about a key: whatever the store reports, "not found" is
// an answer to GET alone.
uint16_t FailureCode(const absl::Status& status);

// Gives a reply of one string to a request that was deferred, and counts it if it means overload.
// Not before what it saw is durable, if it `saw_undurable` writes and that matters.
void CompleteWith(const AnswerContext& context, const net::Ticket& ticket, std::string frame, bool ok, uint16_t code,
                  bool saw_undurable);

void AnswerError(net::Call& call, uint16_t code, std::string_view message);
void AnswerMalformed(net::Call& call, ServiceCounters* counters);
// Errors of the store; counts those that mean overload.
void AnswerStatus(net::Call& call, const absl::Status& status, ServiceCounters* counters);

}  // namespace bandb::server

#endif  // BANDB_SERVER_ANSWER_H_
