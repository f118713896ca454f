#include "storage/memtable/node_order.h"

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::storage {

TEST_CASE("the order of a node is what a list of slots is, and keeps every slot once") {
  base::Random random(7);
  NodeOrder order = NodeOrder::FirstSlots(0);
  std::vector<int> model;
  for (int round = 0; round < 5000; ++round) {
    if (!order.full() && !random.OneIn(8)) {
      const auto position = static_cast<int>(random.Uniform(model.size() + 1));
      model.insert(model.begin() + position, order.slot(order.count()));
      order = order.WithInserted(position);
    } else {
      const auto keep = static_cast<int>(random.Uniform(model.size() + 1));
      model.resize(static_cast<size_t>(keep));
      order = order.Truncated(keep);
    }
    REQUIRE(order.count() == static_cast<int>(model.size()));
    REQUIRE(order.full() == (model.size() == NodeOrder::kSlots));
    std::vector<int> slots;
    for (int i = 0; i < NodeOrder::kSlots; ++i) slots.push_back(order.slot(i));
    REQUIRE(std::equal(model.begin(), model.end(), slots.begin()));
    std::sort(slots.begin(), slots.end());
    for (int i = 0; i < NodeOrder::kSlots; ++i) REQUIRE(slots[static_cast<size_t>(i)] == i);
  }
}

TEST_CASE("the first slots are in the order of their numbers") {
  for (int count = 0; count <= NodeOrder::kSlots; ++count) {
    const NodeOrder order = NodeOrder::FirstSlots(count);
    CHECK(order.count() == count);
    for (int i = 0; i < NodeOrder::kSlots; ++i) CHECK(order.slot(i) == i);
  }
}

}  // namespace bandb::storage
