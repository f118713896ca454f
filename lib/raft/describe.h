// Messages, entries and outputs as text, for transcripts, traces and logs. One line each, without a
// line break, unless said otherwise; fields that are zero are left out.
#ifndef BANDB_RAFT_DESCRIBE_H_
#define BANDB_RAFT_DESCRIBE_H_

#include <string>
#include <string_view>

#include "raft/output.h"
#include "raft/types/configuration.h"
#include "raft/types/entry.h"
#include "raft/types/message.h"

namespace bandb::raft {

// The name of a kind, "?" for none that is known.
std::string_view Name(MessageKind kind);
std::string_view Name(Role role);
std::string_view Name(FaultKind kind);

// "voters(1 2 3) outgoing(1 2 4) learners(5 6->2) v7@12": a learner that waits to be promoted is
// followed by "+", or by "->" and the voter that it is to replace.
std::string Describe(const Configuration& configuration);
// "2/15 data "bytes"": term, index, kind, payload. Bytes that are not printable are escaped, long
// payloads are cut.
std::string Describe(const Entry& entry);
// "1->2 Append t2 prev=1/14 commit=13 [2/15 data "x"]".
std::string Describe(const Message& message);
// Everything in it except the deadline, one thing on each line, each line indented by `indent` and
// ended.
std::string Describe(const Output& output, std::string_view indent = "  ");

}  // namespace bandb::raft

#endif  // BANDB_RAFT_DESCRIBE_H_
