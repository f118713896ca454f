// Space 0 as a plain map, for tests of what lies in it.
#ifndef BANDB_TEST_CLUSTER_SYSTEM_SPACE_H_
#define BANDB_TEST_CLUSTER_SYSTEM_SPACE_H_

#include <memory>
#include <string>
#include <utility>

#include "bandb/iterator.h"
#include "cluster/map_iterator.h"
#include "kv/batch_format.h"
#include "support/catch.h"

namespace bandb::cluster {

class SystemSpace {
 public:
  using Map = MapIterator::Map;

  // Encoded operations; answers how many.
  uint64_t Apply(const std::string& operations) {
    kv::OperationReader reader(operations);
    kv::Operation operation;
    uint64_t count = 0;
    for (; reader.Next(&operation); ++count) {
      const std::string key(operation.key);
      if (operation.kind == kv::Kind::kPut) {
        Put(key, std::string(operation.value));
      } else {
        REQUIRE(operation.kind == kv::Kind::kDelete);
        // What is deleted was there.
        CHECK(map_.erase(key) == 1);
      }
    }
    REQUIRE(reader.ok());
    return count;
  }
  void Put(const std::string& key, const std::string& value) { map_[key] = value; }
  std::string Get(const std::string& key) const {
    const auto at = map_.find(key);
    return at == map_.end() ? std::string() : at->second;
  }
  std::string Text() const {
    std::string text;
    for (const auto& [key, value] : map_) text += key + "=" + value + ";";
    return text;
  }
  std::unique_ptr<Iterator> NewIterator() const { return std::make_unique<MapIterator>(map_); }

 private:
  Map map_;
};

}  // namespace bandb::cluster

#endif  // BANDB_TEST_CLUSTER_SYSTEM_SPACE_H_
