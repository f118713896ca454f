// Runs the transcripts of test/data/raft: commands, a line of dashes, the whole account that is
// expected.
//
//   # Comments and empty lines go between the blocks.
//   start 1 2 3
//   campaign 1
//   ----
//   1: campaign
//     ...
//
// A comment that begins with "Impossible:" says that the story breaks the rules that the nodes rely
// on, so that they may contradict each other.
//
// With BANDB_REWRITE=1 in the environment the accounts are written again. Read the difference
// before you keep it: a transcript is only worth what its reader understood.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "raft/scripted_cluster.h"
#include "support/catch.h"

namespace bandb::raft {
namespace {

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The file as it would be if every account in it were right.
std::string Replay(const std::string& script, std::string* violation) {
  ScriptedCluster cluster;
  std::stringstream lines(script);
  std::string result;
  std::string account;
  bool in_account = false;
  bool possible = true;
  for (std::string line; std::getline(lines, line);) {
    if (in_account) {
      if (!line.empty()) continue;
      in_account = false;
      result += "\n";
      continue;
    }
    result += line + "\n";
    possible = possible && line.rfind("# Impossible:", 0) != 0;
    if (line == "----") {
      result += account.empty() ? "(nothing)\n" : account;
      account.clear();
      in_account = true;
    } else if (!line.empty() && line[0] != '#') {
      account += cluster.Run(line);
    }
  }
  *violation = possible ? cluster.violation() : "";
  return result;
}

std::vector<std::filesystem::path> Scripts() {
  std::vector<std::filesystem::path> paths;
  const std::filesystem::path folder = std::filesystem::path(BANDB_TEST_DATA) / "raft";
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() == ".txt") paths.push_back(file.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST_CASE("every transcript is what happens", "[raft]") {
  const std::vector<std::filesystem::path> scripts = Scripts();
  REQUIRE(!scripts.empty());
  for (const std::filesystem::path& path : scripts) {
    INFO(path.filename().string());
    const std::string expected = ReadFile(path);
    std::string violation;
    const std::string actual = Replay(expected, &violation);
    CHECK(violation == "");
    if (std::getenv("BANDB_REWRITE") != nullptr) {
      std::ofstream(path) << actual;
    } else {
      CHECK(actual == expected);
    }
  }
}

}  // namespace
}  // namespace bandb::raft
