// An applier crashed before every call that changes the file system: what is found is what the log
// up to the durable position makes, sessions included, and applying the rest again ends as it did.
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/applier.h"
#include "cluster/applier_rig.h"
#include "cluster/command_log.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

using test::CrashFileSystem;
using test::Damage;

class Crashes {
 public:
  explicit Crashes(uint64_t seed) : seed_(seed), log_(RandomCommandLog(seed, {.entries = 120, .pauses = 25})) {
    ApplierNode node({.node = 2}, &log_.log());
    REQUIRE_OK(node.Open(0));
    for (raft::Index index = 0; index <= log_.last(); ++index) {
      node.Feed(index);
      node.RunToEnd();
      spaces_.push_back(node.Dump());
    }
  }

  // Takes images of what `node` leaves at each call.
  void Watch(ApplierNode* node) {
    node_ = node;
    node->env().files().SetHook([this](uint64_t mutation) { TakeImages(mutation); });
  }
  const CommandLog& log() const { return log_; }
  const Spaces& SpacesAt(raft::Index index) const { return spaces_[index]; }
  uint64_t images() const { return images_; }
  size_t positions() const { return positions_.size(); }

 private:
  void TakeImages(uint64_t mutation) {
    const CrashFileSystem& files = node_->env().files();
    const uint64_t seed = seed_ * 100'000 + ++images_;
    INFO("call " << mutation << " after " << files.LastCall());
    Look(files.CrashImage(Damage::kLost, seed), seed);
    Look(files.CrashImage(test::kAllDamages[seed % std::size(test::kAllDamages)], seed), seed);
    if (mutation % 2 == 0) Look(files.ProcessDeathImage(seed), seed);
  }

  void Look(std::unique_ptr<CrashFileSystem> image, uint64_t seed) {
    // What was told to be durable is.
    const raft::Index promised = node_->durable.empty() ? 0 : node_->durable.back();
    const raft::Index fed = node_->fed();
    ApplierNode found({.seed = seed}, &log_.log(), std::move(image));
    REQUIRE_OK(found.Open(fed));
    const raft::Index position = found.applier().applied();
    positions_[position] = true;
    REQUIRE(position >= promised);
    REQUIRE(found.Dump() == spaces_[position]);
    REQUIRE(found.applier().sessions() == spaces_[position].system.size());
    found.RunToEnd();
    if (position <= fed) REQUIRE(found.Dump() == spaces_[fed]);
    found.Feed(log_.last());
    found.RunToEnd();
    REQUIRE(found.results.size() == log_.last() - position);
    for (const auto& [index, results] : found.results) REQUIRE(results == log_.results()[index - 1]);
    REQUIRE(found.Dump() == spaces_.back());
    REQUIRE(found.failures.empty());
  }

  const uint64_t seed_;
  const CommandLog log_;
  std::vector<Spaces> spaces_;
  ApplierNode* node_ = nullptr;
  uint64_t images_ = 0;
  std::map<raft::Index, bool> positions_;
};

}  // namespace

TEST_CASE("whenever the power fails, an applier finds its sessions as they were, and answers the same") {
  Crashes crashes(11);
  ApplierNode node({.seed = 4}, &crashes.log().log());
  crashes.Watch(&node);
  REQUIRE_OK(node.Open(0));
  for (const raft::Index index : {10, 30, 31, 60, 90}) {
    node.Feed(index);
    node.RunToEnd();
    if (index != 31) node.FlushAll();
  }
  node.Kill();
  crashes.Watch(&node);
  REQUIRE_OK(node.Open(95));
  node.FlushAll();
  node.Feed(crashes.log().last());
  node.FlushAll();
  CHECK(crashes.images() > 50);
  CHECK(crashes.positions() > 5);
}

TEST_CASE("whenever the power fails during an install, an applier finds one state or the other, and its sessions") {
  Crashes crashes(12);
  ApplierNode peer({.seed = 9, .node = 2}, &crashes.log().log());
  REQUIRE_OK(peer.Open(0));
  ApplierNode node({.seed = 5}, &crashes.log().log());
  REQUIRE_OK(node.Open(0));
  crashes.Watch(&node);
  for (const raft::Index index : {20, 70}) {
    node.Feed(index);
    node.RunTurns();
    node.applier().TakeSnapshot();
    node.env().executor().RunOne(0);
    peer.Feed(index + 25);
    peer.FlushAll();
    REQUIRE(node.SendStateOf(&peer));
    CHECK(node.Dump() == crashes.SpacesAt(index + 25));
  }
  node.Feed(crashes.log().last());
  node.FlushAll();
  CHECK(crashes.images() > 50);
  CHECK(crashes.positions() > 4);
}

}  // namespace bandb::cluster
