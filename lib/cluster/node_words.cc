#include "cluster/node_words.h"

#include "base/coding.h"
#include "base/status.h"
#include "raft/types/configuration.h"

namespace bandb::cluster {

namespace {

constexpr uint8_t kJoinVersion = 1;
// As what a node asks to be let in; or it was let in, and says where it is.
constexpr uint8_t kVoter = 0;
constexpr uint8_t kLearner = 1;
constexpr uint8_t kKnown = 2;
constexpr uint8_t kTransferKind = 255;
constexpr auto kChangeKindMax = static_cast<uint8_t>(raft::ChangeKind::kSetAddress);
// No longer text is sent.
constexpr size_t kMessageBytesMax = 1024;
constexpr uint64_t kCodeMax = 16;

void PutStatus(std::string* to, const absl::Status& status) {
  base::PutVarint(to, static_cast<uint64_t>(status.code()));
  base::PutLengthPrefixed(to, base::Message(status).substr(0, kMessageBytesMax));
}

bool ReadStatus(base::ByteReader* reader, absl::Status* status) {
  uint64_t code = 0;
  std::string_view message;
  if (!reader->ReadVarint(&code) || code > kCodeMax || !reader->ReadLengthPrefixed(&message)) return false;
  *status = absl::Status(static_cast<absl::StatusCode>(code), base::ToAbsl(message.substr(0, kMessageBytesMax)));
  return true;
}

bool ReadText(base::ByteReader* reader, std::string* text) {
  std::string_view read;
  if (!reader->ReadLengthPrefixed(&read) || read.size() > raft::kMemberAddressBytesMax) return false;
  text->assign(read);
  return true;
}

}  // namespace

std::string EncodeWrites(const std::vector<Command>& commands) {
  std::string bytes;
  base::PutVarint(&bytes, commands.size());
  for (const Command& command : commands) {
    base::PutVarint(&bytes, command.session);
    base::PutVarint(&bytes, command.number);
    base::PutLengthPrefixed(&bytes, command.conditions);
    base::PutLengthPrefixed(&bytes, command.operations);
  }
  return bytes;
}

bool DecodeWrites(std::string_view bytes, std::vector<Command>* commands) {
  base::ByteReader reader(bytes);
  uint64_t count = 0;
  commands->clear();
  if (!reader.ReadVarint(&count) || count > reader.remaining() / 4) return false;
  // No more is held than there is: what a member announces takes no memory before it has come.
  for (uint64_t i = 0; i < count; ++i) {
    Command& command = commands->emplace_back();
    // A write without a session could be done twice.
    if (!reader.ReadVarint(&command.session) || command.session == kNoSession || !reader.ReadVarint(&command.number) ||
        !reader.ReadLengthPrefixed(&command.conditions) || !reader.ReadLengthPrefixed(&command.operations)) {
      return false;
    }
  }
  return reader.empty();
}

std::string EncodeRefused(const RefusedWrites& refused) {
  std::string bytes;
  PutStatus(&bytes, refused.status);
  base::PutVarint(&bytes, refused.writes.size());
  for (const auto& [session, number] : refused.writes) {
    base::PutVarint(&bytes, session);
    base::PutVarint(&bytes, number);
  }
  return bytes;
}

bool DecodeRefused(std::string_view bytes, RefusedWrites* refused) {
  base::ByteReader reader(bytes);
  uint64_t count = 0;
  refused->writes.clear();
  if (!ReadStatus(&reader, &refused->status) || !reader.ReadVarint(&count) || count > reader.remaining() / 2) {
    return false;
  }
  for (uint64_t i = 0; i < count; ++i) {
    auto& [session, number] = refused->writes.emplace_back();
    if (!reader.ReadVarint(&session) || !reader.ReadVarint(&number)) return false;
  }
  return reader.empty();
}

std::string EncodeAsk(const NodeAsk& ask) {
  std::string bytes;
  base::PutVarint(&bytes, ask.number);
  base::PutFixed8(&bytes, ask.transfer ? kTransferKind : static_cast<uint8_t>(ask.change.kind));
  base::PutVarint(&bytes, ask.change.node);
  base::PutVarint(&bytes, ask.change.other);
  base::PutLengthPrefixed(&bytes, ask.change.address);
  return bytes;
}

bool DecodeAsk(std::string_view bytes, NodeAsk* ask) {
  base::ByteReader reader(bytes);
  uint8_t kind = 0;
  if (!reader.ReadVarint(&ask->number) || !reader.ReadFixed(&kind)) return false;
  ask->transfer = kind == kTransferKind;
  if (!ask->transfer && kind > kChangeKindMax) return false;
  ask->change.kind = ask->transfer ? raft::ChangeKind{} : static_cast<raft::ChangeKind>(kind);
  return reader.ReadVarint(&ask->change.node) && reader.ReadVarint(&ask->change.other) &&
         ReadText(&reader, &ask->change.address) && reader.empty();
}

std::string EncodeAnswer(const NodeAnswer& answer) {
  std::string bytes;
  base::PutVarint(&bytes, answer.number);
  PutStatus(&bytes, answer.status);
  return bytes;
}

bool DecodeAnswer(std::string_view bytes, NodeAnswer* answer) {
  base::ByteReader reader(bytes);
  return reader.ReadVarint(&answer->number) && ReadStatus(&reader, &answer->status) && reader.empty();
}

std::string EncodeJoinRequest(const JoinRequest& request) {
  std::string bytes;
  base::PutFixed8(&bytes, kJoinVersion);
  base::PutVarint(&bytes, request.node);
  base::PutFixed8(&bytes, request.known ? kKnown : request.learner ? kLearner : kVoter);
  base::PutLengthPrefixed(&bytes, request.address);
  base::PutLengthPrefixed(&bytes, request.replaces);
  return bytes;
}

bool DecodeJoinRequest(std::string_view bytes, JoinRequest* request) {
  base::ByteReader reader(bytes);
  uint8_t version = 0;
  uint8_t kind = 0;
  if (!reader.ReadFixed(&version) || version != kJoinVersion || !reader.ReadVarint(&request->node) ||
      request->node == raft::kNoNode || !reader.ReadFixed(&kind) || kind > kKnown) {
    return false;
  }
  request->learner = kind == kLearner;
  request->known = kind == kKnown;
  return ReadText(&reader, &request->address) && ReadText(&reader, &request->replaces) && reader.empty();
}

std::string EncodeJoinAnswer(const JoinAnswer& answer) {
  std::string bytes;
  base::PutFixed8(&bytes, kJoinVersion);
  PutStatus(&bytes, answer.status);
  base::PutLengthPrefixed(&bytes, answer.database_id);
  return bytes;
}

bool DecodeJoinAnswer(std::string_view bytes, JoinAnswer* answer) {
  base::ByteReader reader(bytes);
  uint8_t version = 0;
  if (!reader.ReadFixed(&version) || version != kJoinVersion || !ReadStatus(&reader, &answer->status)) return false;
  return ReadText(&reader, &answer->database_id) && reader.empty();
}

}  // namespace bandb::cluster
