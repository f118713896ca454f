#include "cluster/forwarding.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cluster/write_rig.h"
#include "support/catch.h"

namespace bandb::cluster {

namespace {

constexpr uint64_t kBytes = 1 << 20;

struct ForwardingRig : WriteRig {
  // Opens the session, which the first write asks for.
  void Open() {
    const std::vector<Command> opening = forwarding.Take(&waiting, now, kBytes);
    REQUIRE(opening.size() == 1);
    REQUIRE(opening.front().number == kOpenNodeNumber);
    nonce = opening.front().session;
    CHECK(forwarding.Applied({.session = nonce, .number = kOpenNodeNumber, .opened = ++session}).empty());
  }
  std::vector<uint64_t> Take() {
    std::vector<uint64_t> numbers;
    for (const Command& command : forwarding.Take(&waiting, now, kBytes)) numbers.push_back(command.number);
    return numbers;
  }

  Proposals waiting;
  Forwarding forwarding{base::Random(1)};
  uint64_t session = 1000;  // the one that was opened last
  uint64_t nonce = 0;
  int64_t now = 0;
};

using Numbers = std::vector<uint64_t>;

}  // namespace

TEST_CASE("a write is sent again until it is seen applied, under the same number") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("a"));
  rig.waiting.Add(rig.Make("b"));
  rig.Open();
  CHECK(rig.Take() == Numbers{1, 2});
  CHECK(rig.Take().empty());
  rig.now += Forwarding::kRepeatNanos;
  CHECK(rig.Take() == Numbers{1, 2});
  rig.forwarding.Applied({.session = rig.session, .number = 1});
  CHECK(rig.ends["a"].ok());
  rig.forwarding.RepeatAll();
  CHECK(rig.Take() == Numbers{2});
  rig.forwarding.Applied({.session = rig.session, .number = 2, .status = absl::AbortedError("no"), .duplicate = true});
  CHECK_CODE(rig.ends["b"], kAborted);
  CHECK(rig.forwarding.empty());
}

TEST_CASE("a large write has more time before it is sent again, unless it did not get away") {
  ForwardingRig rig;
  constexpr size_t kLarge = 8 << 20;
  WriteBatch batch;
  batch.Put("large", std::string(kLarge, 'x'));
  rig.waiting.Add(std::make_shared<ClientWrite>(WriteContent{.operations = WriteBatchAccess::Operations(batch)},
                                                [](const absl::Status&) {}));
  rig.Open();
  CHECK(rig.Take() == Numbers{1});
  rig.now += Forwarding::kRepeatNanos;
  CHECK(rig.Take().empty());
  rig.now += static_cast<int64_t>(kLarge >> 10) * Forwarding::kRepeatNanosPerKib + 1'000'000;
  const std::vector<Command> again = rig.forwarding.Take(&rig.waiting, rig.now, kBytes);
  REQUIRE(again.size() == 1);
  rig.forwarding.NotSent(again, rig.now);
  rig.now += Forwarding::kRepeatNanos;
  CHECK(rig.Take() == Numbers{1});
}

TEST_CASE("no number that is under way falls out of the window of the session") {
  ForwardingRig rig;
  for (int i = 0; i < 100; ++i) rig.waiting.Add(rig.Make(std::to_string(i)));
  rig.Open();
  CHECK(rig.Take().size() == kSessionWindow);
  rig.forwarding.Applied({.session = rig.session, .number = 2});
  CHECK(rig.Take().empty());
  rig.forwarding.Applied({.session = rig.session, .number = 1});
  CHECK(rig.Take() == Numbers{65, 66});
}

TEST_CASE("a session that is lost leaves nothing in doubt, unless results may have been missed") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("a"));
  rig.waiting.Add(rig.Make("b"));
  rig.Open();
  CHECK(rig.Take() == Numbers{1, 2});
  const absl::Status lost = absl::FailedPreconditionError("session unknown");
  const std::vector<ClientWritePtr> not_done =
      rig.forwarding.Applied({.session = rig.session, .number = 1, .status = lost, .session_lost = true});
  CHECK(not_done.size() == 1);
  CHECK(rig.ends.empty());
  rig.forwarding.Skipped();
  CHECK(rig.forwarding.Applied({.session = rig.session, .number = 2, .status = lost, .session_lost = true}).empty());
  CHECK_CODE(rig.ends["b"], kUnknown);
}

