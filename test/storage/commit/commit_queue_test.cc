#include "storage/commit/commit_queue.h"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/assert.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::storage {

namespace {

class Request final : public WriteRequest {
 public:
  explicit Request(int number, size_t bytes = 10) : number_(number) { payload_bytes = bytes; }
  void Complete(absl::Status status) override {
    BANDB_ASSERT(!outcome.has_value());
    outcome = std::move(status);
  }
  int number() const { return number_; }
  std::optional<absl::Status> outcome;

 private:
  const int number_;
};

// Writes down the groups that it is given: "1 2 | 3 |".
class Recorder final : public CommitQueue::Committer {
 public:
  bool CommitGroup(const CommitQueue::Group& group) override {
    if (stalled) return false;
    std::string line;
    for (WriteRequest* request : group) line += fmt::format("{} ", static_cast<Request*>(request)->number());
    text += line + "| ";
    if (during) std::exchange(during, nullptr)();
    for (WriteRequest* request : group) request->Complete(absl::OkStatus());
    return true;
  }
  bool MayBlock(const CommitQueue::Group& group) override {
    for (const WriteRequest* request : group) {
      if (request->payload_bytes >= blocking_bytes) return true;
    }
    return false;
  }
  void AfterBackgroundCommits() override { text += "after "; }

  std::string text;
  bool stalled = false;
  size_t blocking_bytes = SIZE_MAX;  // groups with a request as large may block
  std::function<void()> during;      // what others do while the next group is committed
};

struct Fixture {
  test::TestEnv env{1};
  Recorder recorder;
  CommitQueue queue{&recorder, &env.executor()};
  std::vector<std::unique_ptr<Request>> requests;

  Request* New(size_t bytes = 10) {
    requests.push_back(std::make_unique<Request>(static_cast<int>(requests.size()), bytes));
    return requests.back().get();
  }
};

}  // namespace

TEST_CASE("an uncontended write is committed on its caller's thread, without the executor") {
  Fixture f;
  Request* request = f.New();
  f.queue.Submit(request);
  CHECK(f.recorder.text == "0 | ");
  CHECK(request->outcome == absl::OkStatus());
  CHECK(f.env.executor().idle());
}

TEST_CASE("writes that come while one is committed make one group, in their order") {
  Fixture f;
  f.recorder.during = [&] {
    for (int i = 0; i < 3; ++i) f.queue.Submit(f.New());
    CHECK(f.recorder.text == "0 | ");
  };
  f.queue.Submit(f.New());
  CHECK(f.recorder.text == "0 | 1 2 3 | ");
  for (const auto& request : f.requests) CHECK(request->outcome == absl::OkStatus());
}

TEST_CASE("a request with conditions, or one that freezes, is a group of its own, and large ones are not joined") {
  Fixture f;
  f.recorder.during = [&] {
    for (int i = 1; i <= 8; ++i) {
      Request* request = f.New(i >= 6 ? CommitQueue::kGroupBytesMax - 5 : 10);
      if (i == 3) request->conditions = "c";
      if (i == 5) request->freeze = true;
      f.queue.Submit(request);
    }
  };
  f.queue.Submit(f.New());
  CHECK(f.recorder.text == "0 | 1 2 | 3 | 4 | 5 | 6 | 7 | 8 | ");
}

TEST_CASE("a caller who must not wait commits no group that may block, whosever it is, nor what stands after it") {
  Fixture f;
  f.recorder.blocking_bytes = 100;
  f.queue.SubmitUnwaiting(f.New());
  CHECK(f.recorder.text == "0 | ");
  f.queue.SubmitUnwaiting(f.New(100));
  CHECK(f.recorder.text == "0 | ");
  f.env.executor().RunReady();
  CHECK(f.recorder.text == "0 | 1 | after ");
  // Others', which came while the caller led.
  f.recorder.text.clear();
  f.recorder.during = [&] {
    Request* request = f.New(100);
    request->conditions = "c";
    f.queue.Submit(request);
    f.queue.Submit(f.New());
    f.queue.SubmitUnwaiting(f.New());
  };
  f.queue.SubmitUnwaiting(f.New());
  CHECK(f.recorder.text == "2 | ");
  f.env.executor().RunReady();
  CHECK(f.recorder.text == "2 | 3 | 4 5 | after ");
  for (const auto& request : f.requests) CHECK(request->outcome == absl::OkStatus());
  // A caller that may wait commits it itself.
  f.queue.Submit(f.New(100));
  CHECK(f.recorder.text == "2 | 3 | 4 5 | after 6 | ");
}

