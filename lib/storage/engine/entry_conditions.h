// What the conditions in an entry of a cluster's log are held against: the state before the entry,
// and what the writes of the entry that were done have made of it.
//
// All keys that the entry names are read before any of it is done, and ranges as they are asked
// for; so an owner that judges all writes before it does the first has nothing half done where a
// read fails. Of values only those bytes are kept that a condition compares, never more than the
// entry has itself: an entry may name keys of any size, and every member judges it at once.
//
// What the writes of the entry do to keys in ranges is kept only where ranges are asked for: which
// keys they have set or removed, and which ranges they have emptied before that. A range that was
// walked and found empty is kept as one of these; of one that was not, the key that was met there.
#ifndef BANDB_STORAGE_ENGINE_ENTRY_CONDITIONS_H_
#define BANDB_STORAGE_ENGINE_ENTRY_CONDITIONS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/iterator.h"
#include "bandb/pinned_value.h"
#include "kv/batch_format.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

// Thread safety: one thread at a time.
class EntryConditions {
 public:
  static constexpr size_t kFoundBytesMax = 1 << 20;

  // The state before the entry.
  struct Before {
    // Answers as Store::Get.
    std::function<absl::Status(std::string_view key, PinnedValue* value)> get;
    // Over the keys of [begin, limit); an empty limit is unbounded.
    std::function<std::unique_ptr<Iterator>(std::string_view begin, std::string_view limit)> walk;
  };

  explicit EntryConditions(Before before) : before_(std::move(before)) {}

  // Reads what these encoded conditions ask of keys. Errors: kDataLoss they are malformed; what
  // Before::get answers besides kNotFound.
  absl::Status Read(std::string_view conditions);
  // Whether all of them hold now. They were read. Errors: of Before::walk.
  // Lifetime: they are borrowed.
  absl::StatusOr<bool> Hold(std::string_view conditions);
  // These encoded operations, well-formed and with absolute times, are done at `now_ms`, the first
  // with this sequence. Lifetime: they are borrowed.
  void Done(std::string_view operations, uint64_t now_ms, Sequence first);

 private:
  struct Value {
    bool present = false;
    size_t size = 0;
    Sequence version = 0;
    // Its bytes: of `kept_`, or of the operations that were done. Nothing: no condition compares it
    // with a value of its size.
    std::optional<std::string_view> bytes{};
  };

  // Whether a condition that is of a key holds for this.
  static bool HoldsFor(const kv::Condition& condition, const Value& value);
  absl::Status ReadKey(const kv::Condition& condition);
  void RangeDone(std::string_view begin, std::string_view limit);
  void KeyDone(const kv::Operation& operation, uint64_t now_ms, Sequence sequence);
  absl::StatusOr<bool> IsEmpty(std::string_view begin, std::string_view limit);
  // A key of before that is there now.
  void NoteFound(std::string_view key);
  void ForgetFound(std::set<std::string, std::less<>>::iterator at);
  // Nothing of before is left in this range; an empty limit is unbounded.
  void NoteEmptied(std::string_view begin, std::string_view limit);

  const Before before_;
  std::map<std::string, Value, std::less<>> values_;
  std::deque<std::string> kept_;
  bool has_ranges_ = false;
  // Keys that are there now, and that are not, by what was done to them last.
  std::set<std::string_view> set_;
  std::set<std::string_view> removed_;
  // Keys of before that walks have met, and that are there still. No more of them than fit into
  // kFoundBytesMax.
  std::set<std::string, std::less<>> found_;
  size_t found_bytes_ = 0;
  // Ranges of which nothing of before is left; apart from each other. The limit of the last may be
  // empty, unbounded.
  std::map<std::string_view, std::string_view> emptied_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_ENTRY_CONDITIONS_H_
