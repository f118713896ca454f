// The file systems that must all keep the contract of base/file_system.h: the same tests run on
// each.
#ifndef BANDB_TEST_BASE_FILE_SYSTEM_RIGS_H_
#define BANDB_TEST_BASE_FILE_SYSTEM_RIGS_H_

#include <string>

#include "base/posix_file_system.h"
#include "support/crash_file_system.h"
#include "support/temp_dir.h"

namespace bandb::test {

class PosixRig {
 public:
  base::FileSystem& files() { return files_; }
  // An empty directory to work in.
  std::string dir() const { return dir_.path(); }

 protected:
  explicit PosixRig(const base::PosixFileSystemOptions& options) : files_(options) {}

 private:
  TempDir dir_;
  base::PosixFileSystem files_;
};

struct PosixDefault : PosixRig {
  PosixDefault() : PosixRig({}) {}
};
// Buffers and windows so small that every test crosses many of them.
struct PosixSmallWindows : PosixRig {
  PosixSmallWindows() : PosixRig({.write_buffer_bytes = 100, .window_bytes = 4096}) {}
};
struct PosixWithoutMapping : PosixRig {
  PosixWithoutMapping() : PosixRig({.write_buffer_bytes = 1, .window_bytes = 0, .rename_noreplace = false}) {}
};

class CrashRig {
 public:
  CrashRig() { files_.CreateDirs(dir()).IgnoreError(); }
  base::FileSystem& files() { return files_; }
  std::string dir() const { return "/work/dir"; }

 private:
  CrashFileSystem files_;
};

}  // namespace bandb::test

#define BANDB_FILE_SYSTEMS                                                                \
  ::bandb::test::CrashRig, ::bandb::test::PosixDefault, ::bandb::test::PosixSmallWindows, \
      ::bandb::test::PosixWithoutMapping

#endif  // BANDB_TEST_BASE_FILE_SYSTEM_RIGS_H_
