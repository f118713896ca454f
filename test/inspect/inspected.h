// A database to be looked at and to be damaged: two levels of tables, a range delete, times to
// live, and a log with what is in no table.
#ifndef BANDB_TEST_INSPECT_INSPECTED_H_
#define BANDB_TEST_INSPECT_INSPECTED_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/version/manifest.h"
#include "support/crash_file_system.h"
#include "support/test_env.h"

namespace bandb::test {

inline constexpr char kInspectedDir[] = "/data/db";
inline constexpr char kRepairedDir[] = "/data/repaired";

using Entries = std::map<std::string, std::string>;

struct Inspected {
  Inspected() = default;
  // Closed, or left as if its process had died.
  explicit Inspected(bool closed);

  // The same disk again, to be damaged.
  std::unique_ptr<TestEnv> Copy() const;
  // The only file whose path ends like this.
  std::string PathOf(const std::string& ending) const;

  // What it holds.
  Entries state{};
  // All values that each key ever had.
  std::map<std::string, std::set<std::string>> history{};
  int64_t nanos = 0;
  std::unique_ptr<CrashFileSystem> image{};
};

// A database with several logs that hold what is in no table, beside two levels of tables: its
// process has died twice, and at last it was closed or died once more. All that it holds was
// acknowledged as durable. `keeps_logs`: for the change feed.
Inspected MakeLogged(bool closed, bool keeps_logs);

// A database whose process died before the first of its three logs was flushed: the manifest names
// neither of the others.
Inspected MakeRotated();

// What the manifest makes; and puts another manifest of these edits in its place.
storage::ManifestState ReadState(TestEnv* env);
void WriteManifest(TestEnv* env, const std::vector<storage::VersionEdit>& edits);

// Of a database that opens.
absl::StatusOr<Entries> ReadEntries(TestEnv* env, const std::string& dir);

}  // namespace bandb::test

#endif  // BANDB_TEST_INSPECT_INSPECTED_H_
