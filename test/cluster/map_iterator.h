// Space 0 as a map, walked as those who load from it do: forward only.
#ifndef BANDB_TEST_CLUSTER_MAP_ITERATOR_H_
#define BANDB_TEST_CLUSTER_MAP_ITERATOR_H_

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "bandb/iterator.h"
#include "base/assert.h"

namespace bandb::cluster {

class MapIterator final : public Iterator {
 public:
  using Map = std::map<std::string, std::string>;

  explicit MapIterator(Map map) : map_(std::move(map)), at_(map_.end()) {}
  bool Valid() const override { return at_ != map_.end(); }
  void SeekToFirst() override { at_ = map_.begin(); }
  void SeekToLast() override { BANDB_UNREACHABLE(); }
  void Seek(std::string_view target) override { at_ = map_.lower_bound(std::string(target)); }
  void SeekForPrev(std::string_view /*target*/) override { BANDB_UNREACHABLE(); }
  void Next() override { ++at_; }
  void Prev() override { BANDB_UNREACHABLE(); }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  const Map map_;
  Map::const_iterator at_;
};

}  // namespace bandb::cluster

#endif  // BANDB_TEST_CLUSTER_MAP_ITERATOR_H_
