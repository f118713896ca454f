#include "storage/table/table_format.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

constexpr std::string_view kFooterMagic = "BanDBend";
constexpr size_t kFooterChecksumAt = 2 * sizeof(uint64_t);
static_assert(kFooterBytes == kFooterChecksumAt + sizeof(uint64_t) + kFooterMagic.size());

// The numbers among the properties, in the order of their names.
struct NumberProperty {
  std::string_view name;
  uint64_t TableProperties::*member;
  // Left out where it is 0.
  bool is_optional = false;
};
constexpr NumberProperty kNumberProperties[] = {
    {"creation_time_ms", &TableProperties::creation_time_ms},
    {"data_blocks", &TableProperties::data_blocks},
    {"data_bytes", &TableProperties::data_bytes},
    {"deletes", &TableProperties::deletes},
    {"earliest_expiry_ms", &TableProperties::earliest_expiry_ms},
    {"entries", &TableProperties::entries},
    {"largest_sequence", &TableProperties::largest_sequence},
    {"newest_ms", &TableProperties::newest_ms, true},
    {"range_tombstones", &TableProperties::range_tombstones},
    {"raw_key_bytes", &TableProperties::raw_key_bytes},
    {"raw_value_bytes", &TableProperties::raw_value_bytes},
    {"smallest_sequence", &TableProperties::smallest_sequence},
};
constexpr std::string_view kComparatorProperty = "comparator";  // sorts before all of them

// Written so that no sum can overflow.
bool EndsBy(const BlockHandle& handle, uint64_t end) {
  return end >= kBlockTrailerBytes && handle.offset <= end - kBlockTrailerBytes &&
         handle.payload_bytes <= end - kBlockTrailerBytes - handle.offset;
}

}  // namespace

void AppendHandle(std::string* to, const BlockHandle& handle) {
  base::PutVarint(to, handle.offset);
  base::PutVarint(to, handle.payload_bytes);
}

bool ParseHandle(std::string_view bytes, uint64_t file_bytes, BlockHandle* handle) {
  base::ByteReader reader(bytes);
  if (!reader.ReadVarint(&handle->offset) || !reader.ReadVarint(&handle->payload_bytes) || !reader.empty()) {
    return false;
  }
  return EndsBy(*handle, file_bytes);
}

void AppendExtent(std::string* to, const PartitionExtent& extent) {
  BANDB_ASSERT(extent.data_blocks > 0);
  BANDB_ASSERT(!extent.has_filter() || extent.filter.offset == extent.index.end());
  AppendHandle(to, extent.index);
  base::PutVarint(to, extent.data_blocks);
  base::PutVarint(to, extent.filter.payload_bytes);
}

bool ParseExtent(std::string_view bytes, const BlockBounds& bounds, PartitionExtent* extent) {
  base::ByteReader reader(bytes);
  *extent = {};
  if (!reader.ReadVarint(&extent->index.offset) || !reader.ReadVarint(&extent->index.payload_bytes) ||
      !reader.ReadVarint(&extent->data_blocks) || !reader.ReadVarint(&extent->filter.payload_bytes) ||
      !reader.empty()) {
    return false;
  }
  if (extent->data_blocks == 0 || extent->index.offset < bounds.begin || !EndsBy(extent->index, bounds.end)) {
    return false;
  }
  if (!extent->has_filter()) return true;
  extent->filter.offset = extent->index.end();
  return EndsBy(extent->filter, bounds.end);
}

std::string EncodeFooter(const BlockHandle& meta_index, uint64_t checksum_seed, uint64_t offset) {
  std::string bytes;
  base::PutFixed64(&bytes, meta_index.offset);
  base::PutFixed64(&bytes, meta_index.payload_bytes);
  base::PutFixed64(&bytes, base::BlockChecksum(checksum_seed, offset, bytes));
  bytes.append(kFooterMagic);
  BANDB_ASSERT(bytes.size() == kFooterBytes);
  return bytes;
}

absl::StatusOr<BlockHandle> DecodeFooter(std::string_view bytes, uint64_t checksum_seed, uint64_t offset,
                                         std::string_view path) {
  BANDB_ASSERT(bytes.size() == kFooterBytes);
  if (bytes.substr(kFooterBytes - kFooterMagic.size()) != kFooterMagic) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: no table footer: cut short, or not a table", path,
                       offset);
  }
  const auto checksum = base::LoadFixed<uint64_t>(bytes.data() + kFooterChecksumAt);
  if (checksum != base::BlockChecksum(checksum_seed, offset, bytes.substr(0, kFooterChecksumAt))) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the checksum of the table footer does not fit",
                       path, offset);
  }
  return BlockHandle{.offset = base::LoadFixed<uint64_t>(bytes.data()),
                     .payload_bytes = base::LoadFixed<uint64_t>(bytes.data() + sizeof(uint64_t))};
}

std::string EncodeNamedValues(const NamedValues& values) {
  std::string bytes;
  std::string_view last;
  for (const auto& [name, value] : values) {
    BANDB_ASSERT(bytes.empty() || last < name);
    base::PutLengthPrefixed(&bytes, name);
    base::PutLengthPrefixed(&bytes, value);
    last = name;
  }
  return bytes;
}

bool ParseNamedValues(std::string_view bytes, NamedValues* values) {
  values->clear();
  base::ByteReader reader(bytes);
  while (!reader.empty()) {
    std::string_view name, value;
    if (!reader.ReadLengthPrefixed(&name) || !reader.ReadLengthPrefixed(&value)) return false;
    if (!values->empty() && !(values->back().first < name)) return false;
    values->emplace_back(name, value);
  }
  return true;
}

const std::string* FindNamedValue(const NamedValues& values, std::string_view name) {
  for (const auto& [candidate, value] : values) {
    if (candidate == name) return &value;
  }
  return nullptr;
}

std::string EncodeProperties(const TableProperties& properties) {
  NamedValues values;
  values.emplace_back(kComparatorProperty, properties.comparator);
  for (const NumberProperty& property : kNumberProperties) {
    if (property.is_optional && properties.*property.member == 0) continue;
    std::string number;
    base::PutVarint(&number, properties.*property.member);
    values.emplace_back(property.name, std::move(number));
  }
  return EncodeNamedValues(values);
}

bool ParseProperties(std::string_view bytes, TableProperties* properties) {
  NamedValues values;
  if (!ParseNamedValues(bytes, &values)) return false;
  const std::string* comparator = FindNamedValue(values, kComparatorProperty);
  if (comparator == nullptr) return false;
  properties->comparator = *comparator;
  for (const NumberProperty& property : kNumberProperties) {
    const std::string* number = FindNamedValue(values, property.name);
    if (number == nullptr && property.is_optional) continue;
    if (number == nullptr) return false;
    base::ByteReader reader(*number);
    if (!reader.ReadVarint(&(properties->*property.member)) || !reader.empty()) return false;
  }
  return true;
}

}  // namespace bandb::storage
