#include "cluster/sessions.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"
#include "kv/batch_format.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

constexpr std::string_view kSessionPrefix = "session";
constexpr size_t kSessionKeyBytes = kSessionPrefix.size() + sizeof(uint64_t);
constexpr uint8_t kValueVersion = 2;
constexpr size_t kValueBytesMax = 2 + 2 * base::kVarint64BytesMax + 3 * sizeof(uint64_t);
// Kind and two lengths, each of one byte.
constexpr size_t kSessionOperationBytesMax = 3 + kSessionKeyBytes + kValueBytesMax;
static_assert(kValueBytesMax < 128);

// Of expired sessions, how many one entry removes, so that it does not take long when time has
// jumped.
constexpr int kEvictedByEntryMax = 16;

absl::Status AbortedStatus() { return base::Error(StatusCode::kAborted, "a condition of the batch does not hold"); }

absl::Status UnknownStatus() {
  return base::Error(StatusCode::kFailedPrecondition, "the session is unknown or expired");
}

}  // namespace

// ---- What is stored. ----

std::string Sessions::KeyOf(uint64_t id) {
  std::string key(kSessionPrefix);
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(id >> shift));
  BANDB_ASSERT(key.size() == kSessionKeyBytes);
  return key;
}

std::string Sessions::ValueOf(const Session& session) {
  std::string value;
  base::PutFixed8(&value, kValueVersion);
  base::PutFixed8(&value, static_cast<uint8_t>(session.kind));
  base::PutFixed64(&value, session.nonce);
  base::PutVarint(&value, session.last_ms);
  base::PutVarint(&value, session.highest);
  base::PutFixed64(&value, session.seen);
  base::PutFixed64(&value, session.aborted);
  BANDB_ASSERT(value.size() <= kValueBytesMax);
  return value;
}

bool Sessions::Decode(std::string_view value, Session* session) {
  base::ByteReader reader(value);
  uint8_t version = 0;
  uint8_t kind = 0;
  if (!reader.ReadFixed(&version) || version != kValueVersion || !reader.ReadFixed(&kind) || kind >= kKinds) {
    return false;
  }
  session->kind = static_cast<Kind>(kind);
  return reader.ReadFixed(&session->nonce) && session->nonce != 0 && reader.ReadVarint(&session->last_ms) &&
         reader.ReadVarint(&session->highest) && reader.ReadFixed(&session->seen) &&
         reader.ReadFixed(&session->aborted) && (session->aborted & ~session->seen) == 0 && reader.empty();
}

absl::StatusOr<Sessions> Sessions::Load(Iterator* system) {
  Sessions sessions;
  for (system->Seek(kSessionPrefix);
       system->Valid() && system->key().substr(0, kSessionPrefix.size()) == kSessionPrefix; system->Next()) {
    const std::string_view key = system->key();
    uint64_t id = 0;
    for (const char c : key.substr(kSessionPrefix.size())) id = id << 8 | static_cast<uint8_t>(c);
    Session session;
    if (key.size() != kSessionKeyBytes || id == kNoSession || !Decode(system->value(), &session) ||
        sessions.TimesOf(session.kind).size() == MaxOf(session.kind) || sessions.by_nonce_.count(session.nonce) != 0) {
      return base::Error(StatusCode::kDataLoss, "the sessions in space 0 are malformed");
    }
    sessions.Put(id, session);
  }
  BANDB_RETURN_IF_ERROR(system->status());
  return sessions;
}

// ---- The table. ----

void Sessions::Put(uint64_t id, const std::optional<Session>& session) {
  const auto at = by_id_.find(id);
  if (at != by_id_.end()) TimesOf(at->second.kind).erase({at->second.last_ms, id});
  if (session.has_value()) {
    if (at == by_id_.end()) {
      const bool is_new = by_nonce_.emplace(session->nonce, id).second;
      BANDB_ASSERT(is_new);
    } else {
      BANDB_ASSERT(at->second.nonce == session->nonce);
      BANDB_ASSERT(at->second.kind == session->kind);
    }
    by_id_[id] = *session;
    TimesOf(session->kind).insert({session->last_ms, id});
  } else if (at != by_id_.end()) {
    by_nonce_.erase(at->second.nonce);
    by_id_.erase(at);
  }
}

void Sessions::Set(uint64_t id, const std::optional<Session>& session) {
  const auto at = by_id_.find(id);
  // Only the first time in an entry.
  before_.try_emplace(id, at == by_id_.end() ? std::nullopt : std::make_optional(at->second));
  Put(id, session);
}

