#include "cluster/forwarding.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

void EndUnknown(const std::vector<ClientWritePtr>& writes, std::string_view why) {
  for (const ClientWritePtr& write : writes) {
    write->Complete(base::Error(StatusCode::kUnknown, "the write was passed on, and its fate is not known: {}", why));
  }
}

}  // namespace

void Forwarding::OpenSession() {
  nonce_ = 0;
  while (nonce_ == 0) nonce_ = random_.Next() >> 1;
  state_ = State::kOpening;
  flights_[{nonce_, kOpenNodeNumber}].own = true;
}

bool Forwarding::NextKey(const ClientWrite& write, int64_t now_nanos, Key* key) {
  if (write.content().session != kNoSession) {
    *key = {write.content().session, write.content().number};
    return true;
  }
  // One that was refused is not asked for again at once: each time is an entry in the log.
  if (state_ == State::kNone && now_nanos - opened_nanos_ >= kRepeatNanos) {
    opened_nanos_ = now_nanos;
    OpenSession();
  }
  if (state_ != State::kOpen) return false;
  // None that is under way may fall out of the window.
  const auto lowest = flights_.lower_bound({session_, 0});
  const bool some = lowest != flights_.end() && lowest->first.first == session_;
  if (some && last_number_ + 1 >= lowest->first.second + kSessionWindow) return false;
  *key = {session_, last_number_ + 1};
  return true;
}

std::vector<Command> Forwarding::Take(Proposals* waiting, int64_t now_nanos, uint64_t bytes_max) {
  Key key;
  while (const ClientWrite* next = waiting->front()) {
    if (!next->withdrawn() && !NextKey(*next, now_nanos, &key)) break;
    ClientWritePtr write = waiting->TakeOne();
    if (!write->PassOn()) continue;
    if (key.first == session_) last_number_ = std::max(last_number_, key.second);
    const auto [at, is_new] = flights_.try_emplace(key);
    Flight& flight = at->second;
    flight.own = key.first == session_;
    // Its refusal would be taken for that of a copy of this one.
    if (is_new && !flight.own && MayHaveEnded(key)) flight.copies = 1;
    flight.writes.push_back(std::move(write));
    // A number that is sent again by its client may be one that was never sent.
    flight.due |= flight.copies == 0;
  }
  std::vector<Command> commands;
  uint64_t bytes = 0;
  for (auto& [at, flight] : flights_) {
    if (!flight.due && now_nanos < flight.again_nanos) continue;
    Command command{.session = at.first, .number = at.second};
    if (!flight.writes.empty()) {
      command.conditions = flight.writes.front()->content().conditions;
      command.operations = flight.writes.front()->content().operations;
      command.kind = flight.writes.front()->content().kind;
    }
    const uint64_t own_bytes = command.conditions.size() + command.operations.size();
    bytes += own_bytes;
    if (!commands.empty() && bytes > bytes_max) break;
    flight.due = false;
    flight.again_nanos = now_nanos + kRepeatNanos + static_cast<int64_t>(own_bytes >> 10) * kRepeatNanosPerKib;
    ++flight.copies;
    commands.push_back(command);
  }
  return commands;
}

void Forwarding::NotSent(const std::vector<Command>& commands, int64_t now_nanos) {
  for (const Command& command : commands) {
    const auto at = flights_.find({command.session, command.number});
    if (at != flights_.end()) at->second.again_nanos = std::min(at->second.again_nanos, now_nanos + kRepeatNanos);
  }
}

void Forwarding::RepeatAll() {
  for (auto& [key, flight] : flights_) flight.due = true;
}

std::vector<ClientWritePtr> Forwarding::Applied(const CommandResult& result) {
  // Whatever is sent under it from now on does nothing, whichever copy a refusal is of.
  if (result.session_gone) ForgetEnded(result.session);
  const auto at = flights_.find({result.session, result.number});
  if (at == flights_.end()) return {};
  Flight flight = std::move(at->second);
  flights_.erase(at);
  if (!result.session_gone) NoteEnded({result.session, result.number}, flight);
  if (flight.own && Opens(result.number)) {
    if (result.session == nonce_) Opened(result);
    return {};
  }
  if (result.session_lost) return SessionLost(result, std::move(flight));
  for (const ClientWritePtr& write : flight.writes) write->Complete(result.status, result.opened);
  return {};
}

// Each opening has a session of its own, so what was sent under the one before is not of this one.
void Forwarding::Opened(const CommandResult& result) {
  state_ = result.status.ok() ? State::kOpen : State::kNone;
  if (state_ == State::kNone) return;
  BANDB_ASSERT(result.opened != kNoSession && result.opened != session_);
  session_ = result.opened;
  last_number_ = 0;
}

