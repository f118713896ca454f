// What a loop waits for beside its sockets: a word from another thread.
#ifndef BANDB_NET_WAKE_UP_H_
#define BANDB_NET_WAKE_UP_H_

#include <unistd.h>

#include <cstdint>
#include <utility>

#include "net/file_descriptor.h"

namespace bandb::net {

// Readable from Ring on, until Clear; however often it was rung, a few bytes are written. None of
// its descriptors blocks.
class WakeUp {
 public:
  // Two ends, as a pipe has them, or one descriptor that is both.
  WakeUp(FileDescriptor reading, FileDescriptor writing)
      : reading_(std::move(reading)), writing_(std::move(writing)), written_to_(writing_.get()) {}
  explicit WakeUp(FileDescriptor both) : reading_(std::move(both)), written_to_(reading_.get()) {}

  // To be watched for reading.
  int fd() const { return reading_.get(); }
  // Thread safety: any thread. What cannot be written is not needed: it is readable then.
  void Ring() const {
    const uint64_t one = 1;
    (void)!::write(written_to_, &one, sizeof(one));
  }
  // Nothing depends on what is read; the descriptor must only stop being readable.
  void Clear() const {
    uint64_t count = 0;
    (void)!::read(reading_.get(), &count, sizeof(count));
  }

 private:
  FileDescriptor reading_;
  FileDescriptor writing_;
  int written_to_;
};

}  // namespace bandb::net

#endif  // BANDB_NET_WAKE_UP_H_