Sessions::Session* Sessions::Touch(uint64_t id) {
  const auto at = by_id_.find(id);
  if (at == by_id_.end()) return nullptr;
  if (IdleMs(at->second.last_ms) >= kSessionIdleMs) {
    Set(id, std::nullopt);
    return nullptr;
  }
  Session session = at->second;
  session.last_ms = now_ms_;
  Set(id, session);
  return &by_id_.find(id)->second;
}

void Sessions::EvictExpired() {
  if (std::exchange(evicted_, true)) return;
  int evicted = 0;
  for (const ByTime& times : by_time_) {
    for (; evicted < kEvictedByEntryMax && !times.empty(); ++evicted) {
      const auto [last_ms, oldest] = *times.begin();
      if (IdleMs(last_ms) < kSessionIdleMs) break;
      Set(oldest, std::nullopt);
    }
  }
}

// A cluster that begins with the data of another one finds its sessions, too. The log begins at its
// beginning, and gives their ids again.
void Sessions::EvictForeign() {
  while (!by_id_.empty() && by_id_.rbegin()->first >> kIdPlaceBits >= index_) {
    Set(by_id_.rbegin()->first, std::nullopt);
  }
}

bool Sessions::MakeRoom(Kind kind) {
  const ByTime& times = TimesOf(kind);
  if (times.size() < MaxOf(kind)) return true;
  const auto [last_ms, oldest] = *times.begin();
  if (kind == Kind::kClient && IdleMs(last_ms) < kSessionIdleWhenFullMs) return false;
  Set(oldest, std::nullopt);
  return true;
}

std::optional<uint64_t> Sessions::NextId() {
  if (index_ >> (64 - kIdPlaceBits) != 0 || opened_ >> kIdPlaceBits != 0) return std::nullopt;
  return index_ << kIdPlaceBits | opened_++;
}

// ---- One entry. ----

void Sessions::Begin(uint64_t index, uint64_t now_ms) {
  BANDB_ASSERT(index != 0);
  BANDB_ASSERT(index >= index_);
  BANDB_ASSERT(now_ms >= now_ms_);
  index_ = index;
  opened_ = 0;
  now_ms_ = now_ms;
  evicted_ = false;
  judged_.clear();
  before_.clear();
  done_here_.clear();
  indexed_ = 0;
  EvictForeign();
}

bool Sessions::Admit(const Command& command) {
  if (command.session == kNoSession) {
    judged_.push_back({.number = command.number});
    return true;
  }
  EvictExpired();
  Judged judged = Opens(command.number)            ? Open(command)
                  : command.number == kCloseNumber ? Close(command)
                                                   : Number(command);
  judged.session = command.session;
  judged.number = command.number;
  const bool admitted = judged.verdict == Verdict::kDo;
  judged_.push_back(std::move(judged));
  return admitted;
}

Sessions::Judged Sessions::Open(const Command& command) {
  Judged judged{.verdict = Verdict::kAnswered};
  if (!command.operations.empty() || !command.conditions.empty()) {
    judged.status = base::Error(StatusCode::kInvalidArgument, "what opens a session does nothing else");
    return judged;
  }
  const uint64_t nonce = command.session;
  if (const auto before = by_nonce_.find(nonce); before != by_nonce_.end()) {
    const uint64_t id = before->second;
    if (Touch(id) != nullptr) {
      judged.duplicate = true;
      judged.opened = id;
      return judged;
    }
  }
  const Kind kind = command.number == kOpenNodeNumber ? Kind::kNode : Kind::kClient;
  const std::optional<uint64_t> id = MakeRoom(kind) ? NextId() : std::nullopt;
  if (id.has_value()) {
    judged.opened = *id;
    Set(*id, Session{.kind = kind, .nonce = nonce, .last_ms = now_ms_});
  } else {
    judged.status = base::Error(StatusCode::kResourceExhausted, "{} sessions are open", TimesOf(kind).size());
  }
  return judged;
}

Sessions::Judged Sessions::Close(const Command& command) {
  Judged judged{.verdict = Verdict::kAnswered};
  if (!command.operations.empty() || !command.conditions.empty()) {
    judged.status = base::Error(StatusCode::kInvalidArgument, "what closes a session does nothing else");
  } else if (Touch(command.session) != nullptr) {
    Set(command.session, std::nullopt);
  } else {
    judged.duplicate = true;
  }
  return judged;
}

