// The directory of a database: found or begun, locked, and known to be ours before anything in it
// is changed.
//
// IDENTITY says that a database is here, whole. A new one is made under the mark CREATING, which
// holds what IDENTITY will: first the folders and the mark, then the engine's files, last of all
// the mark is renamed to IDENTITY. So what a crash leaves of a creation is known to be nobody's
// data and is begun again; and where IDENTITY is, missing files are damage, not a new database.
#ifndef BANDB_STORAGE_ENGINE_DATABASE_DIRECTORY_H_
#define BANDB_STORAGE_ENGINE_DATABASE_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "base/random.h"
#include "storage/file/database_files.h"
#include "storage/file/file_header.h"
#include "storage/file/identity.h"

namespace bandb::storage {

struct DatabaseDirectory {
  std::shared_ptr<DatabaseFiles> files;
  Uuid database_id;
  // False: it is being created, and FinishCreation comes once the engine's files are durable.
  bool exists = false;
  // Of a creation that was cut short: names in the folder of the engine, and a number that none of
  // them has reached.
  std::vector<std::string> leftovers;
  uint64_t next_file_number = 1;
};

// A directory that is refused stays as it is, LOCK included. `node`: the only identity that is
// accepted, and given to a directory that is made; null for a standalone database.
// Errors: kNotFound there is no database and `create` is false; kFailedPrecondition it is locked,
// of a newer format, or another's; kDataLoss a part of it is missing or damaged; what the file
// system says.
absl::StatusOr<DatabaseDirectory> OpenDatabaseDirectory(base::FileSystem* files, const std::string& dir, bool create,
                                                        base::Random* random, const Identity* node = nullptr);

// The same of a directory that is only to be read: nothing in it is locked, written or created.
// Errors: kNotFound there is no database; else as above.
absl::StatusOr<DatabaseDirectory> FindDatabaseDirectory(base::FileSystem* files, const std::string& dir,
                                                        const Identity* node = nullptr);

// Makes a directory that was begun a database. Durability: it is there after power loss when this
// returns OK.
absl::Status FinishCreation(base::FileSystem* files, const std::string& dir);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_DATABASE_DIRECTORY_H_
