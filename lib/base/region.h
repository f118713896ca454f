// A fixed piece of zeroed memory, taken from the operating system whole and touched page by page as
// it is used.
#ifndef BANDB_BASE_REGION_H_
#define BANDB_BASE_REGION_H_

#include <cstddef>

namespace bandb::base {

// Advises huge pages, where the system has them: random access over tens of megabytes is bound by
// address translation.
class Region {
 public:
  // Memory that the system refuses is not an error that a caller could handle: it ends the process,
  // as it does for new.
  explicit Region(size_t bytes);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace bandb::base

#endif  // BANDB_BASE_REGION_H_
