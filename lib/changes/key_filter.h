// Which operations a reader of the change feed wants: a range of keys, and a part of them by hash.
#ifndef BANDB_CHANGES_KEY_FILTER_H_
#define BANDB_CHANGES_KEY_FILTER_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "bandb/changes.h"
#include "kv/batch_format.h"

namespace bandb::changes {

class KeyFilter {
 public:
  // Errors: kInvalidArgument a part that there is not.
  static absl::StatusOr<KeyFilter> Make(const ChangesOptions& options);

  // A range delete is wanted if it meets the range, and by every part.
  bool Wants(const kv::Operation& operation) const;

 private:
  KeyFilter() = default;

  std::string lower_bound_;
  std::string upper_bound_;
  uint32_t part_ = 0;
  uint32_t parts_ = 1;
};

}  // namespace bandb::changes

#endif  // BANDB_CHANGES_KEY_FILTER_H_
