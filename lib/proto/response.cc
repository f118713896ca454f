#include "proto/response.h"

#include "base/status.h"

namespace bandb::proto {

namespace {

constexpr char kOkFrame[kOkFrameBytes] = {1, 0, 0, 0, static_cast<char>(MessageId::kOk), 0, 0, 0, kStatusOk};

bool ReadSized(base::ByteReader* reader, std::string_view* bytes) {
  uint32_t length = 0;
  return reader->ReadFixed(&length) && reader->ReadBytes(length, bytes);
}

void PutSized(std::string* to, std::string_view bytes) {
  base::PutFixed32(to, static_cast<uint32_t>(bytes.size()));
  to->append(bytes);
}

}  // namespace

std::string_view OkFrame() { return std::string_view(kOkFrame, sizeof(kOkFrame)); }

void StoreOkHead(char* to, size_t body_bytes) {
  StoreFrameHeader(to, static_cast<uint32_t>(MessageId::kOk), 1 + body_bytes);
  to[kFrameHeaderBytes] = kStatusOk;
}

void StoreValueHead(char* to, size_t value_bytes) {
  StoreOkHead(to, sizeof(uint32_t) + value_bytes);
  base::StoreFixed<uint32_t>(to + kOkFrameBytes, static_cast<uint32_t>(value_bytes));
}

void AppendError(std::string* to, uint16_t code, std::string_view message) {
  message = message.substr(0, kErrorMessageBytesMax);
  base::PutFixed32(to, static_cast<uint32_t>(1 + sizeof(uint16_t) + sizeof(uint32_t) + message.size()));
  base::PutFixed32(to, static_cast<uint32_t>(MessageId::kError));
  to->push_back(kStatusError);
  base::PutFixed16(to, code);
  PutSized(to, message);
}

void AppendHelloBody(std::string* to, const HelloReply& hello) {
  base::PutFixed16(to, hello.version);
  base::PutFixed64(to, hello.features);
  base::PutFixed32(to, hello.frame_bytes_max);
  base::PutFixed32(to, hello.key_bytes_max);
  base::PutFixed32(to, hello.value_bytes_max);
  base::PutFixed32(to, hello.in_flight_max);
  PutSized(to, hello.name);
}

void AppendSnapshotBody(std::string* to, const SnapshotReply& snapshot) {
  base::PutFixed64(to, snapshot.id);
  base::PutFixed32(to, snapshot.lease_ms);
  PutSized(to, snapshot.token);
}

void AppendScanEntry(std::string* to, const ScanEntry& entry, bool expiries) {
  base::PutFixed32(to, static_cast<uint32_t>(entry.key.size()));
  base::PutFixed32(to, static_cast<uint32_t>(entry.value.size()));
  if (expiries) base::PutFixed64(to, entry.expires_ms);
  to->append(entry.key).append(entry.value);
}

absl::Status Reply::ToStatus() const {
  if (ok) return absl::OkStatus();
  return absl::Status(StatusCodeFor(code), base::ToAbsl(message));
}

bool DecodeReply(const Frame& frame, Reply* reply) {
  if (frame.payload.empty()) return false;
  const std::string_view rest = frame.payload.substr(1);
  *reply = Reply();
  if (frame.message_id == static_cast<uint32_t>(MessageId::kOk) && frame.payload[0] == kStatusOk) {
    reply->ok = true;
    reply->body = rest;
    return true;
  }
  if (frame.message_id != static_cast<uint32_t>(MessageId::kError) || frame.payload[0] != kStatusError) return false;
  reply->code = ToCode(absl::StatusCode::kUnknown);
  if (rest.empty()) return true;
  base::ByteReader reader(rest);
  return reader.ReadFixed(&reply->code) && ReadSized(&reader, &reply->message) && reader.empty();
}

bool DecodeValueBody(std::string_view body, std::string_view* value) {
  base::ByteReader reader(body);
  return ReadSized(&reader, value) && reader.empty();
}

bool DecodeHelloBody(std::string_view body, HelloReply* hello) {
  base::ByteReader reader(body);
  return reader.ReadFixed(&hello->version) && reader.ReadFixed(&hello->features) &&
         reader.ReadFixed(&hello->frame_bytes_max) && reader.ReadFixed(&hello->key_bytes_max) &&
         reader.ReadFixed(&hello->value_bytes_max) && reader.ReadFixed(&hello->in_flight_max) &&
         ReadSized(&reader, &hello->name);
}

bool DecodeSnapshotBody(std::string_view body, SnapshotReply* snapshot) {
  base::ByteReader reader(body);
  return reader.ReadFixed(&snapshot->id) && reader.ReadFixed(&snapshot->lease_ms) &&
         ReadSized(&reader, &snapshot->token) && reader.empty();
}

bool DecodeTextBody(std::string_view body, std::string_view* text) { return DecodeValueBody(body, text); }

ScanBodyReader::ScanBodyReader(std::string_view body, bool expiries) : reader_(body), expiries_(expiries) {
  if (reader_.ReadFixed(&left_) && left_ == 0) ReadEnd();
}

void ScanBodyReader::ReadEnd() { complete_ = ReadSized(&reader_, &next_cursor_) && reader_.empty(); }

bool ScanBodyReader::Next(ScanEntry* entry) {
  if (left_ == 0) return false;
  uint32_t key_bytes = 0, value_bytes = 0;
  if (!reader_.ReadFixed(&key_bytes) || !reader_.ReadFixed(&value_bytes) ||
      (expiries_ && !reader_.ReadFixed(&entry->expires_ms)) || !reader_.ReadBytes(key_bytes, &entry->key) ||
      !reader_.ReadBytes(value_bytes, &entry->value)) {
    left_ = 0;
    return false;
  }
  if (--left_ == 0) ReadEnd();
  return true;
}

}  // namespace bandb::proto