TEST_CASE("a client's session that is lost leaves its write in doubt where results may have been missed") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("seen", {.session = 77, .number = 5}));
  rig.waiting.Add(rig.Make("jumped", {.session = 77, .number = 6}));
  CHECK(rig.Take() == Numbers{5, 6});
  const absl::Status lost = absl::FailedPreconditionError("session unknown");
  CHECK(rig.forwarding.Applied({.session = 77, .number = 5, .status = lost, .session_lost = true}).empty());
  CHECK_CODE(rig.ends["seen"], kFailedPrecondition);
  // The first copy was done, then the session expired: only the second one's result is seen here.
  rig.forwarding.Skipped();
  CHECK(rig.Take() == Numbers{6});
  CHECK(rig.forwarding.Applied({.session = 77, .number = 6, .status = lost, .session_lost = true}).empty());
  CHECK_CODE(rig.ends["jumped"], kUnknown);
}

TEST_CASE("a command that is refused in itself is no lost session, and is told as it is") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("ahead"));
  rig.waiting.Add(rig.Make("next"));
  rig.Open();
  CHECK(rig.Take() == Numbers{1, 2});
  // As a change of cursors whose token is ahead of the store.
  const absl::Status refused = absl::FailedPreconditionError("ahead");
  CHECK(rig.forwarding.Applied({.session = rig.session, .number = 1, .status = refused}).empty());
  CHECK_CODE(rig.ends["ahead"], kFailedPrecondition);
  // And the session goes on.
  rig.waiting.Add(rig.Make("later"));
  CHECK(rig.Take() == Numbers{3});
}

TEST_CASE("a refusal counts only for the one copy that there is") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("once"));
  rig.waiting.Add(rig.Make("twice"));
  rig.Open();
  CHECK(rig.Take() == Numbers{1, 2});
  rig.forwarding.Refused(rig.session, 1, absl::FailedPreconditionError("not the leader"));
  CHECK(rig.ends.empty());
  rig.forwarding.Refused(rig.session, 1, absl::ResourceExhaustedError("full"));
  CHECK_CODE(rig.ends["once"], kResourceExhausted);
  rig.forwarding.RepeatAll();
  CHECK(rig.Take() == Numbers{2});
  rig.forwarding.Refused(rig.session, 2, absl::ResourceExhaustedError("full"));
  CHECK(rig.ends.count("twice") == 0);
  rig.forwarding.GiveUp("stopped");
  CHECK_CODE(rig.ends["twice"], kUnknown);
}

TEST_CASE("what a member would not understand is refused for good") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("clock"));
  rig.Open();
  CHECK(rig.Take() == Numbers{1});
  rig.forwarding.Refused(rig.session, 1, absl::UnimplementedError("older"));
  CHECK_CODE(rig.ends["clock"], kUnimplemented);
}

TEST_CASE("a refusal of an earlier attempt is none of a later one under the same number of a client's") {
  ForwardingRig rig;
  const absl::Status full = absl::ResourceExhaustedError("full");
  rig.waiting.Add(rig.Make("first", {.session = 77, .number = 5, .deadline_nanos = 10}));
  CHECK(rig.Take() == Numbers{5});
  const bool seen = GENERATE(false, true);
  if (seen) {
    rig.forwarding.Applied({.session = 77, .number = 5});
    CHECK(rig.ends["first"].ok());
  } else {
    rig.forwarding.Expire(10);
    CHECK_CODE(rig.ends["first"], kUnknown);
  }
  rig.waiting.Add(rig.Make("again", {.session = 77, .number = 5}));
  // Not of a lower number that was never sent before.
  rig.waiting.Add(rig.Make("lower", {.session = 77, .number = 4}));
  CHECK(rig.Take() == Numbers{4, 5});
  rig.forwarding.Refused(77, 5, full);
  CHECK(rig.ends.size() == 1);
  rig.forwarding.Refused(77, 4, full);
  CHECK_CODE(rig.ends["lower"], kResourceExhausted);
  rig.forwarding.Applied({.session = 77, .number = 5, .duplicate = true});
  CHECK(rig.ends["again"].ok());
  // What was never sent before, and what was refused, the one time that it was sent.
  for (const std::string key : {"new", "once more"}) {
    rig.waiting.Add(rig.Make(key, {.session = 77, .number = 6}));
    CHECK(rig.Take() == Numbers{6});
    rig.forwarding.Refused(77, 6, full);
    CHECK_CODE(rig.ends[key], kResourceExhausted);
  }
}

