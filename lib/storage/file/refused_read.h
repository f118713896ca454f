// What becomes of a read that the operating system refuses.
//
// The codes of a read are answers: kNotFound says that there is no such key, kDataLoss that bytes
// were read and are wrong. The file system speaks of files in the same codes, and none of its
// refusals may be taken for an answer.
#ifndef BANDB_STORAGE_FILE_REFUSED_READ_H_
#define BANDB_STORAGE_FILE_REFUSED_READ_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace bandb::storage {

// True of errors that another attempt may not meet: kResourceExhausted, the disk is full;
// kUnavailable, no descriptor was free. A call of the file system that answers so has changed
// nothing.
bool MayPass(const absl::Status& refused);

// Of a read at `offset` of the file `path`: kInternal, with what the operating system said. Some
// codes stay: kFailedPrecondition, for the database is closed; kDataLoss, for the file is another
// one than before; and those by which background work knows that another attempt may succeed.
absl::Status RefusedRead(const absl::Status& refused, std::string_view path, uint64_t offset);

// For a file of the database that is not found where it must be: kInternal in place of kNotFound,
// which says that there is no such key, or no database. Other errors stay.
absl::Status MustBeThere(absl::Status status);

// The same error for a caller that read the database: what is exhausted is not the caller's
// to know.
absl::Status ForReader(absl::Status status);
// Of what ForReader gave, or of a copy: whether it was kUnavailable before, so that the read may
// succeed once the process has a descriptor.
bool LacksDescriptors(const absl::Status& status);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_FILE_REFUSED_READ_H_
