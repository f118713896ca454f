// A fixed piece of zeroed memory, taken from the operating system whole and touched page by page as
// it is used.
#ifndef BANDB_BASE_REGION_H_
#define BANDB_BASE_REGION_H_

#include <cstddef>
#include <memory>

namespace bandb::base {

// Advises huge pages, where the system has them: random access over tens of megabytes is bound by
// address translation.
class Region {
 public:
  // Null if the operating system refuses: such pieces are large, and a caller that asks for one can
  // do without it for now.
  static std::unique_ptr<Region> Map(size_t bytes);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  Region(char* data, size_t size) : data_(data), size_(size) {}

  char* const data_;
  const size_t size_;
};

// Where regions come from; a test's may refuse some. Thread safety: any thread.
class RegionSource {
 public:
  virtual ~RegionSource() = default;
  // As Region::Map.
  virtual std::unique_ptr<Region> Map(size_t bytes) = 0;
};

}  // namespace bandb::base

#endif  // BANDB_BASE_REGION_H_
