#include "config.h"

#include <set>
#include <string>

#include "base/status.h"
#include "key_depth.h"
#include "settings.h"
#include "support/catch.h"

namespace bandb::server_program {
namespace {

std::string ComplaintsAbout(std::string_view text, const Overrides& overrides = {}) {
  const absl::StatusOr<Config> config = ParseConfig(text, "file", overrides);
  REQUIRE_CODE(config.status(), kInvalidArgument);
  return std::string(base::Message(config.status()));
}

TEST_CASE("every kind of setting reaches its option") {
  const absl::StatusOr<Config> config = ParseConfig(R"(
[server]
listen = "[::1]:0"
durability = "os"
loops = 3
reads_inline = false
frame_max = "1 MiB"
idle_timeout = "90 s"
[storage]
data = "/srv/bandb"
write_buffer = "8 MiB"
compression = "none"
bloom_bits_per_key = 0
[log]
level = "error"
)",
                                                    "file");
  REQUIRE_OK(config.status());
  CHECK(config->server.listen == "[::1]:0");
  CHECK(config->server.durability == Durability::kOs);
  CHECK(config->server.loops == 3);
  CHECK_FALSE(config->server.reads_inline);
  CHECK(config->server.frame_bytes_max == 1u << 20);
  CHECK(config->server.idle_timeout == absl::Seconds(90));
  CHECK(config->data == "/srv/bandb");
  CHECK(config->storage.write_buffer_bytes == 8u << 20);
  CHECK(config->storage.compression == Compression::kNone);
  CHECK(config->storage.bloom_bits_per_key == 0);
  CHECK(config->log_level == LogSeverity::kError);
}

TEST_CASE("an empty file is the defaults") {
  const absl::StatusOr<Config> config = ParseConfig("", "file");
  REQUIRE_OK(config.status());
  CHECK(config->data == "./bandb-data");
  CHECK(config->server.listen == "127.0.0.1:8080");
}

TEST_CASE("an unknown key is refused with its line and the nearest name") {
  CHECK(ComplaintsAbout("\n[storage]\nwrite_bufer = \"8 MiB\"") ==
        "file:3: there is no storage.write_bufer; did you mean write_buffer?");
  CHECK(ComplaintsAbout("[sever]") == "file:1: there is no sever; did you mean server?");
  CHECK(ComplaintsAbout("[server]\nwrite_buffer = \"8 MiB\"") ==
        "file:2: there is no server.write_buffer; did you mean storage.write_buffer?");
  CHECK(ComplaintsAbout("listen = \"127.0.0.1:1\"") == "file:1: there is no listen; did you mean server.listen?");
  CHECK(ComplaintsAbout("[server]\nListen = 1") == "file:2: there is no server.Listen; did you mean listen?");
  CHECK(ComplaintsAbout("[server]\nzzzzzzzzzzzz = 1") == "file:2: there is no server.zzzzzzzzzzzz");
}

TEST_CASE("a value of the wrong type or without its unit is refused with what the key takes") {
  for (const char* value : {"64", "\"64\"", "true", "[1]", "1.5", "\"5 GiB of it\""}) {
    CHECK(ComplaintsAbout(std::string("[storage]\nwrite_buffer = ") + value) ==
          "file:2: storage.write_buffer takes a size with its unit, such as \"64 MiB\" (B, KiB, MiB, GiB, TiB; kB, MB, "
          "GB, "
          "TB count in thousands)");
  }
  CHECK(ComplaintsAbout("[storage]\nblock = \"5 GiB\"").starts_with("file:2: storage.block takes a size"));
  CHECK(ComplaintsAbout("[server]\nloops = \"2\"") == "file:2: server.loops takes a whole number");
  CHECK(ComplaintsAbout("[server]\nloops = -1") == "file:2: server.loops takes a whole number");
  CHECK(ComplaintsAbout("[server]\nloops = 3000000000") == "file:2: server.loops takes a whole number");
  CHECK(ComplaintsAbout("[server]\nreads_inline = 1") == "file:2: server.reads_inline takes true or false");
  CHECK(ComplaintsAbout("[server]\ndurability = \"fsync\"") ==
        "file:2: server.durability takes one of \"sync\" \"os\"");
  CHECK(ComplaintsAbout("server = 1") == "file:1: server is a section: write [server]");
}

TEST_CASE("a text that holds a zero byte is refused, since the system would take it for the end") {
  CHECK(ComplaintsAbout("[storage]\ndata = \"/srv\\u0000x\"") == "file:2: storage.data takes the path of a directory");
}

TEST_CASE("all mistakes are named at once") {
  const std::string complaints = ComplaintsAbout("[server]\nloops = true\nlisten = 1\n[storage]\nx = 1\n");
  CHECK(std::count(complaints.begin(), complaints.end(), '\n') == 2);
}

TEST_CASE("mistakes of names, types and ranges are told at once, in the order of the file") {
  CHECK(ComplaintsAbout("[server]\nconnections_max = 0\nlisen = 1\nkeepalive = 5\n[storage]\nblock = \"1 B\"\n") ==
        "file:2: server.connections_max is 0, not between 1 and 1000000\n"
        "file:3: there is no server.lisen; did you mean listen?\n"
        "file:4: server.keepalive takes a duration with its unit, such as \"5 s\" (ms, s, min, h, d), or \"never\"\n"
        "file:6: storage.block is 1 B, not between 512 B and 1 MiB");
}

TEST_CASE("what is out of range is named as the file names it, with its line where the file sets it") {
  CHECK(ComplaintsAbout("[server]\nframe_max = \"1 B\"\n[storage]\nblock = \"1 B\"\nmemory_budget = \"1 MiB\"\n",
                        {.listen = "nonsense"}) ==
        "server.listen is 'nonsense', not HOST:PORT\n"
        "file:2: server.frame_max is 1 B, not between 64 B and 65 MiB\n"
        "file:4: storage.block is 1 B, not between 512 B and 1 MiB\n"
        "file:5: storage.memory_budget is 1 MiB, less than the 192 MiB that storage.write_buffer, "
        "storage.block_cache and 64 MiB of working space come to");
}

TEST_CASE("a limit that another setting moves is named with that setting and its line") {
  CHECK(ComplaintsAbout("[server]\nframe_max = \"65 MiB\"\n") ==
        "file:2: server.memory_max is 256 MiB, less than four times server.frame_max, 65 MiB");
}

TEST_CASE("no rule is checked of a setting whose value was refused") {
  CHECK(ComplaintsAbout("[server]\nframe_max = \"65 MiB\"\nmemory_max = \"1 G\"\n")
            .starts_with("file:3: server.memory_max takes a size"));
}

TEST_CASE("the command line comes before the file") {
  const absl::StatusOr<Config> config = ParseConfig("[server]\nlisten = \"nonsense\"\n[storage]\ndata = \"/a\"\n",
                                                    "file", {.listen = "[::1]:0", .data = "/b"});
  REQUIRE_OK(config.status());
  CHECK(config->server.listen == "[::1]:0");
  CHECK(config->data == "/b");
}

TEST_CASE("any setting can be made on the command line, with its value as in the file or a text without quotes") {
  const absl::StatusOr<Config> config =
      ParseConfig("[cluster]\nname = \"a\"\n", "file",
                  {.settings = {"cluster.name=b", "cluster.listen=127.0.0.1:7400", "cluster.priority=3",
                                "cluster.join=127.0.0.1:7401,127.0.0.1:7402", "storage.block=\"8 KiB\"",
                                "cluster.election_timeout=2 s", "cluster.replaces=7"}});
  REQUIRE_OK(config.status());
  CHECK(config->cluster.name == "b");
  CHECK(config->cluster.listen == "127.0.0.1:7400");
  CHECK(config->cluster.priority == 3);
  CHECK(config->cluster.join == std::vector<std::string>{"127.0.0.1:7401", "127.0.0.1:7402"});
  CHECK(config->storage.block_bytes == 8u << 10);
  CHECK(config->cluster.election_timeout == absl::Seconds(2));
  CHECK(config->cluster.replaces == "7");
  const auto complaints = [](const std::string& setting) { return ComplaintsAbout("", {.settings = {setting}}); };
  CHECK(complaints("cluster.nam=b") == "there is no cluster.nam; did you mean cluster.name?");
  CHECK(complaints("cluster.name") == "--set takes KEY=VALUE, not cluster.name");
  CHECK(complaints("cluster.bootstrap=maybe") == "cluster.bootstrap takes true or false");
  CHECK(complaints("server.loops=0") == "server.loops is 0, not between 1 and 64");
  CHECK(complaints("server.loops=[") == "server.loops takes a whole number");
}

TEST_CASE("a list of texts is read, and nothing else in its place") {
  const absl::StatusOr<Config> config =
      ParseConfig("[cluster]\nlisten = \"127.0.0.1:1\"\njoin = [\"127.0.0.1:2\", \"127.0.0.1:3\"]\n", "file");
  REQUIRE_OK(config.status());
  CHECK(config->cluster.join == std::vector<std::string>{"127.0.0.1:2", "127.0.0.1:3"});
  for (const char* value : {"[1]", "[\"\"]", "1", "{}", "[[\"a:1\"]]"}) {
    CHECK(ComplaintsAbout(std::string("[cluster]\njoin = ") + value) ==
          "file:2: cluster.join takes a list of \"HOST:PORT\"");
  }
}

TEST_CASE("what cannot be a cluster is refused") {
  CHECK(ComplaintsAbout("[cluster]\nlisten = \"x\"\nadvertise = \"y\"\nclient_address = \"z\"\n") ==
        "file:2: cluster.listen is not HOST:PORT\nfile:3: cluster.advertise is not HOST:PORT\n"
        "file:4: cluster.client_address is not HOST:PORT");
  CHECK(ComplaintsAbout("[cluster]\njoin = [\"a:1\"]\n") ==
        "cluster.listen is empty, and others have to reach a node that joins");
  CHECK(ComplaintsAbout("[cluster]\nlisten = \"b:1\"\njoin = [\"a:1\"]\nbootstrap = true\n") ==
        "file:4: cluster.bootstrap begins a cluster and cluster.join asks to be let into one");
  CHECK(ComplaintsAbout("[cluster]\nlisten = \"a:1\"\njoin = [\"a:1\"]\n") ==
        "file:3: cluster.join names this node itself");
  CHECK(ComplaintsAbout("[cluster]\nlisten = \"b:1\"\njoin = [\"a:1\", \"c:1\", \"a:1\"]\n") ==
        "file:3: cluster.join names a:1 twice");
  CHECK(ComplaintsAbout("[server]\nmode = \"standalone\"\n[cluster]\nlisten = \"a:1\"\n") ==
        "file:4: cluster.listen makes a node of a cluster, and server.mode is \"standalone\"");
  const std::string os = ComplaintsAbout("[server]\ndurability = \"os\"\n[cluster]\nlisten = \"a:1\"\n");
  CHECK(os.starts_with("server.durability is \"os\", which only server.mode = \"standalone\" has"));
  CHECK_OK(ParseConfig("[storage]\nchanges_keep_bytes = \"1 GiB\"\n", "file").status());
}

TEST_CASE("what is served is a cluster of one, but where writes need not be synced and nothing else is said") {
  CHECK(ParseConfig("", "file")->mode == Mode::kCluster);
  CHECK(ParseConfig("[server]\nmode = \"standalone\"\n", "file")->mode == Mode::kStandalone);
  CHECK(ParseConfig("[server]\ndurability = \"os\"\n", "file")->mode == Mode::kStandalone);
  CHECK_CODE(ParseConfig("[server]\nmode = \"cluster\"\ndurability = \"os\"\n", "file").status(), kInvalidArgument);
}

TEST_CASE("logs in backups are refused of a node of a cluster, which has none for them") {
  const std::string refused =
      "storage.backup_logs = true: a node of a cluster has no logs for its backups; it goes with server.mode = "
      "\"standalone\" only";
  CHECK(ComplaintsAbout("[storage]\nbackup_logs = true") == "file:2: " + refused);
  CHECK(ComplaintsAbout("[server]\nmode = \"cluster\"\n[storage]\nbackup_logs = true") == "file:4: " + refused);
  CHECK(ComplaintsAbout("", {.settings = {"storage.backup_logs=true"}}) == refused);
  CHECK_OK(ParseConfig("[server]\nmode = \"standalone\"\n[storage]\nbackup_logs = true", "file").status());
  CHECK_OK(ParseConfig("[server]\ndurability = \"os\"\n[storage]\nbackup_logs = true", "file").status());
}

TEST_CASE("a value is told as it is, though it be the name of an option or hold what parts complaints") {
  CHECK(ComplaintsAbout("[server]\nlisten = \"loops; {}: \"\n") ==
        "file:2: server.listen is 'loops; {}: ', not HOST:PORT");
}

TEST_CASE("a key of very many parts is refused before the parser meets it") {
  std::string key = "a";
  for (int i = 0; i < 100'000; ++i) key += ".a";
  const std::string complaint = "file:2: a key of more than 9 parts";
  for (const std::string& text : {key + " = 1", "[" + key + "]", "[[" + key + "]]", "x = {" + key + " = 1}",
                                  "x = {\"=\"." + key + " = 1}", "'.'.\"=\\\"\". " + key + " = 1"}) {
    CHECK(ComplaintsAbout("# a comment\n" + text) == complaint);
  }
  // Dots in strings and comments, and of many numbers, are no parts of a key.
  CHECK(LineOfDeepKey(
            "a = \"..........\" # ..........\nb = '''\n..........\n'''\nc = [1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, "
            "1.5, 1.5, 1.5]\nd = \"...........\n") == 0);
}

TEST_CASE("every setting names the option that it sets") {
  for (const Setting& setting : Settings()) {
    INFO(setting.option);
    // "storage.write_buffer_bytes" makes storage.write_buffer.
    if (setting.section == "log" || setting.key == "data" || setting.key.starts_with("backup") ||
        setting.key == "mode") {
      continue;
    }
    if (setting.section == "redis") {
      CHECK(setting.option == "server.redis_" + std::string(setting.key));
      continue;
    }
    // Those of the server's that have a section of their own.
    if (setting.section == "tls" || setting.section == "users") {
      CHECK(setting.option.starts_with("server."));
      continue;
    }
    CHECK(setting.option.starts_with(setting.section));
    CHECK(setting.option.substr(setting.section.size() + 1).starts_with(setting.key.substr(0, setting.key.rfind('_'))));
  }
}

TEST_CASE("what is no TOML is refused with its line") {
  CHECK(ComplaintsAbout("[server]\nlisten = \n").starts_with("file:2: "));
  for (const char* text :
       {"[\n", "[", "[[", "[[\n", "[[[server]]]\n", "[.a]\n", "[ ", "[]", "=", ".=1", "a.", "\"", "a = [", "{"}) {
    INFO(text);
    CHECK(ComplaintsAbout(text).starts_with("file:1: "));
  }
  CHECK(ComplaintsAbout("[server]\nloops = 1\nloops = 2\n").starts_with("file:3: "));
}

TEST_CASE("every name is unique in its section and nearest to itself") {
  std::vector<std::string_view> keys;
  std::set<std::string> names;
  for (const Setting& setting : Settings()) {
    keys.push_back(setting.key);
    CHECK(names.insert(NameOf(setting)).second);
  }
  for (const std::string_view key : keys) CHECK(Nearest(key, keys) == key);
}

}  // namespace
}  // namespace bandb::server_program