TEST_CASE("however many sessions clients have, a refusal of an earlier attempt is none of a later one") {
  ForwardingRig rig;
  const absl::Status full = absl::ResourceExhaustedError("full");
  constexpr uint64_t kMany = kSessionsMax + 10;
  for (uint64_t session = 1; session <= kMany; ++session) {
    rig.waiting.Add(rig.Make("first" + std::to_string(session), {.session = session, .number = 1}));
    CHECK(rig.Take() == Numbers{1});
    rig.forwarding.Applied({.session = session, .number = 1});
  }
  for (const uint64_t session : {uint64_t{1}, uint64_t{11}, kMany}) {
    const std::string key = "again" + std::to_string(session);
    rig.waiting.Add(rig.Make(key, {.session = session, .number = 1}));
    CHECK(rig.Take() == Numbers{1});
    rig.forwarding.Refused(session, 1, full);
    CHECK(rig.ends.count(key) == 0);
    rig.forwarding.Applied({.session = session, .number = 1});
  }
}

namespace {

// Sends a number of a client's session once, and sees it done.
void SendAndSee(ForwardingRig* rig, uint64_t session, uint64_t number) {
  rig->waiting.Add(rig->Make(absl::StrCat("seen ", session, " ", number), {.session = session, .number = number}));
  CHECK(rig->Take() == Numbers{number});
  rig->forwarding.Applied({.session = session, .number = number});
}

// Sends it, and has it refused once: whether its client is told so.
bool IsToldRefusal(ForwardingRig* rig, uint64_t session, uint64_t number) {
  const std::string key = absl::StrCat("refused ", session, " ", number);
  rig->ends.erase(key);
  rig->waiting.Add(rig->Make(key, {.session = session, .number = number}));
  CHECK(rig->Take() == Numbers{number});
  rig->forwarding.Refused(session, number, absl::ResourceExhaustedError("full"));
  const bool told = rig->ends.count(key) != 0;
  if (!told) rig->forwarding.Applied({.session = session, .number = number});
  return told;
}

}  // namespace

TEST_CASE("which numbers of a client's session have ended is known one by one, as far as its window reaches") {
  ForwardingRig rig;
  for (const uint64_t number : {uint64_t{10}, uint64_t{12}, uint64_t{70}}) SendAndSee(&rig, 77, number);
  for (const uint64_t number : {uint64_t{7}, uint64_t{9}, uint64_t{11}, uint64_t{13}, uint64_t{69}, uint64_t{71}}) {
    CHECK(IsToldRefusal(&rig, 77, number));
  }
  for (const uint64_t number : {uint64_t{10}, uint64_t{12}, uint64_t{70}}) CHECK_FALSE(IsToldRefusal(&rig, 77, number));
  // Below the window anything may have been.
  CHECK_FALSE(IsToldRefusal(&rig, 77, 6));
  SendAndSee(&rig, 77, 1000);
  CHECK(IsToldRefusal(&rig, 77, 999));
  CHECK_FALSE(IsToldRefusal(&rig, 77, 70));
}

