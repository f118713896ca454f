// LMDB as a subject of bandb_bench db.
#include <lmdb.h>

#include "base/status.h"
#include "db_subject.h"

namespace bandb::bench {

namespace {

constexpr size_t kMapBytes = size_t{64} << 30;

absl::Status ToStatus(int result) {
  if (result == MDB_SUCCESS) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInternal, "lmdb: {}", mdb_strerror(result));
}

MDB_val ToVal(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }

// A transaction for each call, as the other stores are called. Without `sync` LMDB is told not to
// sync (MDB_NOSYNC), which is its nearest to surviving the process but not the machine.
class LmdbSubject final : public Subject {
 public:
  ~LmdbSubject() override { mdb_env_close(environment_); }

  absl::Status Open(const std::string& dir) {
    BANDB_RETURN_IF_ERROR(ToStatus(mdb_env_create(&environment_)));
    BANDB_RETURN_IF_ERROR(ToStatus(mdb_env_set_mapsize(environment_, kMapBytes)));
    BANDB_RETURN_IF_ERROR(ToStatus(mdb_env_open(environment_, dir.c_str(), MDB_NOSYNC | MDB_NOSUBDIR, 0600)));
    MDB_txn* transaction = nullptr;
    BANDB_RETURN_IF_ERROR(ToStatus(mdb_txn_begin(environment_, nullptr, 0, &transaction)));
    BANDB_RETURN_IF_ERROR(ToStatus(mdb_dbi_open(transaction, nullptr, 0, &table_)));
    return ToStatus(mdb_txn_commit(transaction));
  }

  absl::Status Put(std::string_view key, std::string_view value, bool sync) override {
    MDB_txn* transaction = nullptr;
    BANDB_RETURN_IF_ERROR(ToStatus(mdb_txn_begin(environment_, nullptr, 0, &transaction)));
    MDB_val key_val = ToVal(key), value_val = ToVal(value);
    const int put = mdb_put(transaction, table_, &key_val, &value_val, 0);
    if (put != MDB_SUCCESS) {
      mdb_txn_abort(transaction);
      return ToStatus(put);
    }
    BANDB_RETURN_IF_ERROR(ToStatus(mdb_txn_commit(transaction)));
    return sync ? ToStatus(mdb_env_sync(environment_, 1)) : absl::OkStatus();
  }
  absl::Status Delete(std::string_view key) override {
    MDB_txn* transaction = nullptr;
    BANDB_RETURN_IF_ERROR(ToStatus(mdb_txn_begin(environment_, nullptr, 0, &transaction)));
    MDB_val key_val = ToVal(key);
    const int gone = mdb_del(transaction, table_, &key_val, nullptr);
    if (gone != MDB_SUCCESS && gone != MDB_NOTFOUND) {
      mdb_txn_abort(transaction);
      return ToStatus(gone);
    }
    return ToStatus(mdb_txn_commit(transaction));
  }
  absl::StatusOr<bool> Get(std::string_view key) override {
    MDB_txn* transaction = nullptr;
    BANDB_RETURN_IF_ERROR(ToStatus(mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &transaction)));
    MDB_val key_val = ToVal(key), value_val;
    const int got = mdb_get(transaction, table_, &key_val, &value_val);
    mdb_txn_abort(transaction);
    if (got == MDB_NOTFOUND) return false;
    BANDB_RETURN_IF_ERROR(ToStatus(got));
    return true;
  }
  absl::StatusOr<uint64_t> Scan(std::string_view key, uint64_t count, bool backward) override {
    MDB_txn* transaction = nullptr;
    BANDB_RETURN_IF_ERROR(ToStatus(mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &transaction)));
    MDB_cursor* cursor = nullptr;
    int result = mdb_cursor_open(transaction, table_, &cursor);
    uint64_t seen = 0;
    if (result == MDB_SUCCESS) {
      MDB_val key_val = ToVal(key), value_val;
      result = mdb_cursor_get(cursor, &key_val, &value_val,
                              !key.empty() ? MDB_SET_RANGE
                              : backward   ? MDB_LAST
                                           : MDB_FIRST);
      while (result == MDB_SUCCESS && seen < count) {
        ++seen;
        result = mdb_cursor_get(cursor, &key_val, &value_val, backward ? MDB_PREV : MDB_NEXT);
      }
      mdb_cursor_close(cursor);
    }
    mdb_txn_abort(transaction);
    if (result != MDB_SUCCESS && result != MDB_NOTFOUND) return ToStatus(result);
    return seen;
  }

 private:
  MDB_env* environment_ = nullptr;
  MDB_dbi table_ = 0;
};

}  // namespace

SubjectKind LmdbKind() {
  return {"lmdb", [](const std::string& dir, const SubjectSettings&) -> absl::StatusOr<std::unique_ptr<Subject>> {
            auto subject = std::make_unique<LmdbSubject>();
            BANDB_RETURN_IF_ERROR(subject->Open(dir));
            return std::unique_ptr<Subject>(std::move(subject));
          }};
}

}  // namespace bandb::bench
