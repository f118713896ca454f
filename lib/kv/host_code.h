// Code of the application that a store runs: listeners, loggers, callbacks.
#ifndef BANDB_KV_HOST_CODE_H_
#define BANDB_KV_HOST_CODE_H_

namespace bandb::kv {

// Runs `code`, and lets no exception out of it, for the threads that call it know of none. False if
// it threw one.
template <typename Code>
bool RunContained(const Code& code) noexcept {
  try {
    code();
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace bandb::kv

#endif  // BANDB_KV_HOST_CODE_H_
