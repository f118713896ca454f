#include "proto/peer_message.h"

#include <string>

#include "base/coding.h"
#include "raft/types/configuration.h"
#include "support/catch.h"

namespace bandb::proto {
namespace {

raft::Message Example(raft::MessageKind kind) {
  raft::Message message;
  message.kind = kind;
  message.reject = true;
  message.log_full = true;
  message.group = 3;
  message.cluster = 0x1122334455667788;
  message.from = 7;
  message.to = uint64_t{1} << 62;
  message.term = 5;
  message.index = 300;
  message.log_term = 4;
  message.commit = 299;
  message.hint = 200;
  message.hint_term = 3;
  message.session = 9;
  message.round = 10;
  if (kind == raft::MessageKind::kAppend) {
    for (const std::string_view payload : {"", "abc", "a longer payload"}) {
      message.entries.push_back({.term = 5,
                                 .index = 301 + message.entries.size(),
                                 .group = 3,
                                 .kind = payload.empty() ? raft::EntryKind::kNoop : raft::EntryKind::kData,
                                 .payload = raft::Payload(payload)});
    }
  }
  if (kind == raft::MessageKind::kSnapshot) {
    message.snapshot = std::make_shared<raft::SnapshotMeta>(
        raft::SnapshotMeta{.index = 300, .term = 4, .configuration = raft::MakeConfiguration({1, 2, 7}), .id = 77});
  }
  return message;
}

std::string Encode(const raft::Message& message) {
  std::string bytes;
  EncodePeerMessage(message, &bytes);
  return bytes;
}

void RequireEqual(const raft::Message& a, const raft::Message& b) {
  CHECK(Encode(a) == Encode(b));
  CHECK(a.kind == b.kind);
  CHECK(a.reject == b.reject);
  CHECK(a.force == b.force);
  CHECK(a.log_full == b.log_full);
  CHECK(a.cluster == b.cluster);
  CHECK(a.to == b.to);
  CHECK(a.round == b.round);
  CHECK(a.hint_term == b.hint_term);
  CHECK(a.entries == b.entries);
  CHECK((a.snapshot != nullptr) == (b.snapshot != nullptr));
  if (a.snapshot != nullptr && b.snapshot != nullptr) CHECK(*a.snapshot == *b.snapshot);
}

TEST_CASE("A message of every kind comes back", "[peer_message]") {
  for (uint8_t kind = 1; kind <= raft::kMessageKindMax; ++kind) {
    const raft::Message message = Example(static_cast<raft::MessageKind>(kind));
    raft::Message decoded;
    REQUIRE(DecodePeerMessage(Encode(message), {}, &decoded));
    RequireEqual(decoded, message);
  }
}

TEST_CASE("The bytes of a message are fixed", "[peer_message]") {
  raft::Message message = Example(raft::MessageKind::kAppend);
  message.entries.resize(2);
  const std::string expected(
      "\x01\x05\x01\x05\x03\x88\x77\x66\x55\x44\x33\x22\x11\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40"  // up to `to`
      "\x05\xac\x02\x04\xab\x02\xc8\x01\x03\x09\x0a"                                              // numbers
      "\x02\0\x01\x05\xad\x02\0\x01\x01\x05\xae\x02\x03"                                          // entries
      "abc",
      29 + 11 + 13 + 3);
  CHECK(Encode(message) == expected);
}

TEST_CASE("What is cut short or goes on is no message", "[peer_message]") {
  for (uint8_t kind = 1; kind <= raft::kMessageKindMax; ++kind) {
    const std::string bytes = Encode(Example(static_cast<raft::MessageKind>(kind)));
    raft::Message decoded;
    for (size_t size = 0; size < bytes.size(); ++size) {
      CHECK_FALSE(DecodePeerMessage(std::string_view(bytes).substr(0, size), {}, &decoded));
    }
    CHECK_FALSE(DecodePeerMessage(bytes + '\0', {}, &decoded));
  }
}

TEST_CASE("Unknown layouts, kinds, versions and flags are refused", "[peer_message]") {
  const std::string bytes = Encode(Example(raft::MessageKind::kVote));
  raft::Message decoded;
  REQUIRE(DecodePeerMessage(bytes, {}, &decoded));
  for (const auto& [at, value] : {std::pair(0, 2), {1, 0}, {1, raft::kMessageKindMax + 1}, {2, 2}, {2, 0}, {3, 8}}) {
    std::string changed = bytes;
    changed[static_cast<size_t>(at)] = static_cast<char>(value);
    CHECK_FALSE(DecodePeerMessage(changed, {}, &decoded));
  }
  std::string newer = bytes;
  newer[2] = 2;
  CHECK(DecodePeerMessage(newer, {.min = 1, .max = 2}, &decoded));
}

TEST_CASE("A count that the bytes cannot hold allocates nothing", "[peer_message]") {
  raft::Message message = Example(raft::MessageKind::kAppend);
  message.entries.clear();
  std::string bytes = Encode(message);
  bytes.pop_back();
  bytes += "\xff\xff\xff\xff\x0f";
  raft::Message decoded;
  CHECK_FALSE(DecodePeerMessage(bytes, {}, &decoded));
}

TEST_CASE("Entries that are announced take no memory before they are there", "[peer_message]") {
  raft::Message message = Example(raft::MessageKind::kAppend);
  message.entries.clear();
  std::string bytes = Encode(message);
  bytes.pop_back();
  base::PutVarint(&bytes, 1 << 20);
  // Of no kind that there is.
  bytes.append(5 << 20, '\xff');
  raft::Message decoded;
  CHECK_FALSE(DecodePeerMessage(bytes, {}, &decoded));
  CHECK(decoded.entries.capacity() < 16);
}

TEST_CASE("Two nodes agree on the highest version that both speak", "[peer_message]") {
  CHECK(AgreeOnVersion({1, 1}, {1, 1}) == 1);
  CHECK(AgreeOnVersion({1, 3}, {2, 5}) == 3);
  CHECK(AgreeOnVersion({4, 5}, {1, 4}) == 4);
  CHECK_FALSE(AgreeOnVersion({1, 2}, {3, 4}).has_value());
  CHECK_FALSE(AgreeOnVersion({3, 4}, {1, 2}).has_value());
}

}  // namespace
}  // namespace bandb::proto
