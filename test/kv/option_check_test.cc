#include "kv/option_check.h"

#include "base/status.h"
#include "kv/options.h"
#include "support/catch.h"

namespace bandb::kv {

TEST_CASE("without complaints a set of options is good") {
  OptionCheck check;
  check.Within("threads", 1, 1, 64);
  check.Within("threads", 64, 1, 64);
  CHECK(check.complaints().empty());
  CHECK_OK(check.ToStatus("options"));
}

TEST_CASE("complaints are told in C++ names, all at once and in their order") {
  OptionCheck check;
  check.Within("threads", -1, 1, 64);
  check.Wrong({OptionName{"table"}, " is less than ", OptionName{"block"}, "; {}"});
  const absl::Status status = check.ToStatus("options");
  CHECK_CODE(status, kInvalidArgument);
  CHECK(base::Message(status) == "options: threads is -1, not between 1 and 64; table is less than block; {}");
}

TEST_CASE("a complaint may be told in other names, whatever its texts are") {
  const OptionComplaint complaint = {OptionName{"block"}, " is 'block', not ", OptionName{"table"}};
  CHECK(Tell(complaint, [](std::string_view option) { return fmt::format("my.{}", option); }) ==
        "my.block is 'block', not my.table");
}

TEST_CASE("what the options of a database do not agree on is told with every option that it is about") {
  Options options;
  options.table_bytes = 64 << 10;
  options.block_bytes = 128 << 10;
  options.background_threads = -1;
  CHECK(base::Message(Validate(options)) ==
        "options: background_threads is -1, not between 1 and 64; table_bytes is 65536, less than block_bytes, 131072");
  CHECK_OK(Validate(Options()));
}

}  // namespace bandb::kv
