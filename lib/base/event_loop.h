// The byte-stream seam: connections, timers and messages between threads, on one thread that runs
// to completion.
//
// In production a loop is net::SocketLoop; in the simulator it is one of many that share a thread,
// a seed and virtual time (test/support/sim_streams.h). Everything above it (framing, handshakes,
// reconnects) is the same code in both, so it must bear what the seam allows: a read that gives one
// byte, a write that takes part, a peer that is gone at any call.
//
// A turn of a loop is: what streams and listeners have to say, then timers that are due, then tasks
// that were posted, then OnTurnEnd. Whatever is made ready in between waits for the next turn.
#ifndef BANDB_BASE_EVENT_LOOP_H_
#define BANDB_BASE_EVENT_LOOP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/executor.h"

namespace bandb::base {

// What became of a read or a write.
struct IoResult {
  enum class State : uint8_t {
    kDone,        // `bytes` of them, at least one
    kWouldBlock,  // none now; the handler will be told
    kEnd,         // of a read: the peer will send nothing more
    kFailed,      // the connection is gone in both directions
  };
  State state = State::kFailed;
  size_t bytes = 0;
};

// Told about one stream, on the loop's thread. Inside any of these the stream may be destroyed;
// nothing is told after.
class StreamHandler {
 public:
  // There are bytes, or the end, to read. Told in each turn in which that is so, while reading is
  // watched.
  virtual void OnReadable() = 0;
  // There is room to write, or the connection that Connect began is established. Told likewise
  // while writing is watched.
  virtual void OnWritable() = 0;
  // The connection is gone in both directions, or could not be made. Told whatever is watched;
  // nothing is told after.
  virtual void OnBroken() = 0;

 protected:
  ~StreamHandler() = default;
};

// One end of a connection. Never blocks. The destructor closes it in both directions; bytes that
// were not read make the peer see it broken, so a side that wants its last bytes received calls
// CloseWrite and reads to the end.
// Thread safety: the loop's thread; until SetHandler any one thread.
class Stream {
 public:
  virtual ~Stream() = default;
  // Set once, before anything is watched. Lifetime: must outlive the stream.
  virtual void SetHandler(StreamHandler* handler) = 0;
  // At most `bytes_max` bytes, which must be more than none.
  virtual IoResult Read(char* to, size_t bytes_max) = 0;
  // As many bytes from the front of the pieces as there is room for.
  virtual IoResult Write(absl::Span<const std::string_view> pieces) = 0;
  // Which of OnReadable and OnWritable to tell from now on; neither at first.
  virtual void Watch(bool readable, bool writable) = 0;
  // The peer reads the end after what was written.
  virtual void CloseWrite() = 0;
  // HOST:PORT of the other end.
  virtual const std::string& peer() const = 0;
  // Connected, and any handshake of the stream itself is done.
  virtual bool established() const { return true; }
  // Bytes that Write took and that are still here, as encrypted ones may be: they are lost if it is
  // destroyed. OnWritable tells that there are none any more.
  virtual size_t unsent_bytes() const { return 0; }
  // Memory of its own, these included.
  virtual size_t held_bytes() const { return 0; }
  // Nobody on the way can read it.
  virtual bool is_encrypted() const { return false; }
  // Once it is broken: why, for people, where more is known than that; else empty.
  virtual std::string failure() const { return {}; }
};

class EventLoop;

class AcceptHandler {
 public:
  // A peer waits to be accepted. Told in each turn in which that is so, while watched.
  virtual void OnAcceptable() = 0;

 protected:
  ~AcceptHandler() = default;
};

// Thread safety: the loop's thread. The destructor stops listening.
class Listener {
 public:
  virtual ~Listener() = default;
  // A new stream, or null when none waits. It belongs to `loop`, which may be another loop than the
  // listener's: then nothing may be done with it here but to hand it over in a task. That loop must
  // outlive it.
  // Errors: kResourceExhausted out of descriptors or memory; one that waited was turned away if
  // that was possible.
  virtual absl::StatusOr<std::unique_ptr<Stream>> Accept(EventLoop* loop) = 0;
  // Whether to tell OnAcceptable; true at first.
  virtual void Watch(bool acceptable) = 0;
  // HOST:PORT that can be connected to.
  virtual const std::string& address() const = 0;
};

struct ListenOptions {
  std::string address;        // HOST:PORT; port 0 takes a free one
  int keepalive_seconds = 0;  // of accepted streams: when to probe a silent peer; 0 never
};

class TurnHandler {
 public:
  virtual void OnTurnEnd() = 0;

 protected:
  ~TurnHandler() = default;
};

using TimerId = uint64_t;
inline constexpr TimerId kNoTimer = 0;

// Thread safety: Post from any thread; the rest on the loop's thread, or before the loop runs.
// Lifetime: streams and listeners must be destroyed before their loop.
class EventLoop {
 public:
  virtual ~EventLoop() = default;

  // Errors: kInvalidArgument not an address · kFailedPrecondition it is in use · kPermissionDenied
  // it may not be taken · kInternal the operating system refused.
  virtual absl::StatusOr<std::unique_ptr<Listener>> Listen(const ListenOptions& options, AcceptHandler* handler) = 0;
  // Begins to connect; OnWritable or OnBroken tells how it went.
  // Errors: kInvalidArgument not an address · kUnavailable out of descriptors · kInternal.
  virtual absl::StatusOr<std::unique_ptr<Stream>> Connect(const std::string& address, StreamHandler* handler) = 0;
  // As Connect, to an address that was found for `name`, HOST:PORT as well. Where the other side
  // has to prove who it is, it is this host.
  virtual absl::StatusOr<std::unique_ptr<Stream>> ConnectFor(const std::string& /*name*/, const std::string& address,
                                                             StreamHandler* handler) {
    return Connect(address, handler);
  }

  // Runs `task` once, at least `delay_nanos` from now.
  virtual TimerId After(int64_t delay_nanos, Task task) = 0;
  // Nothing, if it ran or was cancelled.
  virtual void Cancel(TimerId timer) = 0;
  // Runs `task` in a turn to come, in the order of posting. Tasks that no turn follows are
  // destroyed with the loop.
  virtual void Post(Task task) = 0;

  // Monotonic time when the turn began.
  virtual int64_t NowNanos() = 0;
  // Called at the end of every turn, in the order of adding. Not from inside OnTurnEnd.
  virtual void AddTurnHandler(TurnHandler* handler) = 0;
  virtual void RemoveTurnHandler(TurnHandler* handler) = 0;
};

}  // namespace bandb::base

#endif  // BANDB_BASE_EVENT_LOOP_H_