TEST_CASE("a stall parks those who may wait in their order, refuses those who may not, and Unpark goes on") {
  Fixture f;
  f.recorder.stalled = true;
  for (int i = 0; i < 2; ++i) f.queue.Submit(f.New());
  Request* impatient = f.New();
  impatient->fail_if_stalled = true;
  CHECK(f.queue.Parked());
  f.queue.Submit(impatient);
  CHECK(impatient->outcome->code() == absl::StatusCode::kUnavailable);
  f.queue.SubmitUnwaiting(f.New());
  CHECK_FALSE(f.requests[0]->outcome.has_value());
  f.env.executor().RunReady();
  CHECK(f.recorder.text.empty());
  // Still stalled: it parks again, with nobody lost.
  f.queue.Unpark();
  f.env.executor().RunReady();
  CHECK(f.queue.Parked());
  f.recorder.stalled = false;
  f.queue.Unpark();
  f.env.executor().RunReady();
  CHECK_FALSE(f.queue.Parked());
  CHECK(f.recorder.text == "after 0 1 3 | after ");
}

TEST_CASE("a write that stalls with nobody who may wait leaves the queue idle") {
  Fixture f;
  f.recorder.stalled = true;
  Request* request = f.New();
  request->fail_if_stalled = true;
  f.queue.Submit(request);
  CHECK(request->outcome->code() == absl::StatusCode::kUnavailable);
  CHECK_FALSE(f.queue.Parked());
  f.recorder.stalled = false;
  f.queue.Submit(f.New());
  CHECK(f.recorder.text == "1 | ");
}

TEST_CASE("a request can be taken back while it waits for its turn, and not later") {
  Fixture f;
  f.recorder.stalled = true;
  for (int i = 0; i < 3; ++i) f.queue.Submit(f.New());
  CHECK(f.queue.Cancel(f.requests[1].get()));
  CHECK_FALSE(f.queue.Cancel(f.requests[1].get()));
  f.recorder.stalled = false;
  f.queue.Unpark();
  f.env.executor().RunReady();
  CHECK(f.recorder.text == "0 2 | after ");
  CHECK_FALSE(f.queue.Cancel(f.requests[0].get()));
  CHECK_FALSE(f.requests[1]->outcome.has_value());
}

TEST_CASE("a caller who leads for long leaves the rest to a background task") {
  Fixture f;
  int more = 200;
  std::function<void()> feed = [&] {
    if (--more == 0) return;
    f.queue.Submit(f.New());
    f.recorder.during = feed;
  };
  f.recorder.during = feed;
  f.queue.Submit(f.New());
  CHECK(f.requests.front()->outcome == absl::OkStatus());
  // What it led, and the one that came meanwhile.
  CHECK(f.requests.size() == size_t{CommitQueue::kGroupsLedMax} + 1);
  f.env.executor().RunReady();
  CHECK(f.requests.size() == 200);
  for (const auto& request : f.requests) CHECK(request->outcome == absl::OkStatus());
}

TEST_CASE("a queue that is closed refuses who comes, and is idle once nothing is queued or being committed") {
  Fixture f;
  bool idle = false;
  f.recorder.stalled = true;
  f.queue.Submit(f.New());
  f.queue.Close([&] { idle = f.requests[0]->outcome.has_value(); });
  f.env.executor().RunReady();
  CHECK_FALSE(idle);
  f.queue.Submit(f.New());
  f.queue.SubmitUnwaiting(f.New());
  for (size_t i : {1, 2}) CHECK_CODE(*f.requests[i]->outcome, kFailedPrecondition);
  f.recorder.stalled = false;
  f.queue.Unpark();
  f.env.executor().RunReady();
  CHECK(idle);
  CHECK(f.recorder.text == "0 | after ");
}

TEST_CASE("whoever writes to a queue that is closed is answered without the executor, however many they are") {
  Fixture f;
  f.queue.Close([] {});
  f.env.executor().RunReady();
  f.env.executor().Shutdown();
  // As many threads do that write on: while one of them leads, there is always a next one.
  std::function<void()> feed = [&] {
    if (f.requests.size() == 2 * size_t{CommitQueue::kGroupsLedMax}) return;
    f.recorder.during = feed;
    f.queue.Submit(f.New());
  };
  feed();
  for (const auto& request : f.requests) CHECK(request->outcome.has_value());
}

}  // namespace bandb::storage
