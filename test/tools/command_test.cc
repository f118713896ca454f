#include "command.h"

#include <string>
#include <vector>

#include "support/catch.h"

namespace bandb::cli {
namespace {

Command Parsed(std::string_view line) {
  Command command;
  std::string complaint;
  INFO(line << ": " << complaint);
  REQUIRE(ParseCommand(line, &command, &complaint));
  return command;
}

std::string ComplaintAbout(std::string_view line) {
  Command command;
  std::string complaint;
  REQUIRE_FALSE(ParseCommand(line, &command, &complaint));
  return complaint;
}

Command ParsedArguments(const std::vector<std::string>& arguments) {
  Command command;
  std::string complaint;
  INFO(complaint);
  REQUIRE(ParseArguments(arguments, &command, &complaint));
  return command;
}

std::string ComplaintAboutArguments(const std::vector<std::string>& arguments) {
  Command command;
  std::string complaint;
  REQUIRE_FALSE(ParseArguments(arguments, &command, &complaint));
  return complaint;
}

TEST_CASE("a line is a command, a key and for put all the rest") {
  Command command = Parsed("  put  name\t Alice  in  Wonderland ");
  CHECK(command.verb == Verb::kPut);
  CHECK(command.key == "name");
  CHECK(command.value == "Alice  in  Wonderland");

  command = Parsed(R"(put "a b" "c\x00d")");
  CHECK(command.key == "a b");
  CHECK(command.value == std::string("c\0d", 3));

  // Quotes within a value belong to it, and a dash is one like any other.
  CHECK(Parsed(R"(put k say "hi")").value == R"(say "hi")");
  CHECK(Parsed("put k -").value == "-");
  CHECK_FALSE(Parsed("put k -").value_from_input);

  CHECK(Parsed("get name").verb == Verb::kGet);
  command = Parsed(R"(DELETE "")");
  CHECK(command.verb == Verb::kDelete);
  CHECK(command.key.empty());
}

TEST_CASE("mistakes in quotes are told") {
  for (const char* line : {R"(put b "C:\dir")", R"(put c "unclosed)", R"(get "a"b)", R"(put "k v)"}) {
    INFO(line);
    CHECK(ComplaintAbout(line).starts_with("a word that begins with \" must end with it"));
  }
  CHECK(ComplaintAbout(R"(put d "a" "b")") == R"(more follows the value in quotes: "b")");
}

TEST_CASE("a line that is not a command is refused with the right usage") {
  CHECK(ComplaintAbout("put name") == "usage: put [--ttl DURATION] KEY VALUE");
  CHECK(ComplaintAbout("get") == "usage: get [--raw] KEY");
  CHECK(ComplaintAbout("delete a b") == "usage: delete KEY | --prefix TEXT [--yes]");
  CHECK(ComplaintAbout("cas k v") == "usage: cas [--ttl DURATION] KEY EXPECTED VALUE");
  CHECK(ComplaintAbout("ping x") == "usage: ping");
  CHECK(ComplaintAbout("PUTS a b") == "unknown command \"PUTS\"; help lists what there is");
}

TEST_CASE("options come before the key of a put, and anywhere else where the number of words is fixed") {
  Command command = Parsed("put --ttl 1.5s k --ttl 3s v");
  CHECK(command.ttl == absl::Milliseconds(1500));
  CHECK(command.value == "--ttl 3s v");
  CHECK(Parsed("put --ttl=5min k v").ttl == absl::Minutes(5));
  CHECK(Parsed("get k --raw").raw);
  CHECK(Parsed("get -- --raw").key == "--raw");
  CHECK(Parsed("get \"--raw\"").key == "--raw");
  CHECK(Parsed("get -v").key == "-v");
  command = Parsed("cas --ttl 1s k old new");
  CHECK(command.key == "k");
  CHECK(command.expected == "old");
  CHECK(command.value == "new");
  command = Parsed("cas --absent k new");
  CHECK(command.expects_absent);
  CHECK(command.value == "new");
  for (const char* line :
       {"put --ttl 0s k v", "put --ttl 5 k v", "put --ttl", "get --ttl 5s k", "get --raw=1 k", "scan --count x",
        "scan --count -1", "scan --format xml", "scan --raw", "count --count 1", "stats --all"}) {
    INFO(line);
    CHECK_FALSE(ComplaintAbout(line).empty());
  }
}

TEST_CASE("a scan has a range, or a prefix that stands for one") {
  Command command = Parsed("scan --begin a --limit \"b c\" --count 5 --keys-only --reverse --format jsonl");
  CHECK(command.begin == "a");
  CHECK(command.limit == "b c");
  CHECK(command.entries_max == 5);
  CHECK(command.keys_only);
  CHECK(command.reverse);
  CHECK(command.format == ScanFormat::kJsonLines);
  command = Parsed("count --prefix ab");
  CHECK(command.begin == "ab");
  CHECK(command.limit == "ac");
  CHECK(Parsed(R"(scan --prefix "a\xff\xff")").limit == "b");
  CHECK(Parsed(R"(scan --prefix "\xff")").limit.empty());
}

TEST_CASE("arguments are taken as they are") {
  CHECK(ParsedArguments({"put", "k", "a  b", "\"c"}).value == "a  b \"c");
  CHECK(ParsedArguments({"put", "k", "-v"}).value == "-v");
  CHECK(ParsedArguments({"put", "k", ""}).value.empty());
  CHECK(ParsedArguments({"put", "k", "-"}).value_from_input);
  CHECK(ParsedArguments({"put", "--", "k", "-"}).value == "-");
  CHECK_FALSE(ParsedArguments({"put", "--", "k", "-"}).value_from_input);
  CHECK_FALSE(ParsedArguments({"put", "k", "-", "x"}).value_from_input);
  CHECK(ParsedArguments({"put", "--", "k", "--addr", "x"}).value == "--addr x");
}

TEST_CASE("an option that was meant for the program is not stored as part of a value") {
  for (const std::string option : {"--addr", "--addr=x:1", "--raw", "--ttl", "--ttl=5s", "--history"}) {
    INFO(option);
    CHECK(ComplaintAboutArguments({"put", "k", "v", option, "x"}).starts_with(option + " comes before the command"));
    CHECK(ComplaintAboutArguments({"put", "k", option}).starts_with(option + " comes before the command"));
  }
  CHECK(ComplaintAboutArguments({"get", "k", "--addr", "x:1"}).starts_with("--addr comes before the command"));
}

TEST_CASE("every command is listed, and has help with its usage") {
  for (const char* name : {"put", "get", "delete", "cas", "batch", "scan", "count", "ping", "stats"}) {
    Verb verb = Verb::kGet;
    REQUIRE(ParseVerb(name, &verb));
    CHECK(HelpOf(verb).starts_with(std::string("Usage: bandb ") + name));
    CHECK(CommandList().find(std::string("  ") + name) != std::string::npos);
  }
}

TEST_CASE("delete takes a key, or a prefix and whether to ask") {
  Command command = Parsed("delete --prefix a\xff");
  CHECK(command.deletes_prefix);
  CHECK(command.begin == "a\xff");
  CHECK(command.limit == "b");
  CHECK_FALSE(command.sure);
  command = ParsedArguments({"delete", "--prefix", "", "--yes"});
  CHECK(command.deletes_prefix);
  CHECK(command.begin.empty());
  CHECK(command.limit.empty());
  CHECK(command.sure);
  CHECK_FALSE(ComplaintAbout("delete --prefix a key").empty());
  CHECK_FALSE(ComplaintAbout("delete --prefix").empty());
  CHECK(ComplaintAbout("delete --prefix \"\"").starts_with("every key begins with an empty prefix"));
  CHECK_FALSE(ComplaintAbout("get --prefix a").empty());
  CHECK_FALSE(Parsed("scan --prefix a").deletes_prefix);
}

}  // namespace
}  // namespace bandb::cli