TEST_CASE("that a session is closed says nothing of its numbers, of which nothing is kept once it is gone") {
  ForwardingRig rig;
  SendAndSee(&rig, 77, 5);
  // It was given up, and may still come.
  rig.waiting.Add(rig.Make("close", {.session = 77, .number = kCloseNumber, .deadline_nanos = 10}));
  CHECK(rig.Take() == Numbers{kCloseNumber});
  rig.forwarding.Expire(10);
  CHECK(IsToldRefusal(&rig, 77, 6));
  CHECK_FALSE(IsToldRefusal(&rig, 77, 5));
  rig.waiting.Add(rig.Make("close again", {.session = 77, .number = kCloseNumber}));
  CHECK(rig.Take() == Numbers{kCloseNumber});
  rig.forwarding.Refused(77, kCloseNumber, absl::ResourceExhaustedError("full"));
  CHECK(rig.ends.count("close again") == 0);
  // A number that is too old is none of a session that is gone.
  const absl::Status lost = absl::FailedPreconditionError("too old");
  rig.forwarding.Applied({.session = 77, .number = 1, .status = lost, .session_lost = true});
  CHECK_FALSE(IsToldRefusal(&rig, 77, 5));
  rig.forwarding.Applied({.session = 77, .number = kCloseNumber, .session_gone = true});
  CHECK(rig.ends["close again"].ok());
  // Whatever is sent under it now is certainly not done.
  CHECK(IsToldRefusal(&rig, 77, 5));
}

TEST_CASE("what has ended is forgotten first of the session of which that was noted least recently") {
  ForwardingRig rig;
  for (uint64_t session = 1; session <= kSessionsMax; ++session) SendAndSee(&rig, session, 1);
  SendAndSee(&rig, 1, 2);
  SendAndSee(&rig, kSessionsMax + 1, 1);
  CHECK(IsToldRefusal(&rig, 1, 3));
  CHECK_FALSE(IsToldRefusal(&rig, 1, 1));
  CHECK(IsToldRefusal(&rig, 3, 2));
  // That of 2 is, and nothing of it is known again.
  CHECK_FALSE(IsToldRefusal(&rig, 2, 1));
  CHECK_FALSE(IsToldRefusal(&rig, 2, 7));
}

TEST_CASE("where the node's own session is refused, who waits for it can be told") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("waits"));
  const std::vector<Command> commands = rig.forwarding.Take(&rig.waiting, 0, 1 << 20);
  REQUIRE(commands.size() == 1);
  const uint64_t nonce = commands.front().session;
  CHECK_FALSE(rig.forwarding.Refused(nonce, kOpenNodeNumber, absl::FailedPreconditionError("not the leader")));
  CHECK_FALSE(rig.forwarding.Refused(nonce + 1, kOpenNodeNumber, absl::ResourceExhaustedError("full")));
  CHECK(rig.forwarding.Refused(nonce, kOpenNodeNumber, absl::ResourceExhaustedError("full")));
  // It was passed on to nobody.
  CHECK_FALSE(rig.waiting.empty());
  CHECK(rig.forwarding.empty());
}

TEST_CASE("a write with a session of its client's goes under that, whether the node has one or not") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("mine", {.session = 77, .number = 5}));
  const std::vector<Command> commands = rig.forwarding.Take(&rig.waiting, 0, kBytes);
  REQUIRE(commands.size() == 1);
  CHECK(commands.front().session == 77);
  CHECK(commands.front().number == 5);
  rig.forwarding.Applied(
      {.session = 77, .number = 5, .status = absl::FailedPreconditionError("unknown session"), .session_lost = true});
  CHECK_CODE(rig.ends["mine"], kFailedPrecondition);
}

TEST_CASE("writes of a lost session go on under the next one, also those of which it is said late") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("a"));
  rig.waiting.Add(rig.Make("b"));
  rig.Open();
  CHECK(rig.Take() == Numbers{1, 2});
  const uint64_t first = rig.session;
  const absl::Status lost = absl::FailedPreconditionError("session unknown");
  rig.waiting.PutBack(rig.forwarding.Applied({.session = first, .number = 1, .status = lost, .session_lost = true}));
  rig.Open();
  CHECK(rig.session != first);
  CHECK(rig.Take() == Numbers{1});
  // Nothing was done: that is no answer for a client, who knows no session.
  rig.waiting.PutBack(rig.forwarding.Applied({.session = first, .number = 2, .status = lost, .session_lost = true}));
  CHECK(rig.ends.empty());
  CHECK(rig.Take() == Numbers{2});
  rig.forwarding.Applied({.session = rig.session, .number = 1});
  rig.forwarding.Applied({.session = rig.session, .number = 2});
  CHECK(rig.ends["a"].ok());
  CHECK(rig.ends["b"].ok());
}

