#include "admin/figure_lines.h"

#include "support/catch.h"

namespace bandb::admin {

TEST_CASE("each figure is a line, levels have a number, and histograms are sum, maximum and buckets") {
  Report report{.version = "1.2", .start_seconds = 5, .server = {}, .store = Stats{}};
  report.server.replies = 17;
  report.store->levels = {{.tables = 4}, {.tables = 1}};
  LatencyHistogram histogram;
  histogram.Add(3, 2);
  histogram.Add(100);
  report.latencies.operations.push_back({"redis", "get", histogram});
  report.latencies.hooks.push_back({"before put 1", {}});
  const std::string text = ToLines(report);
  CHECK(text.starts_with("version 1.2\nstart_seconds 5\nserver."));
  CHECK(text.find("\nserver.replies 17\n") != std::string::npos);
  CHECK(text.find("\nstore.level.1.tables 1\n") != std::string::npos);
  const std::string bucket = std::to_string(LatencyHistogram::BucketOf(100));
  CHECK(text.find("\nrequest.redis.get 106 100 2:2 " + bucket + ":1\n") != std::string::npos);
  CHECK(text.ends_with("\nhook.before_put_1 0 0\n"));
  CHECK(text.find("\naudit.") == std::string::npos);
  report.audit = {.lines_lost = 3};
  CHECK(ToLines(report).find("\naudit.lines_lost 3\n") != std::string::npos);
  report.store.reset();
  CHECK(ToLines(report).find("\nstore.") == std::string::npos);
}

}  // namespace bandb::admin
