#include "changes/key_filter.h"

#include "base/checksum.h"
#include "base/status.h"

namespace bandb::changes {

namespace {

constexpr uint32_t kPartsMax = 65536;

}  // namespace

absl::StatusOr<KeyFilter> KeyFilter::Make(const ChangesOptions& options) {
  if (options.parts == 0 || options.parts > kPartsMax || options.part >= options.parts) {
    return base::Error(absl::StatusCode::kInvalidArgument, "part {} of {}: there are 1 to {} parts, counted from 0",
                       options.part, options.parts, kPartsMax);
  }
  KeyFilter filter;
  filter.lower_bound_ = options.lower_bound;
  filter.upper_bound_ = options.upper_bound;
  filter.part_ = options.part;
  filter.parts_ = options.parts;
  return filter;
}

bool KeyFilter::Wants(const kv::Operation& operation) const {
  const bool below = upper_bound_.empty() || operation.key < upper_bound_;
  if (operation.kind == kv::Kind::kRangeDelete) return below && operation.value > lower_bound_;
  if (!below || operation.key < lower_bound_) return false;
  return parts_ == 1 || base::Hash64(operation.key) % parts_ == part_;
}

}  // namespace bandb::changes
