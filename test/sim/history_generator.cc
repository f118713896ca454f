#include "sim/history_generator.h"

#include <unordered_map>

namespace bandb::sim {
namespace {

// One client's operation under way: called, not yet in effect, in effect, returned.
struct Open {
  Operation op;
  bool active = false;
  bool effective = false;
};

class Generator {
 public:
  Generator(const HistoryShape& shape, uint64_t seed) : shape_(shape), random_(seed), open_(shape.clients) {}

  std::vector<Operation> Run() {
    while (started_ < shape_.operations || active_ > 0) {
      const uint32_t client = static_cast<uint32_t>(random_.Uniform(shape_.clients));
      Open& open = open_[client];
      if (!open.active) {
        if (started_ < shape_.operations) Start(client, &open);
      } else if (!open.effective) {
        if (open.op.outcome == Outcome::kDone || random_.OneIn(2)) TakeEffect(&open.op);
        open.effective = true;
      } else {
        open.op.ret = open.op.outcome == Outcome::kUnknown ? kNever : ++time_;
        history_.push_back(open.op);
        open.active = false;
        --active_;
      }
    }
    return std::move(history_);
  }

 private:
  void Start(uint32_t client, Open* open) {
    ++started_;
    ++active_;
    Operation op;
    op.client = client;
    op.key = random_.Uniform(shape_.keys);
    const uint64_t dice = random_.Uniform(10);
    op.kind = dice < 5 ? OpKind::kGet : (dice < 8 || shape_.registers_only ? OpKind::kPut : OpKind::kCas);
    if (dice == 9 && !shape_.registers_only) op.kind = OpKind::kDelete;
    op.outcome = random_.OneIn(shape_.unknown_one_in) ? Outcome::kUnknown : Outcome::kDone;
    if (op.kind == OpKind::kPut || op.kind == OpKind::kCas) op.value = ++last_value_;
    if (op.kind == OpKind::kCas) op.expected = state_[op.key];
    op.call = ++time_;
    *open = {op, true, false};
  }

  void TakeEffect(Operation* op) {
    uint64_t& value = state_[op->key];
    switch (op->kind) {
      case OpKind::kGet:
        op->found = value;
        break;
      case OpKind::kPut:
        value = op->value;
        break;
      case OpKind::kDelete:
        value = kAbsent;
        break;
      case OpKind::kCas:
        op->found = value;
        if (op->swapped()) value = op->value;
        break;
    }
  }

  const HistoryShape shape_;
  base::Random random_;
  std::vector<Open> open_;
  std::vector<Operation> history_;
  std::unordered_map<uint64_t, uint64_t> state_;
  uint64_t time_ = 0;
  uint64_t last_value_ = 0;
  uint32_t started_ = 0;
  uint32_t active_ = 0;
};

}  // namespace

std::vector<Operation> GenerateHistory(const HistoryShape& shape, uint64_t seed) {
  return Generator(shape, seed).Run();
}

bool PlantStaleRead(std::vector<Operation>* history, base::Random* random) {
  // A read r, a write w that was over before another write x of the same key began, and x over
  // before r began.
  for (int attempt = 0; attempt < 200; ++attempt) {
    Operation& read = (*history)[random->Uniform(history->size())];
    if (read.kind != OpKind::kGet || read.outcome != Outcome::kDone) continue;
    const Operation& x = (*history)[random->Uniform(history->size())];
    const Operation& w = (*history)[random->Uniform(history->size())];
    const auto certain_put = [&](const Operation& op) {
      return op.key == read.key && op.kind == OpKind::kPut && op.outcome == Outcome::kDone;
    };
    if (!certain_put(x) || !certain_put(w)) continue;
    if (w.ret < x.call && x.ret < read.call) {
      read.found = w.value;
      return true;
    }
  }
  return false;
}

}  // namespace bandb::sim
