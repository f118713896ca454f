// What the commands are called and how they are used: the texts of command.h.
#include <fmt/format.h>

#include "command.h"
#include "command_texts.h"

namespace bandb::cli {

namespace {

constexpr CommandText kTexts[] = {
    {Verb::kPut, "put", "put [--ttl DURATION] KEY VALUE", "store VALUE under KEY",
     "The words of VALUE are joined by spaces. With - in place of VALUE the value is read from standard input.\n"
     "\n"
     "  --ttl DURATION  the key expires after this time: 500ms, 30s, 5min, 12h, 7d\n"
     "\n"
     "Examples:\n"
     "  bandb put greeting hello world\n"
     "  bandb put --ttl 30s session:1 open\n"
     "  bandb put image - < image.png\n"
     "  bandb put -- --odd-key --odd-value\n"},
    {Verb::kGet, "get", "get [--raw] KEY", "print the value of KEY",
     "The value is printed in double quotes, with escapes for bytes that do not print.\n"
     "\n"
     "  --raw  print the bytes as they are, without quotes and line end\n"
     "\n"
     "Examples:\n"
     "  bandb get greeting\n"
     "  bandb get --raw image > image.png\n"},
    {Verb::kTtl, "ttl", "ttl KEY", "print how long KEY has to live",
     "A duration such as --ttl of put takes it, or never.\n"
     "\n"
     "Examples:\n"
     "  bandb ttl session:7\n"},
    {Verb::kDelete, "delete", "delete KEY | --prefix TEXT [--yes]", "remove KEY, or all keys that begin with TEXT",
     "Succeeds whether or not there is such a key. All keys of a prefix go in one step.\n"
     "\n"
     "  --prefix TEXT  remove all keys that begin with TEXT; at a terminal it asks first\n"
     "  --yes          do not ask; an empty TEXT, every key, needs it\n"
     "\n"
     "Examples:\n"
     "  bandb delete greeting\n"
     "  bandb delete --prefix session:\n"},
    {Verb::kCas, "cas", "cas [--ttl DURATION] KEY EXPECTED VALUE", "store VALUE under KEY if it has the value EXPECTED",
     "Compare and set, in one step. Exit code 1 if KEY has another value or does not exist.\n"
     "\n"
     "  --absent KEY VALUE  store VALUE if KEY does not exist\n"
     "  --ttl DURATION      the key expires after this time\n"
     "\n"
     "Examples:\n"
     "  bandb cas leader node1 node2\n"
     "  bandb cas --absent lock:7 mine\n"},
    {Verb::kBatch, "batch", "batch FILE", "carry out the commands of FILE, all or none",
     "FILE, or - for standard input, holds put, delete and cas, one on each line as in a session. They take effect in "
     "one\n"
     "step, and only if the condition of every cas holds before it; otherwise the exit code is 1.\n"
     "\n"
     "Examples:\n"
     "  printf 'cas balance:1 10 7\\ncas balance:2 0 3\\n' | bandb batch -\n"},
    {Verb::kScan, "scan", "scan [OPTIONS]", "print the keys and values of a range, in order",
     "  --begin KEY    first key of the range\n"
     "  --limit KEY    first key after the range\n"
     "  --prefix TEXT  the range of keys that begin with TEXT\n"
     "  --count N      at most N entries\n"
     "  --keys-only    no values\n"
     "  --reverse      from the end backwards\n"
     "  --format F     text: in double quotes, a tab between key and value (the default)\n"
     "                 jsonl: a JSON object for each entry; bytes that are not UTF-8 as {\"base64\": ...},\n"
     "                 and expires, in milliseconds since 1970, where it does\n"
     "                 raw: bytes as they are, a tab between key and value, a line end after them\n"
     "\n"
     "Examples:\n"
     "  bandb scan --prefix line: --count 10\n"
     "  bandb scan --format jsonl > dump.jsonl\n"},
    {Verb::kCount, "count", "count [OPTIONS]", "count the keys of a range",
     "Reads every key of the range, which takes a while if there are many.\n"
     "\n"
     "  --begin KEY    first key of the range\n"
     "  --limit KEY    first key after the range\n"
     "  --prefix TEXT  the range of keys that begin with TEXT\n"
     "\n"
     "Examples:\n"
     "  bandb count --prefix line:\n"},
    {Verb::kPing, "ping", "ping", "ask whether the server answers",
     "Prints PONG and how long the answer took.\n"
     "\n"
     "Examples:\n"
     "  bandb --addr 10.0.0.1:8080 ping\n"},
    {Verb::kStats, "stats", "stats", "print the counters of the server",
     "A line \"name value\" for each; include/bandb/server.h says what they mean.\n"
     "\n"
     "Examples:\n"
     "  bandb stats\n"},
    {Verb::kFlush, "flush", "flush", "put what the server holds in memory into tables",
     "Nothing is lost without it: what is acknowledged is in the log. It makes the next start quicker.\n"
     "\n"
     "Examples:\n"
     "  bandb flush\n"},
    {Verb::kCompact, "compact", "compact [OPTIONS]", "merge the tables of a range, and give back what was deleted",
     "  --begin KEY    first key of the range\n"
     "  --limit KEY    first key after the range\n"
     "  --prefix TEXT  the range of keys that begin with TEXT\n"
     "\n"
     "Without a range all of it. The server does so by itself in the course of time; this waits until it is done, "
     "which may\n"
     "take minutes.\n"
     "\n"
     "Examples:\n"
     "  bandb compact --prefix session:\n"},
    {Verb::kStatus, "status", "status [--json]", "print how the node that is asked sees its cluster",
     "Its own state, the leader, term, commit and applied index, and a line for each member with what keeps it from "
     "being\n"
     "well, if anything. How far the logs of others are only the leader knows.\n"
     "\n"
     "  --json  the same as an object\n"
     "\n"
     "Examples:\n"
     "  bandb --addr 10.0.0.1:8080 status\n"},
    {Verb::kMember, "member", "member list|add|remove|replace ...", "list or change the members of the cluster",
     "  list [--json]       a line for each: name, id, voter or learner, addresses of peers and clients, and what "
     "keeps "
     "it\n"
     "                      from being well, if anything; with --json an array\n"
     "  add MEMBER          make a learner a voter, once it has caught up\n"
     "  remove MEMBER       take a member out\n"
     "  replace MEMBER BY   the learner BY takes the place of MEMBER in one step, once it has caught up\n"
     "\n"
     "Members are named by name, address for peers, or id. Any node may be asked. A node joins by itself: it is "
     "started with\n"
     "cluster.join, and votes once it has caught up; with cluster.replaces it takes another one's place.\n"
     "\n"
     "Examples:\n"
     "  bandb member list\n"
     "  bandb member remove c\n"},
    {Verb::kTransfer, "transfer", "transfer [MEMBER]", "make another voter lead",
     "MEMBER, or the one that fits best. Done only if another node leads then; of use before a node is stopped.\n"
     "\n"
     "Examples:\n"
     "  bandb transfer b\n"},
};

constexpr std::string_view kExitCodes =
    "Exit codes: 0 done; 1 not found, or the condition of cas did not hold; 2 usage; 3 server or connection error.";

}  // namespace

const CommandText& TextOf(Verb verb) {
  for (const CommandText& text : kTexts) {
    if (text.verb == verb) return text;
  }
  return kTexts[0];
}

bool ParseVerb(std::string_view typed, Verb* verb) {
  std::string word(typed);
  for (char& letter : word) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  for (const CommandText& text : kTexts) {
    if (word != text.name) continue;
    *verb = text.verb;
    return true;
  }
  return false;
}

std::string CommandList() {
  std::string list;
  for (const CommandText& text : kTexts) list += fmt::format("  {:<42}{}\n", text.usage, text.summary);
  return list;
}

std::string HelpOf(Verb verb) {
  const CommandText& text = TextOf(verb);
  std::string summary(text.summary);
  summary[0] = static_cast<char>(summary[0] - 'a' + 'A');
  return fmt::format("Usage: bandb {}\n\n{}.\n{}\n{}\n", text.usage, summary, text.details, kExitCodes);
}

}  // namespace bandb::cli
