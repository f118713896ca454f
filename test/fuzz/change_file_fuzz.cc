// Any bytes as a file of a change index: refused with an error that says so, or read up to where
// they are whole; and what was read comes back when it is written again.
//
// The first byte says what is done to the rest: bit 0 gives it a valid header, bit 1 makes the
// checksums of its blocks fit. Without that no change of a byte gets past the first of them.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "cluster/change_file.h"
#include "support/crash_file_system.h"

namespace bandb::cluster {

namespace {

constexpr size_t kBlockHeadBytes = sizeof(uint32_t) + sizeof(uint64_t);

storage::FileHeader FixedHeader() {
  storage::FileHeader header{.type = storage::FileType::kChangeIndex, .database_id = {}, .file_id = {}};
  header.file_id.bytes[0] = 7;
  return header;
}

void MakeChecksumsFit(std::string* bytes, uint64_t seed) {
  for (size_t at = ChangeFile::kBegin; at + kBlockHeadBytes <= bytes->size();) {
    const size_t end = at + kBlockHeadBytes + base::LoadFixed<uint32_t>(bytes->data() + at);
    if (end > bytes->size()) return;
    const std::string_view payload = std::string_view(*bytes).substr(at + kBlockHeadBytes, end - at - kBlockHeadBytes);
    base::StoreFixed<uint64_t>(bytes->data() + at + sizeof(uint32_t), base::BlockChecksum(seed, at, payload));
    at = end;
  }
}

bool IsSame(const ChangeStretch& a, const ChangeStretch& b) {
  bool same = a.begins == b.begins && a.before == b.before && a.entries.size() == b.entries.size();
  for (size_t i = 0; same && i < a.entries.size(); ++i) {
    const EntryPlace& place = a.entries[i].place;
    const EntryPlace& other = b.entries[i].place;
    same = a.entries[i].end == b.entries[i].end && a.entries[i].undone == b.entries[i].undone &&
           place.segment == other.segment && place.offset == other.offset && place.record_bytes == other.record_bytes &&
           place.term == other.term;
  }
  return same;
}

// The blocks of a file that can be read.
std::vector<ChangeStretch> ReadBlocks(const std::string& bytes) {
  std::vector<ChangeStretch> blocks;
  test::CrashFileSystem files;
  auto made = files.Create("chg", base::AppendMode::kBuffered);
  BANDB_ASSERT(made.ok() && (*made)->Append(bytes).ok() && (*made)->Close().ok());
  const absl::StatusOr<ChangeFile> file = ChangeFile::Open(&files, "chg", {});
  if (!file.ok()) {
    BANDB_ASSERT(absl::IsDataLoss(file.status()) || absl::IsFailedPrecondition(file.status()));
    return blocks;
  }
  for (uint64_t offset = ChangeFile::kBegin; offset < file->size();) {
    const uint64_t begin = offset;
    ChangeStretch block;
    const absl::Status read = file->ReadBlock(&offset, &block);
    BANDB_ASSERT(read.ok() ? offset > begin && offset <= file->size() : absl::IsDataLoss(read) && offset == begin);
    if (!read.ok()) break;
    BANDB_ASSERT(!block.entries.empty());
    blocks.push_back(std::move(block));
  }
  return blocks;
}

void TryFile(std::string_view input) {
  if (input.empty()) return;
  const auto flags = static_cast<uint8_t>(input.front());
  const storage::FileHeader header = FixedHeader();
  std::string bytes(input.substr(1));
  if ((flags & 1) != 0) bytes.replace(0, storage::kFileHeaderBytes, storage::EncodeFileHeader(header));
  if ((flags & 2) != 0) MakeChecksumsFit(&bytes, header.checksum_seed());
  const std::vector<ChangeStretch> blocks = ReadBlocks(bytes);
  std::string written = storage::EncodeFileHeader(header);
  for (const ChangeStretch& block : blocks) {
    AppendChangeBlock(header.checksum_seed(), written.size(), block.begins, block.before, block.entries, &written);
  }
  // No encoding is shorter.
  BANDB_ASSERT(blocks.empty() || written.size() <= bytes.size());
  const std::vector<ChangeStretch> again = ReadBlocks(written);
  BANDB_ASSERT(again.size() == blocks.size());
  for (size_t i = 0; i < blocks.size(); ++i) BANDB_ASSERT(IsSame(blocks[i], again[i]));
}

}  // namespace

}  // namespace bandb::cluster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bandb::cluster::TryFile(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
