// What the conditions in an entry of a cluster's log are held against: the state before the entry,
// and what the writes of the entry that were done have made of it.
//
// All keys that the entry names are read before any of it is done, so that a read that fails leaves
// nothing half done. From there on a write is judged without a look at memtables or disk.
#ifndef BANDB_STORAGE_ENGINE_ENTRY_CONDITIONS_H_
#define BANDB_STORAGE_ENGINE_ENTRY_CONDITIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "bandb/pinned_value.h"

namespace bandb::storage {

// Thread safety: one thread at a time.
class EntryConditions {
 public:
  // Answers as Store::Get.
  using Reader = std::function<absl::Status(std::string_view key, PinnedValue* value)>;

  // Reads what these encoded conditions ask for. Errors: kDataLoss they are malformed; what `read`
  // answers besides kNotFound.
  absl::Status Read(std::string_view conditions, const Reader& read);
  // Whether all of them hold now. They were read.
  bool Hold(std::string_view conditions) const;
  // These encoded operations, well-formed and with absolute times, are done at `now_ms`.
  void Done(std::string_view operations, uint64_t now_ms);

 private:
  // By key; nothing for one that is absent.
  std::map<std::string, std::optional<std::string>, std::less<>> values_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_ENTRY_CONDITIONS_H_
