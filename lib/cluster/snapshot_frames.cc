#include "cluster/snapshot_frames.h"

#include "base/coding.h"
#include "base/escape.h"
#include "base/status.h"

namespace bandb::cluster {

namespace {

constexpr size_t kTextBytesMax = 512;

std::string Begin(uint64_t stream, size_t bytes) {
  std::string payload;
  payload.reserve(sizeof(stream) + bytes);
  base::PutFixed64(&payload, stream);
  return payload;
}

}  // namespace

std::string EncodeSnapshotBegin(uint64_t stream, uint64_t head_bytes) {
  std::string payload = Begin(stream, sizeof(head_bytes));
  base::PutFixed64(&payload, head_bytes);
  return payload;
}

std::string EncodeSnapshotHead(uint64_t stream, std::string_view bytes) {
  std::string payload = Begin(stream, bytes.size());
  payload.append(bytes);
  return payload;
}

std::string EncodeSnapshotWanted(uint64_t stream, const std::vector<WantedTable>& wanted) {
  std::string payload = Begin(stream, 4 * wanted.size());
  base::PutVarint(&payload, wanted.size());
  for (const WantedTable& at : wanted) {
    base::PutVarint(&payload, at.table);
    base::PutVarint(&payload, at.offset);
  }
  return payload;
}

std::string EncodeSnapshotChunk(uint64_t stream, const WantedTable& at, std::string_view bytes) {
  std::string payload = Begin(stream, 2 * base::kVarint64BytesMax + bytes.size());
  base::PutVarint(&payload, at.table);
  base::PutVarint(&payload, at.offset);
  payload.append(bytes);
  return payload;
}

std::string EncodeSnapshotTaken(uint64_t stream, uint64_t bytes) {
  std::string payload = Begin(stream, sizeof(bytes));
  base::PutFixed64(&payload, bytes);
  return payload;
}

std::string EncodeSnapshotDone(uint64_t stream, const absl::Status& status) {
  const std::string_view text = base::Message(status).substr(0, kTextBytesMax);
  std::string payload = Begin(stream, 1 + text.size());
  base::PutFixed8(&payload, static_cast<uint8_t>(status.code()));
  payload.append(text);
  return payload;
}

std::string EncodeSnapshotStopped(uint64_t stream, std::string_view text) {
  return EncodeSnapshotHead(stream, text.substr(0, kTextBytesMax));
}

bool DecodeStream(std::string_view* payload, uint64_t* stream) {
  base::ByteReader reader(*payload);
  if (!reader.ReadFixed(stream)) return false;
  *payload = reader.rest();
  return true;
}

bool DecodeSnapshotBegin(std::string_view rest, uint64_t* head_bytes) {
  base::ByteReader reader(rest);
  return reader.ReadFixed(head_bytes) && reader.empty() && *head_bytes > 0 && *head_bytes <= kSnapshotHeadBytesMax;
}

bool DecodeSnapshotWanted(std::string_view rest, std::vector<WantedTable>* wanted) {
  base::ByteReader reader(rest);
  uint64_t count = 0;
  // Two bytes each, at least.
  if (!reader.ReadVarint(&count) || count > reader.remaining() / 2) return false;
  wanted->clear();
  for (uint64_t i = 0; i < count; ++i) {
    WantedTable at;
    if (!reader.ReadVarint(&at.table) || !reader.ReadVarint(&at.offset)) return false;
    if (!wanted->empty() && at.table <= wanted->back().table) return false;
    wanted->push_back(at);
  }
  return reader.empty();
}

bool DecodeSnapshotChunk(std::string_view rest, WantedTable* at, std::string_view* bytes) {
  base::ByteReader reader(rest);
  if (!reader.ReadVarint(&at->table) || !reader.ReadVarint(&at->offset)) return false;
  *bytes = reader.rest();
  return !bytes->empty() && bytes->size() <= kSnapshotPieceBytesMax;
}

bool DecodeSnapshotTaken(std::string_view rest, uint64_t* bytes) {
  base::ByteReader reader(rest);
  return reader.ReadFixed(bytes) && reader.empty();
}

bool DecodeSnapshotDone(std::string_view rest, absl::Status* status) {
  base::ByteReader reader(rest);
  uint8_t code = 0;
  if (!reader.ReadFixed(&code) || code > static_cast<uint8_t>(absl::StatusCode::kUnauthenticated)) return false;
  const std::string text = base::Escape(reader.rest(), kTextBytesMax);
  *status = absl::Status(static_cast<absl::StatusCode>(code), base::ToAbsl(text));
  return true;
}

}  // namespace bandb::cluster
