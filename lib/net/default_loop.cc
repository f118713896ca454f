// Which kind of loop serves where nobody chose one. In a file by itself: a program that defines
// this function is linked with its own, and has all that BanNet carries on another kind.
#include "net/socket_loop.h"

namespace bandb::net {

LoopKind DefaultLoopKind() {
#ifdef BANDB_HAVE_EPOLL
  return LoopKind::kEpoll;
#else
  return LoopKind::kPoll;
#endif
}

}  // namespace bandb::net
