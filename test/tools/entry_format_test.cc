// What is written down in each format is read back as it was, and what was not written by us is
// taken or refused, never taken wrongly.
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "support/catch.h"
#include "transfer/byte_source.h"
#include "transfer/compression.h"
#include "transfer/decompressor.h"
#include "transfer/entry_reader.h"
#include "transfer/entry_writer.h"

namespace bandb::transfer {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// Gives out one byte at a time: every boundary falls into every place.
class OneByOne final : public ByteSource {
 public:
  explicit OneByOne(std::string bytes) : bytes_(std::move(bytes)) {}
  absl::StatusOr<size_t> Read(absl::Span<char> to) override {
    if (at_ == bytes_.size()) return size_t{0};
    to[0] = bytes_[at_++];
    return size_t{1};
  }

 private:
  const std::string bytes_;
  size_t at_ = 0;
};

std::string Written(const Layout& layout, const Pairs& pairs) {
  EntryWriter writer(layout);
  std::string text;
  writer.Begin(&text);
  for (const auto& [key, value] : pairs) REQUIRE_OK(writer.Append({.key = key, .value = value}, &text));
  REQUIRE_OK(writer.End(&text));
  return text;
}

struct Outcome {
  Pairs pairs;
  std::vector<std::string> complaints;
  absl::Status status;
};

Outcome ReadAll(Format format, std::unique_ptr<ByteSource> source, size_t record_bytes_max = kRecordBytesMax) {
  const auto reader = MakeEntryReader(format, std::move(source), "input", record_bytes_max);
  Outcome outcome;
  Record record;
  while (true) {
    const absl::StatusOr<bool> more = reader->Next(&record);
    outcome.status = more.status();
    if (!more.ok() || !*more) return outcome;
    if (record.complaint.empty()) {
      outcome.pairs.emplace_back(record.key, record.value);
    } else {
      outcome.complaints.push_back(std::to_string(record.number) + ": " + record.complaint);
    }
  }
}

Outcome ReadText(Format format, const std::string& text) {
  return ReadAll(format, std::make_unique<StringSource>(text));
}

// Every byte by itself, between others, and all together; and lengths of zero.
Pairs AllBytes() {
  Pairs pairs = {{"", ""}, {"", "empty key"}, {"empty value", ""}};
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    all += one;
    pairs.emplace_back(one, one + one);
    pairs.emplace_back("a" + one + "b", "\"" + one + "\"" + one);
  }
  pairs.emplace_back(all, all + all);
  return pairs;
}

Pairs AllText() {
  Pairs pairs = {{"", ""}, {",", "\""}, {"\"\"", "\r\n"}, {"a\r", "\r"}, {"\\t", "\t\\"}, {"\n", "\n\n"}};
  for (int byte = 0; byte < 128; ++byte) pairs.emplace_back(std::string(1, static_cast<char>(byte)), "v");
  pairs.emplace_back("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc2\x85 \xe2\x80\xae \xd8\x9c \xe2\x80\x8f");
  return pairs;
}

}  // namespace

TEST_CASE("a lossless format gives back all bytes, whatever the pieces in which it is read") {
  const Pairs pairs = AllBytes();
  for (const Format format : {Format::kJsonLines, Format::kCsv, Format::kTsv, Format::kRaw}) {
    for (const Encoding encoding : {Encoding::kUtf8, Encoding::kHex, Encoding::kBase64}) {
      if (encoding == Encoding::kUtf8 && (format == Format::kCsv || format == Format::kTsv)) continue;
      CAPTURE(FormatName(format), EncodingName(encoding));
      const std::string text = Written({format, encoding, encoding}, pairs);
      CHECK(ReadText(format, text).pairs == pairs);
      const Outcome slow = ReadAll(format, std::make_unique<OneByOne>(text));
      CHECK_OK(slow.status);
      CHECK(slow.complaints.empty());
      CHECK(slow.pairs == pairs);
      if (format != Format::kRaw) CHECK(IsUtf8(text));
    }
  }
}

TEST_CASE("csv and tsv hold all text as it is, and refuse what is none with its key") {
  const Pairs pairs = AllText();
  for (const Format format : {Format::kCsv, Format::kTsv}) {
    CAPTURE(FormatName(format));
    const std::string text = Written({format}, pairs);
    CHECK(ReadAll(format, std::make_unique<OneByOne>(text)).pairs == pairs);
    EntryWriter writer({format});
    std::string refused;
    const absl::Status bad_value = writer.Append({.key = "the key", .value = "\xff"}, &refused);
    CHECK_CODE(bad_value, kInvalidArgument);
    CHECK(base::Message(bad_value).find("the value of \"the key\"") != std::string_view::npos);
    CHECK_CODE(writer.Append({.key = "\xed\xa0\x80", .value = ""}, &refused), kInvalidArgument);
    CHECK(refused.empty());
  }
}

