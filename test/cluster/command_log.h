// The log of a cluster for tests of what applies it, and what a plain model makes of it.
#ifndef BANDB_TEST_CLUSTER_COMMAND_LOG_H_
#define BANDB_TEST_CLUSTER_COMMAND_LOG_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "cluster/applier_rig.h"
#include "storage/model/model_state.h"

namespace bandb::cluster {

struct LogCommand {
  // The nonce with which its session is opened; the command itself has the id that came of it last,
  // or `lives_ago` before that.
  uint64_t session = 0;
  uint64_t number = 0;
  test::ModelWrite write{};
  size_t lives_ago = 0;
};

// Puts one value.
LogCommand Put(const std::string& key, const std::string& value, uint64_t session = 0, uint64_t number = 0);

// Makes a log entry by entry. A model says what each must answer and what is there at the end: it
// remembers every number that a session has done.
class CommandLog {
 public:
  void Noop(raft::Term term);
  void Configuration(raft::Term term, raft::Configuration configuration = RigConfiguration());
  void Data(raft::Term term, uint64_t commit_time_ms, const std::vector<LogCommand>& commands);
  // Whatever it holds, of which nothing is expected.
  void Raw(raft::Term term, raft::EntryKind kind, const std::string& payload);

  const Log& log() const { return log_; }
  raft::Index last() const { return log_.size(); }
  // As ResultsText has it, of each entry.
  const std::vector<std::string>& results() const { return results_; }
  // What users see at the end.
  test::ModelEntries user() const { return test::Visible(user_, now_ms_); }
  uint64_t now_ms() const { return now_ms_; }
  // How many commands were done, repeated, refused, aborted.
  uint64_t done() const { return done_; }
  uint64_t repeated() const { return repeated_; }
  uint64_t refused() const { return refused_; }

 private:
  struct Session {
    uint64_t last_ms = 0;
    uint64_t highest = 0;
    std::map<uint64_t, std::string> done;
  };

  // What the command has in place of a session, and how it is answered.
  uint64_t IdOf(const LogCommand& command) const;
  std::string Answer(const LogCommand& command, uint64_t id);
  // None if it has expired.
  Session* Find(uint64_t id);
  std::string AnswerOpen(uint64_t nonce);
  std::string AnswerNumber(Session* session, const LogCommand& command);
  std::string Do(const LogCommand& command);

  Log log_;
  std::vector<std::string> results_;
  std::map<uint64_t, Session> sessions_;             // by id
  std::map<uint64_t, std::vector<uint64_t>> lives_;  // the ids that were opened, by nonce
  uint64_t opened_ = 0;                              // by the entry
  test::ModelState user_;
  uint64_t now_ms_ = 0;
  uint64_t version_ = 1;
  uint64_t done_ = 0;
  uint64_t repeated_ = 0;
  uint64_t refused_ = 0;
};

struct CommandLogShape {
  uint64_t entries = 100;
  uint64_t commands_max = 4;
  uint64_t keys = 30;
  size_t value_bytes_max = 500;
  uint64_t sessions = 5;
  // One of so many entries comes an hour and more after the one before; 0 for none.
  uint64_t pauses = 40;
};

CommandLog RandomCommandLog(uint64_t seed, const CommandLogShape& shape);

}  // namespace bandb::cluster

#endif  // BANDB_TEST_CLUSTER_COMMAND_LOG_H_
