// The fuzz target of the Raft core: see raft_events.h.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/raft_events.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bandb::raft::RaftEvents(std::string_view(reinterpret_cast<const char*>(data), size)).Run();
  return 0;
}
