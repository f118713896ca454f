#include "server/message_table.h"

#include <set>
#include <string>

#include "server/frame_codec.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("the table of messages has each id and each name once, and finds no others") {
  std::set<std::string> names;
  std::set<uint32_t> ids;
  for (const server::Message& message : server::Messages()) {
    const auto id = static_cast<uint32_t>(message.id);
    CHECK(ids.insert(id).second);
    CHECK(names.insert(std::string(message.name)).second);
    CHECK(server::FindMessage(id) == &message);
  }
  for (uint32_t id = 0; id < 1100; id++) CHECK((server::FindMessage(id) != nullptr) == (ids.count(id) == 1));
  CHECK(server::FindMessage(static_cast<uint32_t>(proto::MessageId::kOk)) == nullptr);
  CHECK(server::FindMessage(proto::kFirstUserMessageId) == nullptr);
}

TEST_CASE("what a message may do is what its command does") {
  server::FrameCodec codec({.frame_bytes_max = 1000, .batch_operations_max = 10});
  const struct {
    proto::MessageId id;
    std::string payload;
    server::Permission permission;
  } rows[] = {
      {proto::MessageId::kPut, EncodePutPayload("k", "v"), server::Permission::kWrite},
      {proto::MessageId::kGet, std::string("\1\0\0\0k", 5), server::Permission::kRead},
      {proto::MessageId::kDelete, std::string("\1\0\0\0k", 5), server::Permission::kWrite},
      {proto::MessageId::kBatch, std::string(9, '\0'), server::Permission::kReadWrite},
      {proto::MessageId::kScan, std::string(21, '\0'), server::Permission::kRead},
      {proto::MessageId::kSnapshot, std::string(13, '\0'), server::Permission::kRead},
      {proto::MessageId::kChanges, std::string(46, '\0'), server::Permission::kRead},
      {proto::MessageId::kAcknowledge, std::string(8, '\0'), server::Permission::kRead},
      {proto::MessageId::kCursors, std::string(18, '\0'), server::Permission::kRead},
      {proto::MessageId::kPing, "p", server::Permission::kUser},
      {proto::MessageId::kStats, "", server::Permission::kUser},
      {proto::MessageId::kHello, std::string("\1\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0", 16), server::Permission::kNone},
  };
  CHECK(std::size(rows) == server::Messages().size());
  for (const auto& row : rows) {
    server::Command command;
    CHECK(codec.Decode(static_cast<uint32_t>(row.id), row.payload, &command).code == 0);
    const server::Message* const message = server::FindMessage(static_cast<uint32_t>(row.id));
    REQUIRE(message != nullptr);
    CHECK(message->permission == row.permission);
    const bool touches_keys = std::holds_alternative<server::SingleCommand>(command) ||
                              std::holds_alternative<server::BatchCommand>(command) ||
                              std::holds_alternative<server::ScanCommand>(command) ||
                              std::holds_alternative<server::SnapshotCommand>(command) ||
                              std::holds_alternative<server::ChangesCommand>(command) ||
                              std::holds_alternative<server::AcknowledgeCommand>(command) ||
                              std::holds_alternative<server::CursorsCommand>(command);
    CHECK(touches_keys ==
          (message->permission != server::Permission::kNone && message->permission != server::Permission::kUser));
    // One more byte does not add up, but for PING.
    CHECK((codec.Decode(static_cast<uint32_t>(row.id), row.payload + "x", &command).code == 0) ==
          (row.id == proto::MessageId::kPing));
  }
}

}  // namespace bandb::test
