#include "transfer/change_writer.h"

#include <memory>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"
#include "support/catch.h"
#include "transfer/byte_source.h"
#include "transfer/entry_reader.h"
#include "transfer/entry_writer.h"

namespace bandb::transfer {
namespace {

// One of each kind, the last with bytes that are no text.
std::vector<ChangeCommit> SampleCommits() {
  return {{.first_sequence = 7,
           .last_sequence = 9,
           .time_ms = 1000,
           .changes = {{.kind = ChangeKind::kPut, .key = "a,b", .value = "say \"x\"\t", .expires_ms = 5000},
                       {.kind = ChangeKind::kDelete, .key = "c"},
                       {.kind = ChangeKind::kDeleteRange, .key = "d", .limit = "e"}}},
          {.first_sequence = 10,
           .last_sequence = 10,
           .time_ms = 1001,
           .changes = {{.kind = ChangeKind::kPut, .key = "\xff", .value = std::string_view("\0\xfe", 2)}}}};
}

std::string Written(const Layout& layout, const std::vector<ChangeCommit>& commits) {
  std::string text;
  ChangeWriter writer(layout);
  writer.Begin(&text);
  for (const ChangeCommit& commit : commits) REQUIRE_OK(writer.Append(commit, &text));
  REQUIRE_OK(writer.End(&text));
  return text;
}

// What an import makes of a file of changes.
std::vector<Record> ReadRecords(Format format, std::string text) {
  const auto reader = MakeEntryReader(format, std::make_unique<StringSource>(std::move(text)), "file");
  std::vector<Record> records;
  for (Record record; reader->Next(&record).value();) records.push_back(record);
  return records;
}

}  // namespace

TEST_CASE("changes as lines of JSON") {
  CHECK(
      Written({}, SampleCommits()) ==
      "{\"kind\": \"put\", \"key\": \"a,b\", \"value\": \"say \\\"x\\\"\\u0009\", \"expires\": 5000, \"sequence\": 7, "
      "\"time\": 1000}\n"
      "{\"kind\": \"delete\", \"key\": \"c\", \"sequence\": 7, \"time\": 1000}\n"
      "{\"kind\": \"delete_range\", \"key\": \"d\", \"limit\": \"e\", \"sequence\": 7, \"time\": 1000}\n"
      "{\"kind\": \"put\", \"key\": {\"base64\": \"/w==\"}, \"value\": {\"base64\": \"AP4=\"}, \"sequence\": 10, "
      "\"time\": 1001}\n");
}

TEST_CASE("changes in columns, encoded or text alone") {
  const std::vector<ChangeCommit> text = {SampleCommits()[0]};
  CHECK(Written({.format = Format::kCsv}, text) ==
        "kind,key,value,limit,expires,sequence,time\n"
        "put,\"a,b\",\"say \"\"x\"\"\t\",,5000,7,1000\n"
        "delete,c,,,,7,1000\n"
        "delete_range,d,,e,,7,1000\n");
  CHECK(Written({.format = Format::kTsv, .keys = Encoding::kHex, .values = Encoding::kBase64}, SampleCommits()) ==
        "kind\tkey_hex\tvalue_base64\tlimit_hex\texpires\tsequence\ttime\n"
        "put\t612c62\tc2F5ICJ4Igk=\t\t5000\t7\t1000\n"
        "delete\t63\t\t\t\t7\t1000\n"
        "delete_range\t64\t\t65\t\t7\t1000\n"
        "put\tff\tAP4=\t\t\t10\t1001\n");
  std::string to;
  ChangeWriter writer({.format = Format::kCsv});
  writer.Begin(&to);
  const absl::Status status = writer.Append(SampleCommits()[1], &to);
  CHECK_CODE(status, kInvalidArgument);
  CHECK(base::Message(status).find("--key-format") != std::string_view::npos);
}

TEST_CASE("raw changes have every byte, and a checksum bound to its place") {
  const std::string text = Written({.format = Format::kRaw}, SampleCommits());
  REQUIRE(text.starts_with(kRawChangesMagic));
  size_t at = kRawHeadBytes;
  for (const ChangeCommit& commit : SampleCommits()) {
    for (const ChangeEntry& change : commit.changes) {
      base::ByteReader head(std::string_view(text).substr(at));
      uint8_t kind = 0;
      uint32_t key_bytes = 0, value_bytes = 0;
      uint64_t expires = 0, sequence = 0, time = 0;
      REQUIRE((head.ReadFixed(&kind) && head.ReadFixed(&key_bytes) && head.ReadFixed(&value_bytes) &&
               head.ReadFixed(&expires) && head.ReadFixed(&sequence) && head.ReadFixed(&time)));
      CHECK(kind == static_cast<int>(change.kind) + 1);
      CHECK(expires == change.expires_ms);
      CHECK(sequence == commit.first_sequence);
      CHECK(time == commit.time_ms);
      const size_t bytes = 33 + key_bytes + value_bytes;
      CHECK(text.substr(at + 33, key_bytes) == change.key);
      CHECK(text.substr(at + 33 + key_bytes, value_bytes) ==
            (change.kind == ChangeKind::kDeleteRange ? change.limit : change.value));
      CHECK(base::LoadFixed<uint64_t>(text.data() + at + bytes) ==
            base::BlockChecksum(0, at, std::string_view(text).substr(at, bytes)));
      at += bytes + 8;
    }
  }
  CHECK(text[at] == '\0');
  CHECK(base::LoadFixed<uint64_t>(text.data() + at + 1) == 4);
  CHECK(text.size() == at + kRawEndBytes + 8);
}

TEST_CASE("an import takes the puts of changes, and tells of all others") {
  const std::vector<ChangeCommit> text = {SampleCommits()[0]};
  for (const Format format : {Format::kJsonLines, Format::kCsv, Format::kTsv}) {
    const std::vector<Record> records = ReadRecords(format, Written({.format = format}, text));
    REQUIRE(records.size() == 3);
    CHECK(records[0].complaint.empty());
    CHECK(records[0].value == "say \"x\"\t");
    for (size_t i = 1; i < 3; ++i) CHECK(records[i].complaint == "a change that is not a put");
  }
  Record record;
  for (const Format format : {Format::kRaw, Format::kParquet}) {
    const auto reader =
        MakeEntryReader(format, std::make_unique<StringSource>(Written({.format = format}, SampleCommits())), "file");
    CHECK_CODE(reader->Next(&record).status(), kInvalidArgument);
  }
  // A column of somebody else's says nothing.
  CHECK(ReadRecords(Format::kCsv, "kind,key,value\nfruit,a,1\n")[0].complaint.empty());
}

}  // namespace bandb::transfer