// The session is gone: it was idle for too long, or nobody remembers this number.
std::vector<ClientWritePtr> Forwarding::SessionLost(const CommandResult& result, Flight flight) {
  // Others of it may be told when the next one is being opened, or is in use.
  if (flight.own && result.session == session_ && state_ == State::kOpen) {
    state_ = State::kNone;
    opened_nanos_ = -kRepeatNanos;
  }
  // An earlier copy may have been done while the session lived: the state has jumped over that.
  if (flight.skipped) {
    EndUnknown(flight.writes, base::Message(result.status));
    return {};
  }
  // Every result since it was sent was seen here, and this is the first one. A client's own session
  // has no other one that its writes could go on under.
  if (!flight.own) {
    for (const ClientWritePtr& write : flight.writes) write->Complete(result.status);
    return {};
  }
  std::erase_if(flight.writes, [](const ClientWritePtr& write) { return write->ended(); });
  return std::move(flight.writes);
}

void Forwarding::NoteEnded(const Key& key, const Flight& flight) {
  const auto [session, number] = key;
  // Nobody draws a nonce twice, nor does this node use a number again.
  if (flight.own || flight.copies == 0 || Opens(number)) return;
  auto at = ended_.find(session);
  if (at == ended_.end()) {
    // Nothing would be known of its other numbers.
    if (session <= forgotten_session_) return;
    at = ended_.emplace(session, Ended{}).first;
  }
  Ended& ended = at->second;
  ended_by_noted_.erase(ended.noted);
  ended.noted = ++notes_;
  ended_by_noted_.emplace(ended.noted, session);
  if (number == kCloseNumber) {
    ended.closed = true;
  } else if (number > ended.highest) {
    const uint64_t shift = number - ended.highest;
    ended.numbers = (shift < kSessionWindow ? ended.numbers << shift : 0) | 1;
    ended.highest = number;
  } else if (ended.highest - number < kSessionWindow) {
    ended.numbers |= uint64_t{1} << (ended.highest - number);
  }
  if (ended_.size() <= kSessionsMax) return;
  const uint64_t oldest = ended_by_noted_.begin()->second;
  forgotten_session_ = std::max(forgotten_session_, oldest);
  ForgetEnded(oldest);
}

void Forwarding::ForgetEnded(uint64_t session) {
  const auto at = ended_.find(session);
  if (at == ended_.end()) return;
  ended_by_noted_.erase(at->second.noted);
  ended_.erase(at);
}

bool Forwarding::MayHaveEnded(const Key& key) const {
  const auto [session, number] = key;
  if (Opens(number)) return false;
  const auto at = ended_.find(session);
  if (at == ended_.end()) return session <= forgotten_session_;
  const Ended& ended = at->second;
  if (number == kCloseNumber) return ended.closed;
  if (number > ended.highest) return false;
  const uint64_t below = ended.highest - number;
  return below >= kSessionWindow || (ended.numbers >> below & 1) != 0;
}

bool Forwarding::Refused(uint64_t session, uint64_t number, const absl::Status& status) {
  const auto at = flights_.find({session, number});
  if (at == flights_.end()) return false;
  // Another copy may have been taken; and who does not lead may know who does, soon.
  const bool final = status.code() == StatusCode::kResourceExhausted || status.code() == StatusCode::kInvalidArgument ||
                     status.code() == StatusCode::kUnimplemented;
  if (at->second.copies > 1 || !final) return false;
  const Flight flight = std::move(at->second);
  flights_.erase(at);
  for (const ClientWritePtr& write : flight.writes) write->Complete(status);
  const bool opened_none = flight.own && Opens(number) && session == nonce_;
  if (opened_none) state_ = State::kNone;
  return opened_none;
}

void Forwarding::Skipped() {
  for (auto& [key, flight] : flights_) flight.skipped = flight.due = true;
}

void Forwarding::Expire(int64_t now_nanos) {
  for (auto at = flights_.begin(); at != flights_.end();) {
    std::vector<ClientWritePtr>& writes = at->second.writes;
    const bool opens = writes.empty();
    for (const ClientWritePtr& write : writes) {
      if (write->content().deadline_nanos > now_nanos) continue;
      write->Complete(base::Error(StatusCode::kUnknown, "given up while the leader was being asked"));
    }
    std::erase_if(writes, [](const ClientWritePtr& write) { return write->ended(); });
    // Nobody wants to know any more.
    if (opens || !writes.empty()) {
      ++at;
      continue;
    }
    NoteEnded(at->first, at->second);
    at = flights_.erase(at);
  }
}

void Forwarding::GiveUp(std::string_view why) {
  state_ = State::kNone;
  for (const auto& [key, flight] : std::exchange(flights_, {})) EndUnknown(flight.writes, why);
}

}  // namespace bandb::cluster
