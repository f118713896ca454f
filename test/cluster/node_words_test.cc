#include "cluster/node_words.h"

#include <string>

#include "base/coding.h"
#include "base/status.h"
#include "support/catch.h"

namespace bandb::cluster {

namespace {

// That a decoder takes the bytes, and neither less nor more.
template <typename Decode>
void CheckExact(const std::string& bytes, const Decode& decode) {
  CHECK(decode(bytes));
  for (size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode(bytes.substr(0, size)));
  CHECK_FALSE(decode(bytes + "x"));
}

}  // namespace

TEST_CASE("what nodes say to each other comes back as it was, and nothing else is understood") {
  CheckExact(EncodeWrites({{.session = 7, .number = 3, .conditions = "c", .operations = "o"}, {.session = 8}}),
             [](const std::string& bytes) {
               std::vector<Command> commands;
               return DecodeWrites(bytes, &commands) && commands.size() == 2 && commands[0].session == 7 &&
                      commands[0].number == 3 && commands[0].conditions == "c" && commands[0].operations == "o";
             });
  CheckExact(EncodeRefused({.status = absl::UnavailableError("no"), .writes = {{7, 3}}}), [](const std::string& bytes) {
    RefusedWrites refused;
    return DecodeRefused(bytes, &refused) && absl::IsUnavailable(refused.status) && refused.writes.front().second == 3;
  });
  const raft::Change change{.kind = raft::ChangeKind::kReplace, .node = 5, .other = 6, .address = "there"};
  CheckExact(EncodeAsk({.number = 9, .transfer = false, .change = change}), [](const std::string& bytes) {
    NodeAsk ask;
    return DecodeAsk(bytes, &ask) && ask.number == 9 && !ask.transfer && ask.change.node == 5 &&
           ask.change.other == 6 && ask.change.kind == raft::ChangeKind::kReplace && ask.change.address == "there";
  });
  CheckExact(EncodeAnswer({.number = 9, .status = absl::AbortedError("why")}), [](const std::string& bytes) {
    NodeAnswer answer;
    return DecodeAnswer(bytes, &answer) && answer.number == 9 && base::Message(answer.status) == "why";
  });
  CheckExact(EncodeJoinRequest({.node = 5, .learner = true, .address = "there", .replaces = "a"}),
             [](const std::string& bytes) {
               JoinRequest request;
               return DecodeJoinRequest(bytes, &request) && request.node == 5 && request.learner &&
                      request.address == "there" && request.replaces == "a";
             });
  CheckExact(EncodeJoinAnswer({.status = {}, .database_id = "id"}), [](const std::string& bytes) {
    JoinAnswer answer;
    return DecodeJoinAnswer(bytes, &answer) && answer.status.ok() && answer.database_id == "id";
  });
}

TEST_CASE("writes without a session, counts beyond the bytes and unknown codes are refused") {
  std::vector<Command> commands;
  CHECK_FALSE(DecodeWrites(EncodeWrites({{.session = 0}}), &commands));
  CHECK_FALSE(DecodeWrites("\xff\xff\xff\xff\x0f", &commands));
  NodeAnswer answer;
  CHECK_FALSE(DecodeAnswer(std::string("\x01\x11\x00", 3), &answer));
}

TEST_CASE("what a member announces takes no memory before it has come", "[node_words]") {
  std::string bytes;
  base::PutVarint(&bytes, 1 << 20);
  // Of a write without a session, the first of so many.
  bytes.append(4 << 20, '\0');
  std::vector<Command> commands;
  CHECK_FALSE(DecodeWrites(bytes, &commands));
  CHECK(commands.capacity() < 16);
}

}  // namespace bandb::cluster