TEST_CASE("a session that is lost is followed by one, however many of its writes hear of that") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("a"));
  rig.waiting.Add(rig.Make("b"));
  rig.Open();
  CHECK(rig.Take() == Numbers{1, 2});
  const uint64_t first = rig.session;
  const absl::Status lost = absl::FailedPreconditionError("session unknown");
  rig.waiting.PutBack(rig.forwarding.Applied({.session = first, .number = 1, .status = lost, .session_lost = true}));
  const std::vector<Command> opening = rig.forwarding.Take(&rig.waiting, rig.now, kBytes);
  REQUIRE(opening.size() == 1);
  CHECK(opening.front().number == kOpenNodeNumber);
  rig.waiting.PutBack(rig.forwarding.Applied({.session = first, .number = 2, .status = lost, .session_lost = true}));
  CHECK(rig.Take().empty());
  rig.forwarding.Applied({.session = opening.front().session, .number = kOpenNodeNumber, .opened = 77});
  CHECK(rig.Take() == Numbers{1, 2});
}

TEST_CASE("a session that is refused is asked for again, and not faster than a write is repeated") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("a"));
  for (int time = 0; time < 3; ++time) {
    const std::vector<Command> opening = rig.forwarding.Take(&rig.waiting, rig.now, kBytes);
    REQUIRE(opening.size() == 1);
    const CommandResult full{.session = opening.front().session,
                             .number = kOpenNodeNumber,
                             .status = absl::ResourceExhaustedError("too many sessions")};
    CHECK(rig.forwarding.Applied(full).empty());
    CHECK(rig.Take().empty());
    rig.now += Forwarding::kRepeatNanos;
  }
  rig.Open();
  CHECK(rig.Take() == Numbers{1});
}

TEST_CASE("an opening that is sent again has the same nonce, and its session is the one that the log says") {
  ForwardingRig rig;
  rig.waiting.Add(rig.Make("a"));
  const std::vector<Command> opening = rig.forwarding.Take(&rig.waiting, rig.now, kBytes);
  REQUIRE(opening.size() == 1);
  const uint64_t nonce = opening.front().session;
  rig.forwarding.RepeatAll();
  const std::vector<Command> again = rig.forwarding.Take(&rig.waiting, rig.now, kBytes);
  REQUIRE(again.size() == 1);
  CHECK(again.front().session == nonce);
  CHECK(again.front().number == kOpenNodeNumber);
  CHECK(rig.forwarding.Applied({.session = nonce, .number = kOpenNodeNumber, .opened = 77}).empty());
  const std::vector<Command> first = rig.forwarding.Take(&rig.waiting, rig.now, kBytes);
  REQUIRE(first.size() == 1);
  CHECK(first.front().session == 77);
  CHECK(first.front().number == 1);
  // The other copy, perhaps of a second session if the first was gone meanwhile: nobody asks.
  CHECK(rig.forwarding.Applied({.session = nonce, .number = kOpenNodeNumber, .duplicate = true, .opened = 78}).empty());
  rig.forwarding.RepeatAll();
  CHECK(rig.forwarding.Take(&rig.waiting, rig.now, kBytes).front().session == 77);
}

TEST_CASE("a client that opens a session elsewhere is told its id") {
  ForwardingRig rig;
  const ClientWritePtr write = rig.Make("open", {.session = 5, .number = kOpenNumber});
  rig.waiting.Add(write);
  REQUIRE(rig.forwarding.Take(&rig.waiting, rig.now, kBytes).front().session == 5);
  rig.forwarding.Applied({.session = 5, .number = kOpenNumber, .opened = 99});
  CHECK(rig.ends["open"].ok());
  CHECK(write->opened() == 99);
}

}  // namespace bandb::cluster