TEST_CASE("the formats are written as their grammar says") {
  const Pairs pairs = {{"a", "1"}, {"b,\"", "x\ty"}, {"\xff", "\x1b\xe2\x80\xae"}};
  CHECK(Written({Format::kJsonLines}, pairs) ==
        "{\"key\": \"a\", \"value\": \"1\"}\n"
        "{\"key\": \"b,\\\"\", \"value\": \"x\\u0009y\"}\n"
        "{\"key\": {\"base64\": \"/w==\"}, \"value\": \"\\u001b\\u202e\"}\n");
  CHECK(Written({Format::kCsv, Encoding::kHex, Encoding::kUtf8}, {pairs[0], pairs[1]}) ==
        "key_hex,value,expires\n61,1,\n622c22,x\ty,\n");
  CHECK(Written({Format::kCsv}, {pairs[1]}) == "key,value,expires\n\"b,\"\"\",x\ty,\n");
  CHECK(Written({Format::kTsv}, {pairs[1]}) == "key\tvalue\texpires\nb,\"\tx\\ty\t\n");
}

TEST_CASE("when an entry expires is kept by every format") {
  for (const Format format : {Format::kJsonLines, Format::kCsv, Format::kTsv, Format::kRaw}) {
    EntryWriter writer({format});
    std::string text;
    writer.Begin(&text);
    REQUIRE_OK(writer.Append({.key = "k", .value = "v", .expires_ms = 1234567890123}, &text));
    REQUIRE_OK(writer.End(&text));
    const auto reader = MakeEntryReader(format, std::make_unique<StringSource>(text), "input");
    Record record;
    REQUIRE(reader->Next(&record).value());
    CHECK(record.expires_ms == 1234567890123);
  }
}

TEST_CASE("csv of other programs is taken: columns in any order, quotes, line ends of two bytes, a mark at the front") {
  const Outcome outcome = ReadText(
      Format::kCsv, "\xef\xbb\xbfid,value,\"key\"\r\n1,one,a\r\n\r\n2,\"two, \"\"2\"\"\r\n\",b\r\n3,thr\"ee,c");
  CHECK_OK(outcome.status);
  CHECK(outcome.pairs == Pairs{{"a", "one"}, {"b", "two, \"2\"\r\n"}, {"c", "thr\"ee"}});
}

TEST_CASE("lines that are no entries are told, each with its reason, and the rest is taken") {
  const Outcome json =
      ReadText(Format::kJsonLines,
               "{\"key\": \"a\", \"value\": \"1\", \"more\": [1]}\n"
               "nonsense\n\n[1]\n{\"value\": \"1\"}\n{\"key\": \"a\"}\n{\"key\": 1, \"value\": \"\"}\n"
               "{\"key\": \"k\", \"value\": {\"base64\": \"%\"}}\n{\"key\": \"k\", \"value\": {\"hex\": \"0\"}}\n"
               "{\"kind\": \"delete\", \"key\": \"k\"}\n"
               "{\"key\": \"k\", \"value\": \"\", \"expires\": -1}\n"
               "{\"key\": \"\xff\", \"value\": \"\"}\n"
               "{\"key\": \"z\", \"value\": \"26\", \"kind\": \"put\"}");
  CHECK_OK(json.status);
  CHECK(json.pairs == Pairs{{"a", "1"}, {"z", "26"}});
  CHECK(json.complaints.size() == 10);
  CHECK(json.complaints[0] == "2: not JSON");

  const Outcome csv =
      ReadText(Format::kCsv, "key,value_hex,expires\na,31,\nb\nc,3,\nd,34,soon\n\"e\"f,35,\ng,37,\n\"h,");
  CHECK_OK(csv.status);
  CHECK(csv.pairs == Pairs{{"a", "1"}, {"g", "7"}});
  CHECK(csv.complaints ==
        std::vector<std::string>{"2: not as many fields as columns", "3: the value is not encoded as its column says",
                                 "4: expires is not a number of milliseconds",
                                 "5: more follows the closing quote of a field", "7: it ends within quotes"});

  const Outcome tsv = ReadText(Format::kTsv, "value\tkey\n1\ta\nx\\y\tb\n2\\\tc\n3\t\\t\n");
  CHECK_OK(tsv.status);
  CHECK(tsv.pairs == Pairs{{"a", "1"}, {"\t", "3"}});
  CHECK(tsv.complaints.size() == 2);
}

