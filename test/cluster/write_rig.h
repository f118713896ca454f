// Writes of a client, and how each of them ended.
#ifndef BANDB_TEST_CLUSTER_WRITE_RIG_H_
#define BANDB_TEST_CLUSTER_WRITE_RIG_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "bandb/write_batch.h"
#include "cluster/client_write.h"
#include "kv/batch_format.h"

namespace bandb::cluster {

struct WriteRig {
  // Sets `key`.
  ClientWritePtr Make(const std::string& key, WriteContent content = {}) {
    WriteBatch batch;
    batch.Put(key, "value");
    content.operations = WriteBatchAccess::Operations(batch);
    return std::make_shared<ClientWrite>(std::move(content),
                                         [this, key](absl::Status status) { ends.emplace(key, std::move(status)); });
  }
  ClientWritePtr Passed(const std::string& key, int64_t deadline_nanos = base::kForever) {
    ClientWritePtr write = Make(key, {.deadline_nanos = deadline_nanos});
    write->PassOn();
    return write;
  }

  std::map<std::string, absl::Status> ends;
};

}  // namespace bandb::cluster

#endif  // BANDB_TEST_CLUSTER_WRITE_RIG_H_
