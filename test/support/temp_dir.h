// A directory on the real disk that goes with its owner.
#ifndef BANDB_TEST_SUPPORT_TEMP_DIR_H_
#define BANDB_TEST_SUPPORT_TEMP_DIR_H_

#include <string>

namespace bandb::test {

class TempDir {
 public:
  // Makes an empty directory where the system keeps temporary files.
  TempDir();
  // Removes it and all that is in it.
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // "path()/name".
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_TEMP_DIR_H_
