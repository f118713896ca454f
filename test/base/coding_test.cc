#include "base/coding.h"

#include <string>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::base {

TEST_CASE("a varint comes back as it was written, and takes the length that was announced") {
  for (int bit = 0; bit < 64; ++bit) {
    for (uint64_t value : {(uint64_t{1} << bit) - 1, uint64_t{1} << bit, (uint64_t{1} << bit) + 1}) {
      std::string bytes;
      PutVarint(&bytes, value);
      CHECK(bytes.size() == static_cast<size_t>(VarintLength(value)));
      ByteReader reader(bytes);
      uint64_t read = 0;
      REQUIRE(reader.ReadVarint(&read));
      CHECK(read == value);
      CHECK(reader.empty());
    }
  }
}

TEST_CASE("a varint that is cut off or too long is refused, and the reader stays where it was") {
  std::string bytes;
  PutVarint(&bytes, UINT64_MAX);
  uint64_t value = 0;
  for (size_t length = 0; length < bytes.size(); ++length) {
    ByteReader reader(std::string_view(bytes).substr(0, length));
    CHECK_FALSE(reader.ReadVarint(&value));
    CHECK(reader.remaining() == length);
  }
  ByteReader eleven(std::string_view("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11));
  CHECK_FALSE(eleven.ReadVarint(&value));
  ByteReader overflow(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
  CHECK_FALSE(overflow.ReadVarint(&value));
  CHECK(overflow.remaining() == 10);
}

TEST_CASE("a length that promises more than there is, is refused") {
  std::string bytes;
  PutVarint(&bytes, uint64_t{1} << 63);
  bytes += "abc";
  ByteReader reader(bytes);
  std::string_view view;
  CHECK_FALSE(reader.ReadLengthPrefixed(&view));
  CHECK(reader.remaining() == bytes.size());
}

TEST_CASE("a varint beyond 32 bits is refused where 32 bits are wanted") {
  std::string bytes;
  PutVarint(&bytes, uint64_t{UINT32_MAX} + 1);
  ByteReader reader(bytes);
  uint32_t value = 0;
  CHECK_FALSE(reader.ReadVarint32(&value));
  CHECK(reader.remaining() == bytes.size());
}

TEST_CASE("whatever is written in sequence is read back in sequence") {
  Random random(17);
  for (int round = 0; round < 200; ++round) {
    const uint64_t number = random.Next() >> random.Uniform(64);
    const std::string text(random.Uniform(300), static_cast<char>(random.Next()));
    std::string bytes;
    PutFixed32(&bytes, static_cast<uint32_t>(number));
    PutLengthPrefixed(&bytes, text);
    PutVarint(&bytes, number);
    PutFixed16(&bytes, static_cast<uint16_t>(number));
    ByteReader reader(bytes);
    uint32_t fixed32 = 0;
    uint16_t fixed16 = 0;
    uint64_t varint = 0;
    std::string_view view;
    REQUIRE(reader.ReadFixed(&fixed32));
    REQUIRE(reader.ReadLengthPrefixed(&view));
    REQUIRE(reader.ReadVarint(&varint));
    REQUIRE(reader.ReadFixed(&fixed16));
    CHECK(fixed32 == static_cast<uint32_t>(number));
    CHECK(view == text);
    CHECK(varint == number);
    CHECK(fixed16 == static_cast<uint16_t>(number));
    CHECK(reader.empty());
  }
}

}  // namespace bandb::base
