// Any bytes as the mark of a repository, and as the description of a backup: refused, or exactly
// what is written of what was read.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "backup/description.h"
#include "backup/repository_mark.h"
#include "base/assert.h"
#include "base/checksum.h"
#include "fmt/format.h"

namespace bandb::backup {

namespace {

// With a last line that fits, so that more than the checksum is tried.
std::string Sealed(std::string_view text) {
  const size_t checksum = text.rfind("checksum ");
  std::string sealed(text.substr(0, checksum));
  sealed += fmt::format("checksum {:016x}\n", base::Hash64(sealed));
  return sealed;
}

// Whether a path leads out of the folder that it is in.
bool LeadsOut(const std::string& path) {
  const std::string framed = "/" + path + "/";
  return path.starts_with('/') || framed.find("/../") != std::string::npos || framed.find("//") != std::string::npos;
}

void TryText(std::string_view text) {
  const auto is_refused = [](const absl::Status& status) {
    return absl::IsDataLoss(status) || absl::IsFailedPrecondition(status);
  };
  const absl::StatusOr<RepositoryMark> mark = DecodeMark(text, "REPOSITORY");
  BANDB_ASSERT(mark.ok() ? EncodeMark(*mark) == text : is_refused(mark.status()));
  const absl::StatusOr<Description> description = Decode(text, "1.backup");
  BANDB_ASSERT(description.ok() ? Encode(*description) == text : is_refused(description.status()));
  BANDB_ASSERT(!mark.ok() || !description.ok());
  if (!description.ok()) return;
  for (const FileEntry& file : description->files) BANDB_ASSERT(!LeadsOut(file.path));
}

}  // namespace

}  // namespace bandb::backup

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Memory of exactly that size, so that a sanitizer sees every read beyond it.
  const std::unique_ptr<char[]> copy(new char[size]);
  if (size != 0) std::memcpy(copy.get(), data, size);
  const std::string_view text(copy.get(), size);
  bandb::backup::TryText(text);
  bandb::backup::TryText(bandb::backup::Sealed(text));
  return 0;
}
