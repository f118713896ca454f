// Files that a release wrote, kept as they are: test/golden/<what>-v<format version>.
#ifndef BANDB_TEST_STORAGE_DB_GOLDEN_FILES_H_
#define BANDB_TEST_STORAGE_DB_GOLDEN_FILES_H_

#include <map>
#include <string>

namespace bandb::storage {

// Where the file of this name lies.
std::string GoldenPath(const std::string& name);

// Its content; fails the test if there is none.
std::string ReadGolden(const std::string& name);

// For a new format version: files of these names that are not there yet are written as they are
// made today, and the test fails, so that somebody looks at them before they are kept. None is ever
// rewritten.
void RequireGolden(const std::map<std::string, std::string>& made);

}  // namespace bandb::storage

#endif  // BANDB_TEST_STORAGE_DB_GOLDEN_FILES_H_