Sessions::Judged Sessions::Number(const Command& command) {
  Session* const session = Touch(command.session);
  if (session == nullptr) return {.verdict = Verdict::kAnswered, .status = UnknownStatus()};
  const uint64_t number = command.number;
  if (number > session->highest) {
    const uint64_t shift = number - session->highest;
    session->seen = shift < kSessionWindow ? session->seen << shift : 0;
    session->aborted = shift < kSessionWindow ? session->aborted << shift : 0;
    session->highest = number;
  }
  const uint64_t below = session->highest - number;
  if (below >= kSessionWindow) {
    return {.verdict = Verdict::kAnswered,
            .status = base::Error(StatusCode::kFailedPrecondition,
                                  "command {} is too old: the session has come to {}, and {} numbers are remembered",
                                  number, session->highest, kSessionWindow)};
  }
  const uint64_t bit = uint64_t{1} << below;
  if ((session->seen & bit) == 0) {
    session->seen |= bit;
    return {.verdict = Verdict::kDo};
  }
  // How a command of this entry ends is not known yet.
  if (const std::optional<size_t> first = FindDone(command.session, number); first.has_value()) {
    return {.verdict = Verdict::kRepeated, .first = *first, .duplicate = true};
  }
  return {.verdict = Verdict::kAnswered,
          .duplicate = true,
          .status = (session->aborted & bit) != 0 ? AbortedStatus() : absl::OkStatus()};
}

std::optional<size_t> Sessions::FindDone(uint64_t session, uint64_t number) {
  for (; indexed_ < judged_.size(); ++indexed_) {
    const Judged& judged = judged_[indexed_];
    if (judged.verdict == Verdict::kDo) done_here_[{judged.session, judged.number}] = indexed_;
  }
  const auto at = done_here_.find({session, number});
  return at == done_here_.end() ? std::nullopt : std::make_optional(at->second);
}

// Keeps how a command has ended, unless the window has moved on or the session is gone.
void Sessions::Record(const Judged& judged, bool aborted) {
  const auto at = by_id_.find(judged.session);
  if (at == by_id_.end() || judged.number > at->second.highest) return;
  Session& session = at->second;
  const uint64_t below = session.highest - judged.number;
  if (below >= kSessionWindow) return;
  const uint64_t bit = uint64_t{1} << below;
  session.aborted = aborted ? session.aborted | (session.seen & bit) : session.aborted & ~bit;
}

uint64_t Sessions::BytesMax() const { return before_.size() * kSessionOperationBytesMax; }

std::string Sessions::Finish(absl::Span<const absl::Status> outcomes, std::vector<CommandResult>* results) {
  BANDB_ASSERT(outcomes.size() == judged_.size());
  results->clear();
  results->reserve(judged_.size());
  for (size_t i = 0; i < judged_.size(); ++i) {
    Judged& judged = judged_[i];
    if (judged.verdict == Verdict::kDo) {
      judged.status = outcomes[i];
      if (judged.session != kNoSession) Record(judged, !judged.status.ok());
    } else if (judged.verdict == Verdict::kRepeated) {
      BANDB_ASSERT(judged.first < i);
      judged.status = outcomes[judged.first];
    }
    const bool is_lost =
        judged.verdict == Verdict::kAnswered && judged.status.code() == StatusCode::kFailedPrecondition;
    const bool is_gone = judged.session != kNoSession && !Opens(judged.number) && by_id_.count(judged.session) == 0;
    results->push_back({.session = judged.session,
                        .number = judged.number,
                        .status = std::move(judged.status),
                        .duplicate = judged.duplicate,
                        .opened = judged.opened,
                        .session_lost = is_lost,
                        .session_gone = is_gone});
  }
  std::string operations;
  for (const auto& [id, before] : before_) {
    const auto at = by_id_.find(id);
    const std::string key = KeyOf(id);
    if (at == by_id_.end()) {
      if (before.has_value()) kv::AppendOperation(&operations, {.kind = kv::Kind::kDelete, .key = key, .value = {}});
    } else if (!before.has_value() || !(*before == at->second)) {
      const std::string value = ValueOf(at->second);
      kv::AppendOperation(&operations, {.kind = kv::Kind::kPut, .key = key, .value = value});
    }
  }
  return operations;
}

void Sessions::Undo() {
  // First what is gone again, so that no nonce is there twice.
  for (const auto& [id, before] : before_) {
    if (!before.has_value()) Put(id, std::nullopt);
  }
  for (const auto& [id, before] : before_) Put(id, before);
  before_.clear();
}

}  // namespace bandb::cluster
