#include "cluster/log_fetch.h"

#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "cluster/segment_format.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

// What lies between two entries is read along if it is no more than this.
constexpr uint64_t kGapBytesMax = 4096;
// What is moved is at one of two places, but perhaps not at the one that was just looked at.
constexpr int kMoveTries = 4;

absl::StatusOr<std::string> ReadRange(const base::RandomAccessFile& file, uint64_t begin, uint64_t end) {
  std::string bytes(end - begin, '\0');
  BANDB_ASSIGN_OR_RETURN(const size_t got, file.Read(begin, absl::MakeSpan(bytes)));
  bytes.resize(got);
  return bytes;
}

// One segment, open.
class FetchedSegment {
 public:
  static absl::StatusOr<FetchedSegment> Open(base::FileSystem* files, const std::string& path) {
    FetchedSegment segment;
    segment.path_ = path;
    BANDB_ASSIGN_OR_RETURN(segment.file_, files->Open(segment.path_));
    BANDB_ASSIGN_OR_RETURN(const std::string sector, ReadRange(*segment.file_, 0, kSectorBytes));
    BANDB_ASSIGN_OR_RETURN(const storage::FileHeader header,
                           storage::DecodeFileHeader(sector, storage::FileType::kSegment, segment.path_));
    segment.checksum_seed_ = header.checksum_seed();
    return segment;
  }

  // The entries of places[begin, end), which lie near each other.
  absl::Status Read(const std::vector<EntryPlace>& places, size_t begin, size_t end, raft::Index index,
                    raft::Entries* entries) const {
    const uint64_t first_sector = places[begin].offset / kSectorDataBytes;
    const uint64_t stream_end = places[end - 1].offset + places[end - 1].record_bytes;
    BANDB_ASSIGN_OR_RETURN(const std::string bytes,
                           ReadRange(*file_, FileOffset(first_sector * kSectorDataBytes), FileOffset(stream_end)));
    const SectorData data = StripSectors(checksum_seed_, first_sector, bytes);
    for (size_t i = begin; i < end; ++i, ++index) {
      const EntryPlace& place = places[i];
      const uint64_t at = place.offset - first_sector * kSectorDataBytes;
      storage::ParsedRecord record;
      raft::Entry entry;
      if (at > data.stream.size() ||
          !storage::ParseRecordAt(std::string_view(data.stream).substr(at), place.offset, checksum_seed_, &record) ||
          !DecodeEntry(record, &entry) || entry.index != index || entry.term != place.term) {
        return base::Error(StatusCode::kDataLoss, "{}: offset {}: entry {} of term {} is damaged", path_,
                           FileOffset(place.offset), index, place.term);
      }
      entries->push_back(std::move(entry));
    }
    return absl::OkStatus();
  }

 private:
  std::string path_;
  std::unique_ptr<base::RandomAccessFile> file_;
  uint64_t checksum_seed_ = 0;
};

// The end of the places from `begin` on that are read at once.
size_t EndOfRun(const std::vector<EntryPlace>& places, size_t begin) {
  size_t end = begin + 1;
  while (end < places.size() && places[end].segment == places[begin].segment) {
    const uint64_t previous_end = places[end - 1].offset + places[end - 1].record_bytes;
    if (places[end].offset < previous_end || places[end].offset - previous_end > kGapBytesMax) break;
    ++end;
  }
  return end;
}

}  // namespace

absl::StatusOr<raft::Entries> FetchEntries(const LogDirectory& directory, raft::Index first,
                                           const std::vector<EntryPlace>& places) {
  raft::Entries entries;
  absl::Status read;
  while (read.ok() && entries.size() < places.size()) {
    const size_t begin = entries.size();
    const size_t end = EndOfRun(places, begin);
    const absl::StatusOr<FetchedSegment> segment =
        FetchedSegment::Open(directory.files, directory.PathOf(places[begin].segment));
    read = segment.ok() ? segment->Read(places, begin, end, first + begin, &entries) : segment.status();
    // Which of them the system refuses to read it does not say.
    if (!segment.ok() || read.ok() || entries.size() > begin) continue;
    read = absl::OkStatus();
    for (size_t i = begin; i < end && read.ok(); ++i) read = segment->Read(places, i, i + 1, first + i, &entries);
  }
  if (entries.empty() && !read.ok()) return read;
  return entries;
}

absl::StatusOr<raft::Entries> FetchEntriesFrom(base::FileSystem* files, const SegmentPath& path_of, raft::Index first,
                                               const std::vector<EntryPlace>& places) {
  const auto open_segment = [&](uint64_t segment) {
    absl::StatusOr<FetchedSegment> opened = FetchedSegment::Open(files, path_of(segment, false));
    for (int tries = 1; tries < kMoveTries && opened.status().code() == StatusCode::kNotFound; ++tries) {
      opened = FetchedSegment::Open(files, path_of(segment, tries % 2 != 0));
    }
    return opened;
  };
  raft::Entries entries;
  for (size_t begin = 0; begin < places.size();) {
    const size_t end = EndOfRun(places, begin);
    BANDB_ASSIGN_OR_RETURN(const FetchedSegment segment, open_segment(places[begin].segment));
    BANDB_RETURN_IF_ERROR(segment.Read(places, begin, end, first + begin, &entries));
    begin = end;
  }
  return entries;
}

}  // namespace bandb::cluster