TEST_CASE("a table without the columns is refused") {
  for (const std::string text : {"", "a,b\n1,2\n", "key\n1\n", "key_utf8,value\n", "\"key,value\n"}) {
    const Outcome outcome = ReadText(Format::kCsv, text);
    CHECK_CODE(outcome.status, kInvalidArgument);
    CHECK(outcome.pairs.empty());
  }
}

TEST_CASE("a line that is longer than any ends the reading, and takes no more memory") {
  for (const Format format : {Format::kJsonLines, Format::kCsv, Format::kTsv}) {
    const std::string head = format == Format::kJsonLines ? ""
                             : format == Format::kCsv     ? "key,value\n\""
                                                          : "key\tvalue\n";
    const Outcome outcome = ReadAll(format, std::make_unique<StringSource>(head + std::string(3 << 20, 'x')), 1 << 20);
    CHECK_CODE(outcome.status, kInvalidArgument);
  }
}

TEST_CASE("every byte of raw that is changed, and every end that is cut off, is noticed") {
  const Pairs pairs = {{"a", "1"}, {"", ""}, {"key", std::string(300, 'v')}};
  const std::string text = Written({Format::kRaw}, pairs);
  CHECK(ReadText(Format::kRaw, text + text).pairs.size() == 2 * pairs.size());
  for (size_t i = 0; i < text.size(); ++i) {
    CAPTURE(i);
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    // The last bytes of the head say nothing.
    if (i >= 12 && i < kRawHeadBytes) continue;
    const Outcome outcome = ReadText(Format::kRaw, damaged);
    CHECK_FALSE(outcome.status.ok());
    CHECK((absl::IsDataLoss(outcome.status) || i < kRawHeadBytes));
    CHECK_FALSE(ReadText(Format::kRaw, text.substr(0, i)).status.ok());
  }
  // A record in the place of another.
  const std::string swapped = Written({Format::kRaw}, {pairs[1], pairs[0], pairs[2]});
  CHECK_CODE(ReadText(Format::kRaw, swapped.substr(0, 16) + text.substr(16)).status, kOk);
  CHECK_CODE(ReadText(Format::kRaw, text.substr(0, 16) + swapped.substr(16 + 25)).status, kDataLoss);
}

TEST_CASE("bytes at random are entries, complaints or an error, in every format") {
  base::Random random(7);
  for (int round = 0; round < 2000; ++round) {
    const Format format = static_cast<Format>(random.Next() % 4);
    std::string text = Written({format, Encoding::kHex, Encoding::kUtf8}, {{"a", "1"}, {"b", "22"}, {"c", "\"\\\t"}});
    const uint64_t changes = 1 + random.Next() % 4;
    for (uint64_t i = 0; i < changes; ++i) text[random.Next() % text.size()] = static_cast<char>(random.Next());
    text.resize(text.size() - random.Next() % text.size() / 4);
    const Outcome outcome = ReadText(format, text);
    CHECK(outcome.pairs.size() <= 4);
    if (format == Format::kRaw && outcome.status.ok()) CHECK(outcome.pairs.size() == 3);
  }
}

TEST_CASE("what zstd compressed is read back, frame after frame, and damage is noticed") {
  const std::string text = Written({}, AllBytes());
  const std::string packed = Compress(text).value() + Compress(text).value();
  CHECK(Compress(text).value() == Compress(text).value());
  auto source = std::make_unique<Decompressor>(std::make_unique<OneByOne>(packed), "packed", false);
  CHECK(ReadAll(Format::kJsonLines, std::move(source)).pairs.size() == 2 * AllBytes().size());
  std::string damaged = packed;
  damaged[damaged.size() / 3] = static_cast<char>(damaged[damaged.size() / 3] ^ 1);
  auto bad = std::make_unique<Decompressor>(std::make_unique<StringSource>(damaged), "packed", false);
  CHECK_CODE(ReadAll(Format::kJsonLines, std::move(bad)).status, kDataLoss);
  auto cut = std::make_unique<Decompressor>(std::make_unique<StringSource>(packed.substr(0, 100)), "packed", false);
  CHECK_CODE(ReadAll(Format::kJsonLines, std::move(cut)).status, kDataLoss);
}

TEST_CASE("UTF-8 is told from what only looks like it") {
  for (const char* const good : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                                 "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    CHECK(IsUtf8(good));
  }
  for (const char* const bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xff"}) {
    CHECK_FALSE(IsUtf8(bad));
  }
}

}  // namespace bandb::transfer
