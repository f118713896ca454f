// Reads, decides, writes: what a command of several steps does to the store, as one.
//
// The body of a transaction runs over a view. What it reads becomes the condition of what it
// writes: nothing of that may have changed when it commits, or the body runs again.
#ifndef BANDB_SERVER_TRANSACTION_H_
#define BANDB_SERVER_TRANSACTION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "bandb/iterator.h"
#include "server/commands.h"
#include "server/session.h"

namespace bandb::server {

inline constexpr int64_t kNeverExpires = INT64_MAX;

struct StoredEntry {
  std::string value;
  int64_t expiry_ms = kNeverExpires;
  bool operator==(const StoredEntry&) const = default;
};
// Nothing: there is no such key.
using EntryState = std::optional<StoredEntry>;
using EntryMap = std::map<std::string, EntryState, std::less<>>;

// What an entry takes in memory, and what a map of them does.
size_t EntryBytes(std::string_view key, const EntryState& state);
size_t BytesOf(const EntryMap& entries);

// Where a transaction reads from.
class EntrySource {
 public:
  virtual ~EntrySource() = default;
  // Errors: kUnavailable it would have to wait, others as the store.
  virtual absl::Status Read(std::string_view key, EntryState* state) = 0;
  // From this key on; null where walking would have to wait.
  virtual std::unique_ptr<Iterator> Walk(std::string_view begin) = 0;
};

// One run of a body. It holds what it reads and writes, up to a limit, and walks over so many keys
// at most; beyond that it fails, with nothing done. Thread safety: one thread at a time.
class Transaction {
 public:
  static constexpr int64_t kWalkedKeysMax = 10'000'000;

  // `user`: whose reads are checked; null: everything may be read. What it writes its caller
  // checks.
  Transaction(EntrySource* source, int64_t now_ms, size_t bytes_max, const User* user = nullptr)
      : source_(source), now_ms_(now_ms), bytes_max_(bytes_max), user_(user) {}

  int64_t now_ms() const { return now_ms_; }
  // Null: there is none, or `status` tells that it could not be read. Valid until the key is
  // written.
  const StoredEntry* Get(std::string_view key);
  void Put(std::string_view key, std::string value, int64_t expiry_ms = kNeverExpires);
  void Delete(std::string_view key);
  void DeleteAll();
  // Calls `visit` for each key from `begin` on, in order, until it answers false or this fails.
  void Walk(std::string_view begin, absl::FunctionRef<bool(std::string_view key)> visit);

  // Likewise, of keys that begin with `prefix` alone. All of these must be the user's to read.
  void WalkPrefix(std::string_view begin, std::string_view prefix, absl::FunctionRef<bool(std::string_view key)> visit);

  // Whether a reply of so many bytes is within the limit as well; if not, this fails.
  bool HasRoomFor(size_t reply_bytes);
  size_t bytes() const { return bytes_; }

  // What has failed, if anything; the rest is then worth nothing.
  const absl::Status& status() const { return status_; }
  bool writes() const { return !written_.empty() || deleted_all_; }
  // Of what it read first, as conditions.
  std::vector<Condition> Conditions() const;
  // Lifetime: views of this.
  std::vector<Operation> Writes() const;
  const EntryMap& written() const { return written_; }
  bool deleted_all() const { return deleted_all_; }

 private:
  const EntryState& Find(std::string_view key);
  void WalkAll(std::string_view begin, absl::FunctionRef<bool(std::string_view key)> visit);
  void Write(std::string_view key, EntryState state);
  void Hold(size_t bytes);

  EntrySource* const source_;
  const int64_t now_ms_;
  const size_t bytes_max_;
  const User* const user_;
  size_t bytes_ = 0;
  int64_t walked_keys_ = 0;
  absl::Status status_;
  EntryMap seen_;
  EntryMap written_;
  bool deleted_all_ = false;
};

// Runs as often as needed, with the reply empty at first; on whatever thread, one at a time.
using TransactionBody = std::function<void(Transaction* transaction, std::string* reply)>;

}  // namespace bandb::server

#endif  // BANDB_SERVER_TRANSACTION_H_
