// Brings what an export wrote into a store: reads files or the directory of an export, passes over
// what is no entry, and counts why.
//
// The idea: records have numbers over all inputs. From time to time the target is asked to make
// durable what it has, and the number is kept in a file, with what was passed over up to there; a
// later run passes over so many records, and still tells what is missing. What is brought in twice
// changes nothing, since the order is kept.
//
//   state := {"bandb_import": 1, "inputs": [path...], "records": N,
//             "skipped": [{"reason": text, "count": N, "first": place}...]}
#ifndef BANDB_TOOLS_TRANSFER_IMPORTER_H_
#define BANDB_TOOLS_TRANSFER_IMPORTER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "transfer/entry_reader.h"
#include "transfer/export_manifest.h"

namespace bandb::transfer {

// What an import did, and what it passed over.
struct ImportSummary {
  struct Skipped {
    uint64_t count = 0;
    std::string first{};  // where
  };

  uint64_t records = 0;                      // read, those that an earlier run was done with included
  uint64_t entries = 0;                      // stored
  uint64_t bytes = 0;                        // of their keys and values
  uint64_t earlier = 0;                      // records that an earlier run was done with
  std::map<std::string, Skipped> skipped{};  // by reason, those of earlier runs included

  uint64_t skipped_records() const;
  // Beyond some hundred reasons the others are counted together.
  void Skip(const std::string& reason, const std::string& where);
};

// An entry on its way into a store.
struct ImportEntry {
  std::string key;
  std::string value;
  uint64_t expires_ms = 0;  // since 1970; 0: never
  std::string where;        // for messages
};

// Where entries go: in order, and many at a time. Thread safety: one thread at a time.
class ImportTarget {
 public:
  virtual ~ImportTarget() = default;
  // Waits while too much is under way. What the store refuses for the entry's own sake is counted
  // in `summary`. Errors: what ends the import.
  virtual absl::Status Add(ImportEntry entry, ImportSummary* summary) = 0;
  // Waits until everything that was added is durable or refused. More may be added after it.
  virtual absl::Status Finish(ImportSummary* summary) = 0;
};

// One thing that is imported.
struct ImportInput {
  std::string path;  // "-": standard input
  bool directory = false;
  Format format = Format::kJsonLines;  // of a file
};

// Opens an input that is no directory. Errors: as InputStream.
using OpenInput = std::function<absl::StatusOr<std::unique_ptr<ByteSource>>(const std::string& path)>;

// Used once.
class Importer {
 public:
  // `state_path` is where it keeps how far it came; empty: nowhere. `tell` is called after every
  // record. Lifetime: borrows everything.
  Importer(base::FileSystem* files, base::Clock* clock, ImportTarget* target, std::string state_path, OpenInput open,
           std::function<void(const ImportSummary&)> tell)
      : files_(files),
        clock_(clock),
        target_(target),
        state_path_(std::move(state_path)),
        open_(std::move(open)),
        tell_(std::move(tell)) {}

  // Imports everything. Errors: kFailedPrecondition the state is of other inputs, or an export is
  // not complete · kDataLoss an input or the state is damaged · kInvalidArgument an input is not of
  // its format · and those of reading and of the target. summary() tells how far it came.
  absl::Status Run(const std::vector<ImportInput>& inputs);

  const ImportSummary& summary() const { return summary_; }
  // Records that were passed over so far. Thread safety: this one may be called from any thread.
  uint64_t skipped_so_far() const { return skipped_so_far_.load(std::memory_order_relaxed); }

 private:
  absl::Status ReadState(const std::vector<ImportInput>& inputs);
  absl::Status SaveState();
  absl::Status ImportDirectory(const std::string& path);
  absl::Status ImportChunk(const std::string& directory, const ManifestHead& head, const ManifestChunk& chunk);
  absl::Status ImportRecords(EntryReader* reader, const std::string& name);
  absl::Status Take(Record record, const std::string& name);

  base::FileSystem* const files_;
  base::Clock* const clock_;
  ImportTarget* const target_;
  const std::string state_path_;
  const OpenInput open_;
  const std::function<void(const ImportSummary&)> tell_;
  std::string inputs_;  // which, as the state has them
  uint64_t saved_ = 0;  // records that the state has
  uint64_t unsaved_bytes_ = 0;
  ImportSummary summary_;
  std::atomic<uint64_t> skipped_so_far_ = 0;
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_IMPORTER_H_
