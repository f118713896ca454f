// Any bytes as a table. Checksums would stop nearly every change at the door, so the target first
// makes them right wherever it finds a block, and then reads the table as the engine does.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/checksum.h"
#include "storage/file/file_header.h"
#include "storage/table/block_cursor.h"
#include "storage/table/table_cursor.h"
#include "storage/table/table_fixture.h"
#include "storage/table/table_format.h"

namespace bandb::storage {

namespace {

// Gives the bytes a header, and right checksums to the footer and all blocks that can be reached
// from it.
class Repair {
 public:
  explicit Repair(std::string* content) : content_(*content), header_(TestHeader()) {}

  void Run() {
    if (content_.size() < kFileHeaderBytes + kFooterBytes) return;
    content_.replace(0, kFileHeaderBytes, EncodeFileHeader(header_));
    const uint64_t footer_at = content_.size() - kFooterBytes;
    const BlockHandle meta_index{.offset = base::LoadFixed<uint64_t>(content_.data() + footer_at),
                                 .payload_bytes = base::LoadFixed<uint64_t>(content_.data() + footer_at + 8)};
    content_.replace(footer_at, kFooterBytes, EncodeFooter(meta_index, header_.checksum_seed(), footer_at));
    std::string handle;
    AppendHandle(&handle, meta_index);
    const std::string_view payload = Block(handle);
    NamedValues values;
    if (payload.empty() || !ParseNamedValues(payload, &values)) return;
    for (const auto& [name, value] : values) {
      const std::string_view block = Block(value);
      if (name == kIndexName) RepairDataBlocks(block);
      if (name == kPartitionsName) RepairPartitions(block);
    }
  }

 private:
  // Makes the checksum of one block right; its payload, empty if the handle leads nowhere.
  std::string_view Block(std::string_view encoded_handle) {
    BlockHandle handle;
    if (!ParseHandle(encoded_handle, content_.size() - kFooterBytes, &handle)) return {};
    const std::string_view checked = std::string_view(content_).substr(handle.offset, handle.payload_bytes + 1);
    base::StoreFixed<uint64_t>(content_.data() + handle.end() - sizeof(uint64_t),
                               base::BlockChecksum(header_.checksum_seed(), handle.offset, checked));
    return checked.substr(0, handle.payload_bytes);
  }
  // Calls `repair` with the value of each entry of a block, of a copy: with handles that overlap,
  // repairing one block may change another.
  template <typename RepairValue>
  void ForEachValue(std::string_view entries, const RepairValue& repair) {
    std::string copy(entries);
    copy.append(kBlockSlackBytes, '\0');
    const auto block =
        storage::Block::Parse(std::string_view(copy).substr(0, entries.size()), storage::Block::Trailers::kSeparators);
    if (!block) return;
    BlockCursor cursor;
    cursor.Reset(*block);
    for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) repair(cursor.value());
  }
  void RepairDataBlocks(std::string_view index) {
    ForEachValue(index, [this](std::string_view handle) { static_cast<void>(Block(handle)); });
  }
  void RepairPartitions(std::string_view partitions) {
    ForEachValue(partitions, [this](std::string_view value) {
      PartitionExtent extent;
      if (!ParseExtent(value, {0, content_.size() - kFooterBytes}, &extent)) return;
      std::string handle;
      AppendHandle(&handle, extent.index);
      RepairDataBlocks(Block(handle));
      handle.clear();
      AppendHandle(&handle, extent.filter);
      if (extent.has_filter()) static_cast<void>(Block(handle));
    });
  }

  std::string& content_;
  const FileHeader header_;
};

void ReadAll(const std::string& content) {
  BlockCache cache(64 << 10, 1);
  auto table = OpenTable(content, &cache);
  if (!table.ok()) return;
  const auto cursor = NewTableCursor(**table);
  GetResult result;
  std::string target = SeekKey("key");
  for (cursor->SeekToFirst(); cursor->Valid(); cursor->Next()) {
    static_cast<void>((*table)->Get(cursor->key(), false, &result));
    target = cursor->key();
  }
  for (cursor->SeekToLast(); cursor->Valid(); cursor->Prev()) target = cursor->key();
  cursor->Seek(target);
  cursor->SeekForPrev(target);
  if (cursor->Valid()) cursor->Prev();
  const FragmentedTombstones& tombstones = (*table)->tombstones();
  for (size_t i = 0; i < tombstones.fragment_count(); ++i) static_cast<void>(tombstones.SequenceAt(i, 1));
  static_cast<void>((*table)->ApproximateOffset(target));
  static_cast<void>((*table)->VerifyChecksums());
}

}  // namespace

}  // namespace bandb::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string content(reinterpret_cast<const char*>(data), size);
  bandb::storage::ReadAll(content);
  bandb::storage::Repair(&content).Run();
  bandb::storage::ReadAll(content);
  return 0;
}
