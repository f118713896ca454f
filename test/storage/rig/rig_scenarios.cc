// The courses of events that crash, fail and rot in the tests of the database.
#include <string>
#include <utility>
#include <vector>

#include "storage/model/model_ingest.h"
#include "storage/rig/rig_actor.h"
#include "support/random_data.h"

namespace bandb::test {

namespace {

using Change = ModelChange::Kind;
using Condition = ModelCondition::Kind;

std::string Key(RigActor* actor, uint64_t count) { return NumberedKey(actor->random().Uniform(count), 3); }

// Large enough that about thirty of them fill a memtable.
std::string Value(RigActor* actor, size_t limit = 2000) {
  const size_t length = 1 + actor->random().Uniform(limit);
  return actor->random().OneIn(2) ? RandomBytes(&actor->random(), length) : RandomText(&actor->random(), length);
}

ModelWrite Put(RigActor* actor, uint64_t keys, bool sync, size_t limit = 2000) {
  return {.changes = {{Change::kPut, Key(actor, keys), Value(actor, limit)}}, .sync = sync};
}

ModelWrite Batch(RigActor* actor, uint64_t keys, bool sync) {
  ModelWrite write{.changes = {}, .sync = sync};
  const uint64_t count = 2 + actor->random().Uniform(6);
  for (uint64_t i = 0; i < count; ++i) {
    if (actor->random().OneIn(4)) {
      write.changes.push_back({Change::kDelete, Key(actor, keys)});
    } else {
      write.changes.push_back({Change::kPut, Key(actor, keys), Value(actor, 600)});
    }
  }
  return write;
}

void SyncedPuts(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 25; ++i) actor->Write(Put(actor, 20, true, 300));
  actor->Close();
}

void MixedPuts(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 60; ++i) {
    if (actor->random().OneIn(5)) {
      actor->Write({.changes = {{Change::kDelete, Key(actor, 20)}}, .sync = actor->random().OneIn(4)});
    } else {
      actor->Write(Put(actor, 20, actor->random().OneIn(6), 500));
    }
  }
  actor->Close();
}

void Groups(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 12; ++i) {
    std::vector<ModelWrite> writes;
    const uint64_t count = 1 + actor->random().Uniform(6);
    for (uint64_t j = 0; j < count; ++j) writes.push_back(Batch(actor, 25, actor->random().OneIn(4)));
    actor->WriteTogether(writes);
  }
  actor->Close();
}

void Flushes(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 90; ++i) {
    actor->Write(Put(actor, 40, actor->random().OneIn(12)));
    if (i == 20 || i == 21 || i == 60) actor->Flush();
  }
  actor->env().executor().RunReady();
  actor->Close();
}

void Compactions(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 230; ++i) {
    if (actor->random().OneIn(6)) {
      actor->Write({.changes = {{Change::kDelete, Key(actor, 100)}}, .sync = false});
    } else {
      actor->Write(Put(actor, 100, actor->random().OneIn(30)));
    }
  }
  actor->env().executor().RunReady();
  actor->Compact("", "");
  actor->Close();
}

void RangeDeletes(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 110; ++i) {
    actor->Write(Put(actor, 60, false, 1200));
    if (!actor->random().OneIn(7)) continue;
    std::string begin = Key(actor, 60);
    std::string limit = Key(actor, 60);
    if (limit < begin) std::swap(begin, limit);
    actor->Write({.changes = {{Change::kDeleteRange, begin, limit}}, .sync = actor->random().OneIn(3)});
    if (actor->random().OneIn(5)) actor->Flush();
  }
  actor->Compact("", "");
  actor->Close();
}

void TimesToLive(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 80; ++i) {
    const uint64_t ttl_ms = actor->random().OneIn(3) ? kRigMomentMs : kRigHourMs;
    const Change kind = actor->random().OneIn(3) ? Change::kPut : Change::kPutWithTtl;
    actor->Write({.changes = {{kind, Key(actor, 30), Value(actor, 1200), ttl_ms}}, .sync = actor->random().OneIn(8)});
    actor->env().clock().AdvanceMillis(5);
  }
  actor->Compact("", "");
  actor->Close();
}

void Batches(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 50; ++i) actor->Write(Batch(actor, 40, actor->random().OneIn(6)));
  actor->Close();
}

void Conditions(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 60; ++i) {
    ModelWrite write = Batch(actor, 12, actor->random().OneIn(5));
    const std::string key = Key(actor, 12);
    const bool absent = actor->random().OneIn(2);
    write.conditions.push_back({absent ? Condition::kAbsent : Condition::kPresent, key});
    if (actor->random().OneIn(4)) {
      // A value that is there, if the last write was not aborted.
      const ModelWrite first{.changes = {{Change::kPut, key, "value"}}, .sync = false};
      actor->Write(first);
      write.conditions = {{Condition::kValue, key, actor->random().OneIn(3) ? "other" : "value"}};
    }
    actor->Write(write);
  }
  actor->Close();
}

void Reopens(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 5; ++i) {
    for (int j = 0; j < 12; ++j) actor->Write(Put(actor, 30, actor->random().OneIn(8), 1500));
    actor->Reopen();
  }
  actor->Close();
}

void Kills(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 5; ++i) {
    for (int j = 0; j < 14; ++j) actor->Write(Put(actor, 30, actor->random().OneIn(8), 1500));
    actor->Kill();
    actor->Write(Put(actor, 30, true, 100));
  }
  actor->Close();
}

// Many small edits, so that the manifest is rolled over several times. A log that is flushed before
// anything in it is promised needs no sync, so all writes ask for one.
void Manifests(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 24; ++i) {
    actor->Write(Put(actor, 30, true, 200));
    if (i % 2 == 0) actor->Flush();
    if (i == 12) actor->Reopen();
  }
  actor->Close();
}

void Checkpoints(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 40; ++i) actor->Write(Put(actor, 25, false));
  actor->Checkpoint("/checkpoint1");
  for (int i = 0; i < 40; ++i) actor->Write(Put(actor, 25, actor->random().OneIn(10)));
  actor->Checkpoint("/checkpoint2");
  actor->Compact("", "");
  actor->Close();
}

// Of some tables each, over and beside what is there, and among writes that are in memory alone.
// In each log something is promised before it is flushed, and not before it has some sectors.
void Ingests(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 6; ++i) {
    ModelWrite write;
    const uint64_t begin = actor->random().Uniform(60);
    for (uint64_t key = begin; key < begin + 5 + actor->random().Uniform(50); ++key) {
      write.changes.push_back({Change::kPut, NumberedKey(key, 3), RandomBytes(&actor->random(), 3000)});
    }
    MakeIngestible(&write);
    actor->Ingest(write);
    for (int j = 0; j < 8; ++j) actor->Write(Put(actor, 60, j == 5, 900));
    if (i == 2) actor->Reopen();
    if (i == 3) actor->env().executor().RunReady();
  }
  actor->Close();
}

}  // namespace

const std::vector<RigScenario>& RigScenarios() {
  static const std::vector<RigScenario> scenarios = {
      {"synced puts", SyncedPuts},
      {"mixed puts", MixedPuts},
      {"groups", Groups},
      {"flushes", Flushes},
      {"compactions", Compactions},
      {"range deletes", RangeDeletes},
      {"times to live", TimesToLive},
      {"batches", Batches},
      {"conditions", Conditions},
      {"reopens", Reopens},
      {"kills", Kills},
      {"checkpoints", Checkpoints},
      {"manifests", Manifests},
      {"ingests", Ingests},
  };
  return scenarios;
}

}  // namespace bandb::test
