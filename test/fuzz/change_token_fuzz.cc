// Any bytes as a token of the change feed, and as an entry of a cursor: refused, or the same when
// they are written and read again.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "changes/change_token.h"
#include "changes/cursor_table.h"

namespace bandb::changes {

namespace {

void TryToken(std::string_view bytes) {
  const absl::StatusOr<ChangePlace> place = DecodeToken(bytes);
  if (!place.ok()) {
    BANDB_ASSERT(absl::IsInvalidArgument(place.status()) || absl::IsFailedPrecondition(place.status()));
    return;
  }
  const std::string token = EncodeToken(*place);
  BANDB_ASSERT(token.size() <= bytes.size());
  const absl::StatusOr<ChangePlace> again = DecodeToken(token);
  BANDB_ASSERT(again.ok() && *again == *place);
}

void TryCursor(std::string_view value) {
  CursorTable table;
  if (!table.Load("cursor", value).ok()) return;
  BANDB_ASSERT(table.Find("") != nullptr);
  table.Move("", {.sequence = UINT64_MAX}, 1, false);
  std::vector<CursorTable::Underway> taken;
  table.TakeMoved(&taken, 0);
  BANDB_ASSERT(table.Floor(0) <= table.Find("")->place.sequence);
}

}  // namespace

}  // namespace bandb::changes

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bandb;  // NOLINT(google-build-using-namespace)
  // Memory of exactly that size, so that a sanitizer sees every read beyond it.
  const std::unique_ptr<char[]> copy(new char[size]);
  if (size != 0) std::memcpy(copy.get(), data, size);
  const std::string_view bytes(copy.get(), size);
  changes::TryToken(bytes);
  changes::TryCursor(bytes);
  // With a check that fits, so that more than the check is reached.
  std::string checked(bytes);
  base::PutFixed32(&checked, static_cast<uint32_t>(base::Hash64(bytes)));
  changes::TryToken(checked);
  std::string cursor("\x01\x05\x07", 3);
  base::PutLengthPrefixed(&cursor, checked);
  changes::TryCursor(cursor);
  return 0;
}
