// Peers as they are.
#include "cluster/peer_world.h"

namespace bandb::test {

std::shared_ptr<base::EventLoop> OverLayer(std::shared_ptr<base::EventLoop> below) { return below; }

}  // namespace bandb::test
