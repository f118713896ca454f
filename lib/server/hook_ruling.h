// What the verdict of a pre-hook makes of a request, whatever protocol it came by: each verdict is
// followed whole, or nothing has changed.
#ifndef BANDB_SERVER_HOOK_RULING_H_
#define BANDB_SERVER_HOOK_RULING_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "bandb/server_hooks.h"
#include "server/commands.h"

namespace bandb::server {

// What pre-hooks put in the place of a client's bytes, and what they add, for as long as a request
// is handled.
using ModifiedBytes = std::deque<std::string>;

// How it goes on after a verdict.
enum class Ruling : uint8_t {
  kGoOn,
  kDropped,
  kRejected,   // in the words of the hook
  kOverLimit,  // what the hook made, or added, is more than there may be
  kNonsense,   // the verdict cannot be followed
};

// An operation while hooks judge it: each sees what those before it left.
struct JudgedOperation {
  Operation* operation = nullptr;
  // That of a message of its own; empty: not known, or not any more.
  std::string_view payload{};
  // What hooks have added to the operations of its request, and how many there may be.
  std::vector<Operation>* emitted = nullptr;
  size_t emitted_max = 0;
};

// `failure`: why it does not go on, unless it does, or is dropped.
Ruling Follow(HookResult result, size_t payload_bytes_max, JudgedOperation* judged, ModifiedBytes* bytes,
              Failure* failure);
// Likewise of a message that is not one operation.
Ruling Follow(HookResult result, size_t payload_bytes_max, std::string_view* payload, ModifiedBytes* bytes,
              Failure* failure);

// The operation as the payload of a message that does this and nothing else; a range as a put.
std::string PayloadOf(const Operation& operation);

}  // namespace bandb::server

#endif  // BANDB_SERVER_HOOK_RULING_H_
