// How handlers say no.
#ifndef BANDB_SERVER_ANSWER_H_
#define BANDB_SERVER_ANSWER_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "net/dispatcher.h"
#include "net/router.h"
#include "server/service_counters.h"

namespace bandb::server {

// What the handlers of one loop share. Lifetime: borrows.
struct AnswerContext {
  net::Completions* completions = nullptr;
  ServiceCounters* counters = nullptr;
  uint32_t frame_bytes_max = 0;
};

void AnswerError(net::Call& call, uint16_t code, std::string_view message);
void AnswerMalformed(net::Call& call, ServiceCounters* counters);
// Errors of the store; counts those that mean overload.
void AnswerStatus(net::Call& call, const absl::Status& status, ServiceCounters* counters);

}  // namespace bandb::server

#endif  // BANDB_SERVER_ANSWER_H_
