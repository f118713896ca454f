// What a database should hold, as a plain sorted map, and what a write does to it: the dumb side of
// every test that compares a database with a model, DbModel and the rigs alike.
//
// An entry that has expired stays in the map, for whether it is seen depends on who looks, and
// when. What a version is only the database knows: here a value has a stamp instead, which says by
// which change of which write it was put.
#ifndef BANDB_TEST_STORAGE_MODEL_MODEL_STATE_H_
#define BANDB_TEST_STORAGE_MODEL_MODEL_STATE_H_

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bandb/write_batch.h"

namespace bandb::test {

struct ModelValue {
  static constexpr uint64_t kNever = UINT64_MAX;

  std::string value;
  uint64_t expiry_ms = kNever;
  uint64_t stamp = 0;

  auto operator<=>(const ModelValue&) const = default;
};
using ModelState = std::map<std::string, ModelValue>;

// Keys and values in the order of an iterator.
using ModelEntries = std::vector<std::pair<std::string, std::string>>;
// What is seen at `now_ms` of [lower, upper); empty means unbounded.
ModelEntries Visible(const ModelState& state, uint64_t now_ms, const std::string& lower = {},
                     const std::string& upper = {});
// For people: the beginning of a key, on one line.
std::string Readable(const std::string& key);
// For people: where they first differ.
std::string Difference(const ModelEntries& found, const ModelEntries& expected);

struct ModelChange {
  enum class Kind { kPut, kPutWithTtl, kDelete, kDeleteRange };

  Kind kind;
  std::string key;
  std::string value{};  // or the limit of the range
  uint64_t ttl_ms = 0;
};

struct ModelCondition {
  enum class Kind { kPresent, kAbsent, kValue, kVersion, kEmptyRange };

  Kind kind;
  std::string key;
  std::string value{};  // or the limit of the range
  uint64_t version = 0;
  // Of the value that had the version, 0 if there was none; kNoStamp if there never was one with
  // it.
  uint64_t stamp = 0;
  static constexpr uint64_t kNoStamp = UINT64_MAX;

  bool Holds(const ModelState& state, uint64_t now_ms) const;
};

// What one write asks for, and when it is committed.
struct ModelWrite {
  std::vector<ModelChange> changes{};
  std::vector<ModelCondition> conditions{};
  bool sync = false;
  uint64_t now_ms = 0;
  // Of those whose values are told apart, each has another one, and none has 0.
  uint64_t number = 0;

  // Whether all conditions do.
  bool Holds(const ModelState& state, uint64_t now_ms) const;
  // As if all conditions held.
  void Apply(ModelState* state) const;
  WriteBatch ToBatch() const;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_MODEL_MODEL_STATE_H_
