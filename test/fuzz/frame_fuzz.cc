// Fuzzes the framing and every payload decoder of lib/proto with one stream of bytes.
//
// Beyond not crashing: a FrameReader that is fed in pieces finds the frames that CutFrame finds in
// the whole, and what decodes encodes to the same bytes again, so that no two payloads mean the
// same request.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "proto/changes.h"
#include "proto/frame.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "proto/response.h"

namespace bandb::proto {
namespace {

constexpr size_t kPayloadBytesMax = 4096;

std::string_view PayloadOf(const std::string& frame) { return std::string_view(frame).substr(kFrameHeaderBytes); }

void CheckBatch(std::string_view payload) {
  BatchReader cursor(payload);
  BatchBuilder builder;
  BatchCondition condition;
  while (cursor.NextCondition(&condition)) builder.Require(condition);
  BatchOperation operation;
  while (cursor.NextOperation(&operation)) builder.Add(operation);
  if (!cursor.Complete()) return;
  std::string again;
  builder.AppendTo(&again);
  BANDB_ASSERT(PayloadOf(again) == payload);
}

void CheckFeed(std::string_view payload) {
  std::string again;
  Changes changes;
  if (DecodeChanges(payload, &changes)) {
    AppendChanges(&again, changes);
    BANDB_ASSERT(PayloadOf(again) == payload);
  }
  again.clear();
  std::string_view cursor, token;
  if (DecodeAcknowledge(payload, &cursor, &token)) {
    AppendAcknowledge(&again, cursor, token);
    BANDB_ASSERT(PayloadOf(again) == payload);
  }
  again.clear();
  Cursors cursors;
  if (DecodeCursors(payload, &cursors)) {
    AppendCursors(&again, cursors);
    BANDB_ASSERT(PayloadOf(again) == payload);
  }
  // Bodies of replies: that they are read without reading beyond them.
  ChangesBodyReader body(payload);
  CommitHead head;
  BatchOperation change;
  while (body.NextCommit(&head)) {
    while (body.NextChange(&change)) {
    }
  }
  CursorsBodyReader list(payload);
  CursorEntry entry;
  while (list.Next(&entry)) {
  }
}

void CheckRequests(std::string_view payload) {
  std::string_view key, value;
  std::string again;
  if (DecodePut(payload, &key, &value)) {
    AppendPut(&again, key, value);
    BANDB_ASSERT(PayloadOf(again) == payload);
  }
  again.clear();
  if (DecodeKey(payload, &key)) {
    AppendGet(&again, key);
    BANDB_ASSERT(PayloadOf(again) == payload);
  }
  again.clear();
  Hello hello;
  if (DecodeHello(payload, &hello)) {
    AppendHello(&again, hello);
    BANDB_ASSERT(PayloadOf(again) == payload);
  }
  again.clear();
  Scan scan;
  if (DecodeScan(payload, &scan)) {
    AppendScan(&again, scan);
    BANDB_ASSERT(PayloadOf(again) == payload);
  }
  CheckBatch(payload);
  CheckFeed(payload);
}

void CheckReplies(const Frame& frame) {
  for (const MessageId id : {MessageId::kOk, MessageId::kError}) {
    Reply reply;
    if (!DecodeReply({static_cast<uint32_t>(id), frame.payload}, &reply)) continue;
    BANDB_ASSERT(reply.ok == reply.ToStatus().ok());
    std::string_view bytes;
    DecodeValueBody(reply.body, &bytes);
    DecodeTextBody(reply.body, &bytes);
    HelloReply hello;
    DecodeHelloBody(reply.body, &hello);
    for (const bool expiries : {false, true}) {
      ScanBodyReader reader(reply.body, expiries);
      size_t entries = 0;
      for (ScanEntry entry; reader.Next(&entry);) entries++;
      BANDB_ASSERT(entries * ScanEntryHeadBytes(expiries) <= reply.body.size());
    }
  }
}

}  // namespace
}  // namespace bandb::proto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bandb::proto;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  CheckRequests(bytes);
  CheckReplies({0, bytes});

  std::vector<std::string> whole;
  std::string_view rest = bytes;
  Frame frame;
  size_t needed = 0;
  while (CutFrame(rest, kPayloadBytesMax, &frame, &needed) == CutResult::kFrame) {
    CheckRequests(frame.payload);
    CheckReplies(frame);
    whole.emplace_back(frame.payload);
    rest.remove_prefix(frame.ByteSize());
  }

  FrameReader reader(kPayloadBytesMax);
  size_t found = 0;
  size_t piece_bytes = size == 0 ? 1 : 1 + data[0] % 16;
  for (size_t at = 0; at < size; at += piece_bytes) {
    reader.Append(bytes.substr(at, piece_bytes));
    while (reader.Next(&frame) == CutResult::kFrame) {
      BANDB_ASSERT(found < whole.size());
      BANDB_ASSERT(whole[found] == frame.payload);
      found++;
    }
  }
  BANDB_ASSERT(found == whole.size());
  return 0;
}
