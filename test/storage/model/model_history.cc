#include "storage/model/model_history.h"

#include <optional>
#include <utility>

namespace bandb::test {

void ModelHistory::Acknowledged(ModelWrite write, bool synced) {
  write.Apply(&state_);
  losable_.push_back(std::move(write));
  if (synced) AllDurable();
}

void ModelHistory::AllDurable() {
  for (const ModelWrite& write : losable_) write.Apply(&durable_);
  losable_.clear();
}

bool ModelHistory::Recover(const ModelEntries& found, uint64_t now_ms, bool power_lost) {
  const auto looks = [&](const ModelState& state) { return Visible(state, now_ms) == found; };
  if (!power_lost) {
    if (!looks(state_)) return false;
    AllDurable();
    return true;
  }
  ModelState prefix = durable_;
  std::optional<ModelState> last;
  if (looks(prefix)) last = prefix;
  for (const ModelWrite& write : losable_) {
    write.Apply(&prefix);
    if (looks(prefix)) last = prefix;
  }
  if (!last.has_value()) return false;
  durable_ = *last;
  state_ = *std::move(last);
  losable_.clear();
  return true;
}

}  // namespace bandb::test
