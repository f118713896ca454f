#include "net/answer_limits.h"

#include <algorithm>

#include "base/assert.h"

namespace bandb::net {

namespace {
// A timer that comes later than this is late by much: the process was stopped, or the machine, or
// code of the host held the loop.
constexpr int64_t kLateNanos = 10 * 1000000;
}  // namespace

AnswerLimits::~AnswerLimits() {
  for (const auto& [key, request] : requests_) loop_->Cancel(request.timer);
}

AnswerLimits::Key AnswerLimits::KeyOf(const Ticket& ticket) {
  return {uint64_t{ticket.connection.index} << 32 | ticket.connection.generation, ticket.sequence};
}

void AnswerLimits::Add(const Ticket& ticket, uint32_t message_id, int64_t limit_nanos, std::function<bool()> cancel) {
  const Key key = KeyOf(ticket);
  const auto [request, added] = requests_.try_emplace(key);
  BANDB_ASSERT(added);
  request->second.overrun = {
      .ticket = ticket, .message_id = message_id, .limit_nanos = limit_nanos, .has_begun = true, .unanswered = true};
  request->second.cancel = std::move(cancel);
  StartTimer(request, limit_nanos);
}

void AnswerLimits::StartTimer(Requests::iterator request, int64_t nanos) {
  const int64_t now_nanos = loop_->NowNanos();
  request->second.due_nanos = nanos > INT64_MAX - now_nanos ? INT64_MAX : now_nanos + nanos;
  request->second.timer = loop_->After(nanos, [this, key = request->first] { ComeDue(key); });
}

void AnswerLimits::ComeDue(const Key& key) {
  const auto found = requests_.find(key);
  BANDB_ASSERT(found != requests_.end());
  Limited& request = found->second;
  request.timer = base::kNoTimer;
  const int64_t late_nanos = loop_->NowNanos() - request.due_nanos;
  if (late_nanos > kLateNanos && !std::exchange(request.forgiven, true)) {
    return StartTimer(found, std::min(late_nanos, request.overrun.limit_nanos));
  }
  // An answer may have been posted before.
  loop_->Post([this, key, alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) Pass(key);
  });
}

void AnswerLimits::Pass(const Key& key) {
  const auto found = requests_.find(key);
  if (found == requests_.end()) return;
  Limited& request = found->second;
  request.passed = true;
  request.overrun.has_begun = !request.on_worker || !request.cancel();
  if (!request.overrun.has_begun) ++cancelled_;
  request.overrun.is_lost = request.on_worker && request.overrun.has_begun;
  on_overrun_(request.overrun);
}

bool AnswerLimits::TakeBack(const Ticket& ticket) {
  if (requests_.empty()) return false;
  const auto request = requests_.find(KeyOf(ticket));
  if (request == requests_.end()) return false;
  request->second.on_worker = false;
  const bool was_lost = std::exchange(request->second.overrun.is_lost, false);
  if (!request->second.overrun.has_begun) --cancelled_;
  // Of what was not run no answer comes.
  if (!request->second.overrun.unanswered || !request->second.overrun.has_begun) Forget(request);
  return was_lost;
}

bool AnswerLimits::MayAnswer(const Ticket& ticket) {
  if (requests_.empty()) return true;
  const auto request = requests_.find(KeyOf(ticket));
  if (request == requests_.end()) return true;
  BANDB_ASSERT(request->second.overrun.unanswered);
  request->second.overrun.unanswered = false;
  const bool is_late = request->second.passed;
  if (!request->second.on_worker) Forget(request);
  return !is_late;
}

void AnswerLimits::Forget(Requests::iterator request) {
  loop_->Cancel(request->second.timer);
  requests_.erase(request);
}

}  // namespace bandb::net
