#include "cluster/command_log.h"

#include <algorithm>

#include "cluster/entry_payload.h"
#include "cluster/sessions.h"
#include "kv/batch_format.h"
#include "raft/types/configuration_codec.h"
#include "support/catch.h"
#include "support/random_data.h"

namespace bandb::cluster {

namespace {

using test::ModelChange;
using test::ModelCondition;
using test::NumberedKey;

constexpr uint64_t kHourMs = 3'600'000;
// An id that no log gives.
constexpr uint64_t kNeverOpened = UINT64_MAX;

test::ModelWrite RandomWrite(base::Random* random, const CommandLogShape& shape, uint64_t now_ms) {
  const auto key = [&] { return NumberedKey(random->Uniform(shape.keys), 3); };
  const auto value = [&] { return test::RandomText(random, 1 + random->Uniform(shape.value_bytes_max)); };
  test::ModelWrite write;
  write.now_ms = now_ms;
  for (uint64_t n = random->Uniform(4); n > 0; --n) {
    if (random->OneIn(12)) {
      write.changes.push_back({ModelChange::Kind::kDeleteRange, key(), key()});
    } else if (random->OneIn(5)) {
      write.changes.push_back({ModelChange::Kind::kDelete, key()});
    } else if (random->OneIn(4)) {
      write.changes.push_back({ModelChange::Kind::kPutWithTtl, key(), value(), 1 + random->Uniform(3000)});
    } else {
      write.changes.push_back({ModelChange::Kind::kPut, key(), value()});
    }
  }
  if (!random->OneIn(3)) return write;
  static constexpr ModelCondition::Kind kKinds[] = {ModelCondition::Kind::kPresent, ModelCondition::Kind::kAbsent,
                                                    ModelCondition::Kind::kEmptyRange};
  const auto kind = kKinds[random->Uniform(3)];
  const uint64_t number = random->Uniform(shape.keys);
  write.conditions.push_back({kind, NumberedKey(number, 3)});
  // Of one to three keys.
  if (kind == ModelCondition::Kind::kEmptyRange) write.conditions[0].value = NumberedKey(number + 1 + number % 3, 3);
  return write;
}

// A command of one of the sessions: mostly the next one, often one that came before.
LogCommand RandomCommand(base::Random* random, const CommandLogShape& shape, uint64_t now_ms,
                         std::map<uint64_t, uint64_t>* numbers) {
  LogCommand command;
  command.write = RandomWrite(random, shape, now_ms);
  if (random->OneIn(4)) return command;
  command.session = 1 + random->Uniform(shape.sessions);
  // What was under way for long.
  command.lives_ago = random->OneIn(10) ? 1 + random->Uniform(2) : 0;
  uint64_t& next = (*numbers)[command.session];
  if (next == 0 || random->OneIn(12)) {
    command.number = kOpenNumber;
    command.write = {};
    next = std::max<uint64_t>(next, 1);
  } else if (random->OneIn(25)) {
    command.number = kCloseNumber;
    command.write = {};
    if (random->OneIn(2)) next = 0;
  } else if (random->OneIn(3)) {
    command.number = next - std::min(next - 1, random->Uniform(random->OneIn(4) ? 90 : 6));
  } else {
    next += random->OneIn(8) ? random->Uniform(20) : 1;
    command.number = next;
  }
  return command;
}

}  // namespace

LogCommand Put(const std::string& key, const std::string& value, uint64_t session, uint64_t number) {
  return {.session = session, .number = number, .write = {.changes = {{ModelChange::Kind::kPut, key, value}}}};
}

void CommandLog::Raw(raft::Term term, raft::EntryKind kind, const std::string& payload) {
  log_.push_back({.term = term, .index = log_.size() + 1, .kind = kind, .payload = raft::Payload(payload)});
  results_.emplace_back();
}

void CommandLog::Noop(raft::Term term) { Raw(term, raft::EntryKind::kNoop, ""); }

void CommandLog::Configuration(raft::Term term, raft::Configuration configuration) {
  configuration.version = ++version_;
  configuration.index = log_.size() + 1;
  std::string bytes;
  raft::EncodeConfiguration(configuration, &bytes);
  Raw(term, raft::EntryKind::kConfiguration, bytes);
}

void CommandLog::Data(raft::Term term, uint64_t commit_time_ms, const std::vector<LogCommand>& commands) {
  EntryBuilder builder(commit_time_ms);
  now_ms_ = std::max(now_ms_, commit_time_ms);
  opened_ = 0;
  std::string results;
  for (LogCommand command : commands) {
    // Times to live count from the time of the entry.
    command.write.now_ms = commit_time_ms;
    const WriteBatch batch = command.write.ToBatch();
    const uint64_t id = IdOf(command);
    REQUIRE(builder.Add({.session = id,
                         .number = command.number,
                         .conditions = WriteBatchAccess::Conditions(batch),
                         .operations = WriteBatchAccess::Operations(batch)}));
    results += (results.empty() ? "" : ", ") + Answer(command, id);
  }
  Raw(term, raft::EntryKind::kData, builder.Build());
  results_.back() = results;
}

std::string CommandLog::Do(const LogCommand& command) {
  ++done_;
  if (!command.write.Holds(user_, now_ms_)) return "ABORTED";
  command.write.Apply(&user_);
  return "OK";
}

uint64_t CommandLog::IdOf(const LogCommand& command) const {
  if (command.session == 0 || Opens(command.number)) return command.session;
  const auto lives = lives_.find(command.session);
  if (lives == lives_.end() || lives->second.size() <= command.lives_ago) return kNeverOpened;
  return *(lives->second.rbegin() + static_cast<ptrdiff_t>(command.lives_ago));
}

CommandLog::Session* CommandLog::Find(uint64_t id) {
  const auto at = sessions_.find(id);
  if (at == sessions_.end()) return nullptr;
  if (now_ms_ - at->second.last_ms < kHourMs) return &at->second;
  sessions_.erase(at);
  return nullptr;
}

std::string CommandLog::AnswerOpen(uint64_t nonce) {
  std::vector<uint64_t>& lives = lives_[nonce];
  if (Session* const session = lives.empty() ? nullptr : Find(lives.back()); session != nullptr) {
    session->last_ms = now_ms_;
    return "OK (again)";
  }
  // The index of the entry that is being made, and a place in it.
  const uint64_t id = (log_.size() + 1) << 14 | opened_++;
  sessions_[id].last_ms = now_ms_;
  lives.push_back(id);
  return "OK";
}

std::string CommandLog::Answer(const LogCommand& command, uint64_t id) {
  if (id == 0) return Do(command);
  if (Opens(command.number)) return AnswerOpen(id);
  Session* const session = Find(id);
  if (command.number == kCloseNumber) return sessions_.erase(id) != 0 ? "OK" : "OK (again)";
  if (session == nullptr) {
    ++refused_;
    return "FAILED_PRECONDITION";
  }
  return AnswerNumber(session, command);
}

std::string CommandLog::AnswerNumber(Session* session, const LogCommand& command) {
  session->last_ms = now_ms_;
  session->highest = std::max(session->highest, command.number);
  if (command.number + kSessionWindow <= session->highest) {
    ++refused_;
    return "FAILED_PRECONDITION";
  }
  if (const auto before = session->done.find(command.number); before != session->done.end()) {
    ++repeated_;
    return before->second + " (again)";
  }
  return session->done[command.number] = Do(command);
}

CommandLog RandomCommandLog(uint64_t seed, const CommandLogShape& shape) {
  base::Random random(seed);
  CommandLog log;
  std::map<uint64_t, uint64_t> numbers;
  raft::Term term = 1;
  uint64_t now_ms = 1'000'000;
  log.Noop(term);
  while (log.last() < shape.entries) {
    if (random.OneIn(15)) log.Noop(++term);
    if (random.OneIn(20)) log.Configuration(term);
    now_ms += shape.pauses != 0 && random.OneIn(shape.pauses) ? kHourMs + random.Uniform(1000) : random.Uniform(600);
    std::vector<LogCommand> commands;
    for (uint64_t n = random.Uniform(shape.commands_max + 1); n > 0; --n) {
      commands.push_back(RandomCommand(&random, shape, now_ms, &numbers));
    }
    // A new leader's clock may be behind.
    log.Data(term, random.OneIn(10) ? now_ms - random.Uniform(2000) : now_ms, commands);
  }
  return log;
}

}  // namespace bandb::cluster
