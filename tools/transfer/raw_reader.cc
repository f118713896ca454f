#include "transfer/raw_reader.h"

#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"
#include "kv/limits.h"
#include "transfer/entry_writer.h"

namespace bandb::transfer {

namespace {

constexpr size_t kChecksumBytes = sizeof(uint64_t);

}  // namespace

absl::Status RawReader::Damaged(std::string_view what) const {
  return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: {}", name_, window_.offset(), what);
}

absl::StatusOr<bool> RawReader::Have(size_t count) {
  while (window_.bytes().size() < count) {
    const absl::StatusOr<bool> more = window_.More();
    if (!more.ok()) return base::Annotate(more.status(), name_);
    if (!*more) return false;
  }
  return true;
}

bool RawReader::Verifies(size_t bytes) const {
  const std::string_view record = window_.bytes();
  return base::BlockChecksum(0, window_.offset() - begin_, record.substr(0, bytes)) ==
         base::LoadFixed<uint64_t>(record.data() + bytes);
}

absl::Status RawReader::TakeHead() {
  BANDB_ASSIGN_OR_RETURN(const bool whole, Have(kRawHeadBytes));
  const std::string_view head = window_.bytes();
  if (!whole || !head.starts_with(kRawMagic)) {
    return base::Error(absl::StatusCode::kInvalidArgument, "{}: offset {}: not a raw export", name_, window_.offset());
  }
  const auto version = base::LoadFixed<uint32_t>(head.data() + kRawMagic.size());
  if (version != kRawVersion) {
    return base::Error(absl::StatusCode::kInvalidArgument, "{}: a raw export of version {}; this program knows {}",
                       name_, version, kRawVersion);
  }
  begin_ = window_.offset();
  window_.Consume(kRawHeadBytes);
  entries_ = 0;
  inside_ = true;
  return absl::OkStatus();
}

absl::Status RawReader::TakeEntry(Record* record) {
  BANDB_ASSIGN_OR_RETURN(const bool has_head, Have(kRawEntryHeadBytes));
  if (!has_head) return Damaged("the file ends in the middle of an entry");
  base::ByteReader head(window_.bytes().substr(1));
  uint32_t key_bytes = 0;
  uint32_t value_bytes = 0;
  head.ReadFixed(&key_bytes);
  head.ReadFixed(&value_bytes);
  head.ReadFixed(&record->expires_ms);
  if (key_bytes > kv::kKeyBytesMax || value_bytes > kv::kValueBytesMax) return Damaged("damaged lengths");
  const size_t bytes = kRawEntryHeadBytes + key_bytes + value_bytes;
  BANDB_ASSIGN_OR_RETURN(const bool whole, Have(bytes + kChecksumBytes));
  if (!whole) return Damaged("the file ends in the middle of an entry");
  if (!Verifies(bytes)) return Damaged("a checksum does not match");
  const std::string_view content = window_.bytes().substr(kRawEntryHeadBytes);
  record->key = content.substr(0, key_bytes);
  record->value = content.substr(key_bytes, value_bytes);
  record->number = ++number_;
  ++entries_;
  window_.Consume(bytes + kChecksumBytes);
  return absl::OkStatus();
}

absl::Status RawReader::TakeEnd() {
  BANDB_ASSIGN_OR_RETURN(const bool whole, Have(kRawEndBytes + kChecksumBytes));
  if (!whole) return Damaged("the file ends in the middle of its last record");
  if (!Verifies(kRawEndBytes)) return Damaged("a checksum does not match");
  const auto entries = base::LoadFixed<uint64_t>(window_.bytes().data() + 1);
  if (entries != entries_) return Damaged("entries are missing");
  window_.Consume(kRawEndBytes + kChecksumBytes);
  inside_ = false;
  return absl::OkStatus();
}

absl::StatusOr<bool> RawReader::Next(Record* record) {
  *record = Record();
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool more, Have(1));
    if (!inside_) {
      if (!more && window_.offset() > 0) return false;
      BANDB_RETURN_IF_ERROR(TakeHead());
      continue;
    }
    if (!more) return Damaged("the file lacks its end");
    const char type = window_.bytes()[0];
    if (type == 1) {
      BANDB_RETURN_IF_ERROR(TakeEntry(record));
      return true;
    }
    if (type != 0) return Damaged("neither an entry nor the end");
    BANDB_RETURN_IF_ERROR(TakeEnd());
  }
}

}  // namespace bandb::transfer
