// A change feed in memory, and runs of an export of it into a file system that loses power.
#ifndef BANDB_TEST_TOOLS_FAKE_FEED_H_
#define BANDB_TEST_TOOLS_FAKE_FEED_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/file_system.h"
#include "base/status.h"
#include "support/crash_file_system.h"
#include "transfer/change_exporter.h"

namespace bandb::transfer {

using test::CrashFileSystem;

inline constexpr const char* kDirectory = "out/feed";

// A store that keeps nothing for a reader but what its cursor has not acknowledged.
struct FakeFeed {
  // Tokens say how many commits were passed. The first is that of the cursor.
  static std::string TokenOf(size_t commits) { return "token" + std::to_string(commits); }
  static size_t CommitsOf(std::string_view token) { return std::stoul(std::string(token.substr(5))); }

  // From `quiet` on, 12 commits have nothing that was asked for.
  explicit FakeFeed(size_t count, size_t quiet = SIZE_MAX) {
    uint64_t sequence = 1;
    for (size_t i = 0; i < count; ++i) {
      const size_t changes = i % 7 == 3 ? 5 : 1;
      ChangeCommit commit{.first_sequence = sequence, .last_sequence = sequence + changes - 1, .time_ms = 1000 + i};
      const bool is_quiet = i >= quiet && i - quiet < 12;
      for (size_t j = 0; j < changes && !is_quiet; ++j) {
        texts.push_back(std::make_unique<std::string>("key" + std::to_string(sequence + j)));
        const ChangeKind kind = i % 5 == 1 ? ChangeKind::kDelete : ChangeKind::kPut;
        commit.changes.push_back({.kind = kind, .key = *texts.back()});
        texts.push_back(std::make_unique<std::string>(100 + i, 'v'));
        if (kind == ChangeKind::kPut) commit.changes.back().value = *texts.back();
      }
      // What others asked for lies in between.
      sequence += changes + i % 3;
      commits.push_back(commit);
    }
  }

  // The lines of commits up to this one.
  std::string Lines(size_t end) const {
    std::string lines;
    for (size_t i = 0; i < end; ++i) {
      for (const ChangeEntry& change : commits[i].changes) AppendChangeLine({}, commits[i], change, &lines);
    }
    return lines;
  }

  std::vector<std::unique_ptr<std::string>> texts;
  std::vector<ChangeCommit> commits;
  size_t cursor = 0;
};

struct RunOptions {
  ChangesHead head{.cursor = "c"};
  uint64_t chunk_bytes = 1000;
  size_t reply = 4;        // commits in a reply
  size_t finish_each = 9;  // replies; 0: never
  size_t end = SIZE_MAX;   // commits
  bool forgets = false;    // acknowledgements are lost
};

// One run to the end of the feed.
inline absl::Status Run(base::FileSystem* files, FakeFeed* feed, const RunOptions& options,
                        ChangesSummary* summary = nullptr) {
  ChangeExporter exporter(files, kDirectory, options.head, options.chunk_bytes, [&](std::string_view token) {
    const size_t at = FakeFeed::CommitsOf(token);
    if (!options.forgets) feed->cursor = std::max(feed->cursor, at);
    return absl::OkStatus();
  });
  BANDB_RETURN_IF_ERROR(exporter.Begin());
  size_t at = exporter.token().empty() ? feed->cursor : FakeFeed::CommitsOf(exporter.token());
  if (at < feed->cursor) return base::Error(absl::StatusCode::kOutOfRange, "not kept any more");
  const size_t end = std::min(options.end, feed->commits.size());
  for (size_t replies = 1; at < end; ++replies) {
    const size_t reply_end = std::min(end, at + (exporter.token().empty() ? 1 : options.reply));
    for (; at < reply_end; ++at) BANDB_RETURN_IF_ERROR(exporter.Add(feed->commits[at]));
    BANDB_RETURN_IF_ERROR(exporter.Passed(FakeFeed::TokenOf(at)));
    if (options.finish_each > 0 && replies % options.finish_each == 0) BANDB_RETURN_IF_ERROR(exporter.Finish());
  }
  BANDB_RETURN_IF_ERROR(exporter.Close());
  if (summary != nullptr) *summary = exporter.summary();
  return absl::OkStatus();
}

// Files of changes by their names.
inline std::map<std::string, std::string> Named(const CrashFileSystem& files) {
  std::map<std::string, std::string> named;
  for (const auto& [path, size] : files.Files()) {
    if (path.find("changes-") != std::string::npos && !path.ends_with(".tmp")) named[path] = files.Content(path);
  }
  return named;
}

inline std::string Union(const CrashFileSystem& files) {
  std::string all;
  for (const auto& [path, content] : Named(files)) all += content;
  return all;
}

}  // namespace bandb::transfer

#endif  // BANDB_TEST_TOOLS_FAKE_FEED_H_
