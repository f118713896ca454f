// Space 0 as a plain map, for tests of what lies in it.
#ifndef BANDB_TEST_CLUSTER_SYSTEM_SPACE_H_
#define BANDB_TEST_CLUSTER_SYSTEM_SPACE_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "bandb/iterator.h"
#include "kv/batch_format.h"
#include "support/catch.h"

namespace bandb::cluster {

class SystemSpace {
 public:
  using Map = std::map<std::string, std::string>;

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
  // Forward only.
  class MapIterator final : public Iterator {
   public:
    explicit MapIterator(const Map& map) : map_(map), at_(map_.end()) {}
    bool Valid() const override { return at_ != map_.end(); }
    void SeekToFirst() override { at_ = map_.begin(); }
    void SeekToLast() override { FAIL("not needed"); }
    void Seek(std::string_view target) override { at_ = map_.lower_bound(std::string(target)); }
    void SeekForPrev(std::string_view) override { FAIL("not needed"); }
    void Next() override { ++at_; }
    void Prev() override { FAIL("not needed"); }
    std::string_view key() const override { return at_->first; }
    std::string_view value() const override { return at_->second; }
    absl::Status status() const override { return absl::OkStatus(); }

   private:
    const Map map_;
    Map::const_iterator at_;
  };

  Map map_;
};

}  // namespace bandb::cluster

#endif  // BANDB_TEST_CLUSTER_SYSTEM_SPACE_H_
