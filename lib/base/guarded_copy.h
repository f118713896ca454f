// Copies into the mapping of a file, and survives when the file system cannot serve the page.
//
// A store into a mapping has no return value: where the kernel has written a page back and cannot
// make it writable again, because the file system has shut down or the device has gone, the store
// raises SIGBUS. Around each copy, that signal leads back into the copy, which then says that it
// failed. Every other SIGBUS of the process goes where it went before: to the handler that the
// process had, or to the default, which ends it.
//
// The handler is the process's, and so there is one. It is installed when a file is first mapped. A
// host that installs its own one later takes it away from us: InstallGuard says so, and files are
// then not mapped.
#ifndef BANDB_BASE_GUARDED_COPY_H_
#define BANDB_BASE_GUARDED_COPY_H_

#include <cstddef>

namespace bandb::base {

// Whether GuardedCopy survives: the handler is installed now, or was before and still is. Thread
// safety: any thread.
bool InstallGuard();

// As memcpy. False if `to` could not be written; some of it may have been. Thread safety: any
// thread.
bool GuardedCopy(char* to, const char* from, size_t bytes);

}  // namespace bandb::base

#endif  // BANDB_BASE_GUARDED_COPY_H_
