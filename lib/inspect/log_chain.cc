#include "inspect/log_chain.h"

#include <set>
#include <utility>

#include "base/status.h"
#include "storage/file/file_names.h"

namespace bandb::inspect {

using storage::LogEnd;

namespace {

class ChainReader {
 public:
  ChainReader(base::FileSystem* files, const FoundDatabase& found) : files_(files), found_(found) {
    if (found.state_is_whole) next_ = found.state.last_sequence + 1;
  }

  LogChain Run() {
    const std::set<uint64_t> promised = Promised();
    std::set<uint64_t> numbers = promised;
    for (const auto& log : found_.logs) {
      if (Counts(log.first)) numbers.insert(log.first);
    }
    for (const uint64_t number : numbers) {
      if (found_.logs.contains(number)) {
        ReadLog(number, promised.contains(number));
      } else {
        LoseLog(number, "the log is missing");
      }
    }
    if (goes_on_) Lose(Damage(ended_path_, 0, "the log was ended for another one to go on, which is missing"));
    chain_.is_log_missing |= goes_on_;
    if (next_ != 0) chain_.last_sequence = next_ - 1;
    return std::move(chain_);
  }

 private:
  // Those that the manifest says must be there: it was written after they had been begun, and their
  // headers synced.
  std::set<uint64_t> Promised() const {
    std::set<uint64_t> numbers;
    if (!found_.manifest_is_whole) return numbers;
    const storage::ManifestState& state = found_.state;
    for (const uint64_t number : {state.log_number, state.begun_log}) {
      if (number >= state.log_number) numbers.insert(number);
    }
    for (const auto& log_end : state.log_ends) numbers.insert(log_end.first);
    return numbers;
  }

  // As for recovery: not what is in tables, nor what the last open had found and not kept, nor what
  // is somebody else's.
  bool Counts(uint64_t number) const {
    if (!found_.state_is_whole) return true;
    const storage::ManifestState& state = found_.state;
    const bool forgotten = number < state.begun_log && !state.log_ends.contains(number);
    return number >= state.log_number && !forgotten && number <= state.next_file_number + storage::kFileNumbersAhead;
  }

  std::string PathOf(uint64_t number) const { return base::JoinPath(found_.engine_dir, storage::LogName(number)); }

  // What comes next is not known any more.
  void Lose(absl::Status why) {
    chain_.losses.push_back({.why = std::move(why)});
    next_ = 0;
  }

  void LoseLog(uint64_t number, const std::string& why) {
    Lose(Damage(PathOf(number), 0, why));
    chain_.is_log_missing = true;
    goes_on_ = false;
  }

  // `promised`: by the manifest.
  void ReadLog(uint64_t number, bool promised) {
    const std::string path = PathOf(number);
    const bool follows = std::exchange(goes_on_, false);
    const auto recorded = found_.state.log_ends.find(number);
    const bool has_end = recorded != found_.state.log_ends.end();
    // It was found without a header, and none of it counts.
    if (has_end && recorded->second == 0) return;
    absl::StatusOr<SalvagedLog> log = SalvageLog(files_, path, has_end ? recorded->second : UINT64_MAX, next_);
    if (!log.ok()) return Lose(log.status());
    for (Loss& loss : std::exchange(log->losses, {})) chain_.losses.push_back(std::move(loss));
    if (!log->header) {
      // One of which nothing is promised holds nothing: its header is synced before anything else.
      if (promised || follows) Lose(Damage(path, 0, "nothing of the log can be read, since it has no header"));
      return;
    }
    if (found_.database_id && !(log->header->database_id == *found_.database_id)) {
      return LoseLog(number, "belongs to database " + ToString(log->header->database_id));
    }
    next_ = log->next_sequence;
    // One that is begun is named by the manifest only later, and so is one that was between.
    if (follows && !promised && log->records == 0 && !found_.HasAllBetween(ended_number_, number)) {
      Lose(Damage(ended_path_, 0,
                  fmt::format("the log was ended for another one to go on, and {} follows, which holds nothing: one "
                              "between them may be missing",
                              path)));
      chain_.is_log_missing = true;
    }
    if (has_end) {
      JudgeRecordedEnd(path, *log, recorded->second);
    } else {
      JudgeEnd(number, path, *log);
    }
    chain_.records += log->records;
    chain_.tombstones.insert(chain_.tombstones.end(), log->tombstones.begin(), log->tombstones.end());
    if (!log->entries.empty()) chain_.entries.push_back(std::move(log->entries));
  }

  // Exactly so much counts, and all of it was durable.
  void JudgeRecordedEnd(const std::string& path, const SalvagedLog& log, uint64_t bytes) {
    if (log.valid_bytes >= bytes) return;
    Lose(Damage(path, log.valid_bytes,
                fmt::format("the log counts up to offset {}, and its records end here in a file of {} bytes", bytes,
                            log.file_bytes)));
  }

  void JudgeEnd(uint64_t number, const std::string& path, const SalvagedLog& log) {
    if (log.end == LogEnd::kEnded) {
      goes_on_ = true;
      ended_path_ = path;
      ended_number_ = number;
    }
    if (log.end != LogEnd::kOpen) return;
    // Room is reserved before a record is written to it, and given back once the log is ended.
    // Where none was written yet there is none.
    if (log.valid_bytes == log.file_bytes && log.file_bytes != storage::kFileHeaderBytes) {
      return Lose(Damage(path, log.valid_bytes,
                         "the log was not ended, and the room after its records is gone: it may have been cut"));
    }
    chain_.notes.push_back(
        fmt::format("{}: offset {}: the log was not ended, since the database was not closed: whether anything was "
                    "written after this cannot be told",
                    path, log.valid_bytes));
  }

  base::FileSystem* const files_;
  const FoundDatabase& found_;
  LogChain chain_;
  // The sequence that must come next; 0: not known.
  storage::Sequence next_ = 0;
  // The log before says that another one goes on.
  bool goes_on_ = false;
  std::string ended_path_;
  uint64_t ended_number_ = 0;
};

}  // namespace

LogChain ReadLogChain(base::FileSystem* files, const FoundDatabase& found) { return ChainReader(files, found).Run(); }

}  // namespace bandb::inspect
