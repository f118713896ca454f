#include "shell.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "base/executor.h"
#include "base/status.h"
#include "kv/limits.h"
#include "line_editor.h"
#include "line_source.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "quoting.h"
#include "scan_output.h"
#include "standard_streams/standard_streams.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;
using standard_streams::Write;

// Keys alone, so that a piece is a bounded part of the output.
constexpr uint32_t kEntriesPerPiece = 1000;

std::string SessionHelp() {
  return CommandList() +
         "  help [COMMAND]                            this list, or all about one command\n"
         "  quit, exit                                leave\n"
         "A key or value that begins with a double quote ends with one and may hold any byte:\n"
         "\\\" \\\\ \\n \\r \\t \\xHH.\n";
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r";
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

std::string Lowered(std::string_view text) {
  std::string lowered(text);
  for (char& letter : lowered) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return lowered;
}

std::string ReadStandardInput() { return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()}; }

uint64_t Millis(absl::Duration ttl) { return static_cast<uint64_t>(absl::ToInt64Milliseconds(ttl)); }

// A put as an operation of a batch.
proto::BatchOperation PutOperation(const Command& command, std::string_view value) {
  const bool expires = command.ttl != absl::InfiniteDuration();
  return {.kind = expires ? proto::BatchKind::kPutWithTtl : proto::BatchKind::kPut,
          .key = command.key,
          .value = value,
          .ttl_ms = expires ? Millis(command.ttl) : 0};
}

void AddCompareAndSet(const Command& command, proto::BatchBuilder* batch) {
  batch->Require({.check = command.expects_absent ? proto::BatchCheck::kAbsent : proto::BatchCheck::kHasValue,
                  .key = command.key,
                  .value = command.expected});
  batch->Add(PutOperation(command, command.value));
}

}  // namespace

absl::Status Shell::Put(const Command& command) {
  const std::string input = command.value_from_input ? ReadStandardInput() : "";
  const std::string& value = command.value_from_input ? input : command.value;
  if (command.ttl == absl::InfiniteDuration()) return client_->Put(command.key, value);
  proto::BatchBuilder batch;
  batch.Add(PutOperation(command, value));
  return client_->Write(batch);
}

absl::Status Shell::ReadBatch(const std::string& file) {
  LineSource source({file});
  BANDB_RETURN_IF_ERROR(source.TotalBytes().status());
  for (uint64_t number = 1;; ++number) {
    std::string_view line;
    BANDB_ASSIGN_OR_RETURN(const LineSource::Found found, source.Next(&line));
    if (found == LineSource::Found::kEnd) return absl::OkStatus();
    if (found == LineSource::Found::kLine && Trim(line).empty()) continue;
    Command command;
    std::string complaint = "too long";
    if (found == LineSource::Found::kTooLong || !ParseCommand(line, &command, &complaint)) {
      return base::Error(absl::StatusCode::kInvalidArgument, "line {}: {}", number, complaint);
    }
    if (command.verb == Verb::kCas) AddCompareAndSet(command, &batch_);
    if (command.verb == Verb::kPut) batch_.Add(PutOperation(command, command.value));
    if (command.deletes_prefix) {
      return base::Error(absl::StatusCode::kInvalidArgument, "line {}: a batch holds no delete --prefix", number);
    }
    if (command.verb == Verb::kDelete) batch_.Add({.kind = proto::BatchKind::kDelete, .key = command.key});
    if (command.verb != Verb::kCas && command.verb != Verb::kPut && command.verb != Verb::kDelete) {
      return base::Error(absl::StatusCode::kInvalidArgument, "line {}: a batch holds put, delete and cas", number);
    }
  }
}

absl::Status Shell::Scan(const Command& command) {
  const bool counts = command.verb == Verb::kCount;
  const ScanFormat format = command.raw || raw_ ? ScanFormat::kRaw : command.format;
  std::string cursor;
  uint64_t entries = 0;
  while (entries < command.entries_max) {
    const uint64_t wanted = std::min<uint64_t>(command.entries_max - entries, kEntriesPerPiece);
    BANDB_ASSIGN_OR_RETURN(const client::ScanPiece piece, client_->Scan({.reverse = command.reverse,
                                                                         .keys_only = counts || command.keys_only,
                                                                         .expiries = true,
                                                                         .entries_max = static_cast<uint32_t>(wanted),
                                                                         .begin = command.begin,
                                                                         .limit = command.limit,
                                                                         .cursor = cursor}));
    entries += piece.entries.size();
    if (!counts) {
      for (const client::ScannedEntry& entry : piece.entries) {
        Write(stdout, FormatEntry(format, {entry.key, entry.value, entry.expires_ms}, command.keys_only));
      }
    }
    cursor = piece.cursor;
    // A piece may be empty and yet not the last.
    if (cursor.empty()) break;
  }
  if (counts) Print(stdout, "{}\n", entries);
  return absl::OkStatus();
}

absl::Status Shell::DeletePrefix(const Command& command) {
  const std::string& prefix = command.begin;
  if (!command.sure && ::isatty(STDIN_FILENO) != 0) {
    BANDB_ASSIGN_OR_RETURN(
        const client::ScanPiece piece,
        client_->Scan({.keys_only = true, .entries_max = kEntriesPerPiece, .begin = prefix, .limit = command.limit}));
    Print(stderr, "Remove all keys that begin with {} ({}{})? [y/N] ", Quote(prefix), piece.entries.size(),
          piece.cursor.empty() ? "" : " or more");
    std::fflush(stderr);
    std::string answer;
    std::getline(std::cin, answer);
    if (Lowered(Trim(answer)) != "y" && Lowered(Trim(answer)) != "yes") {
      return base::Error(absl::StatusCode::kCancelled, "nothing was removed");
    }
  }
  proto::BatchBuilder batch;
  // Where nothing comes after the prefix, the last key that there can be is the limit, and goes,
  // too.
  const bool bounded = !command.limit.empty();
  const std::string last = bounded ? "" : std::string(kv::kKeyBytesMax, '\xff');
  batch.Add({.kind = proto::BatchKind::kRangeDelete, .key = prefix, .value = bounded ? command.limit : last});
  if (!bounded) batch.Add({.kind = proto::BatchKind::kDelete, .key = last});
  return client_->Write(batch);
}

absl::Status Shell::ShowTtl(const std::string& key) {
  std::string after = key;
  after.push_back('\0');
  BANDB_ASSIGN_OR_RETURN(const client::ScanPiece piece,
                         client_->Scan({.keys_only = true, .expiries = true, .begin = key, .limit = after}));
  if (piece.entries.empty()) return base::Error(absl::StatusCode::kNotFound, "no such key");
  const uint64_t expires_ms = piece.entries.front().expires_ms;
  // By the clock of this machine, which may differ from the server's.
  const auto now_ms = static_cast<uint64_t>(clock_->WallMillis());
  const uint64_t left_ms = expires_ms - std::min(expires_ms, now_ms);
  Print(stdout, "{}\n", expires_ms == 0 ? "never" : fmt::format("{} ms", left_ms));
  return absl::OkStatus();
}

absl::Status Shell::Administer(const Words& words) {
  // On a connection of its own, which may be silent for as long as it takes.
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<client::Client> client,
                         client::Client::Connect(target_, {.reply_timeout_nanos = base::kForever}));
  BANDB_ASSIGN_OR_RETURN(const std::string text, client->Administer(words));
  Print(stdout, "{}\n", text);
  return absl::OkStatus();
}

absl::Status Shell::Ping() {
  const int64_t begin = clock_->MonotonicNanos();
  BANDB_RETURN_IF_ERROR(client_->Ping());
  Print(stdout, "PONG {:.3f} ms\n", static_cast<double>(clock_->MonotonicNanos() - begin) / 1e6);
  return absl::OkStatus();
}

absl::Status Shell::Execute(const Command& command) {
  // The server may have gone and come back since the last command.
  if (client_ != nullptr && !client_->IsIdle()) client_.reset();
  if (client_ == nullptr) {
    BANDB_ASSIGN_OR_RETURN(client_, client::Client::Connect(target_));
  }
  switch (command.verb) {
    case Verb::kGet: {
      BANDB_ASSIGN_OR_RETURN(const std::string value, client_->Get(command.key));
      Write(stdout, raw_ || command.raw ? value : Quote(value) + "\n");
      return absl::OkStatus();
    }
    case Verb::kTtl:
      return ShowTtl(command.key);
    case Verb::kStats: {
      BANDB_ASSIGN_OR_RETURN(const std::string text, client_->Stats());
      Write(stdout, text);
      return absl::OkStatus();
    }
    case Verb::kFlush:
      return Administer({"flush"});
    case Verb::kCompact:
      return Administer({"compact", command.begin, command.limit});
    case Verb::kStatus:
      return Administer(command.json ? Words{"status", "--json"} : Words{"status"});
    case Verb::kMember:
    case Verb::kTransfer: {
      Words words{command.verb == Verb::kMember ? "member" : "transfer"};
      words.insert(words.end(), command.words.begin(), command.words.end());
      if (command.json) words.emplace_back("--json");
      return Administer(words);
    }
    case Verb::kPing:
      return Ping();
    case Verb::kScan:
    case Verb::kCount:
      return Scan(command);
    case Verb::kPut:
      BANDB_RETURN_IF_ERROR(Put(command));
      break;
    case Verb::kDelete:
      BANDB_RETURN_IF_ERROR(command.deletes_prefix ? DeletePrefix(command) : client_->Delete(command.key));
      break;
    case Verb::kCas:
    case Verb::kBatch:
      BANDB_RETURN_IF_ERROR(client_->Write(batch_));
      break;
  }
  Write(stdout, "OK\n");
  return absl::OkStatus();
}

int Shell::Tell(const Command& command, const absl::Status& status) {
  const uint16_t code = client_ == nullptr ? uint16_t{0} : client_->last_error_code();
  const bool reads_key = command.verb == Verb::kGet || command.verb == Verb::kTtl;
  if (reads_key && absl::IsNotFound(status)) {
    Print(stderr, "(not found)\n");
    return kNotFound;
  }
  if (code == proto::ToCode(absl::StatusCode::kAborted) &&
      (command.verb == Verb::kCas || command.verb == Verb::kBatch)) {
    Print(stderr, "(not done: {})\n",
          command.verb == Verb::kBatch ? "a condition does not hold"
          : command.expects_absent     ? "the key exists"
                                       : "the key does not have that value");
    return kNotFound;
  }
  if (absl::IsCancelled(status)) {
    Print(stderr, "({})\n", base::Message(status));
    return kNotFound;
  }
  if (code >= proto::kFirstHookErrorCode) {
    Print(stderr, "(error) code {} of a hook: {}\n", code, base::Message(status));
  } else {
    Print(stderr, "(error) {}: {}\n", absl::StatusCodeToString(status.code()), base::Message(status));
  }
  // Replies that come late would be taken for those of the next request, and after some errors the
  // server closes.
  client_.reset();
  return kServerError;
}

int Shell::Run(const Command& command) {
  batch_ = proto::BatchBuilder();
  if (command.verb == Verb::kCas) AddCompareAndSet(command, &batch_);
  if (command.verb == Verb::kBatch) {
    if (const absl::Status read = ReadBatch(command.file); !read.ok()) {
      Print(stderr, "(error) {}\n", base::Message(read));
      return kUsage;
    }
  }
  const absl::Status status = Execute(command);
  std::fflush(stdout);
  return status.ok() ? kDone : Tell(command, status);
}

bool Shell::RunLine(std::string_view line) {
  const std::string_view text = Trim(line);
  if (text.empty()) return true;
  const std::string lowered = Lowered(text);
  if (lowered == "quit" || lowered == "exit") return false;
  if (lowered == "help" || lowered.starts_with("help ")) {
    Verb verb = Verb::kGet;
    const bool one = ParseVerb(Trim(std::string_view(lowered).substr(4)), &verb);
    Write(stdout, one ? HelpOf(verb) : SessionHelp());
    std::fflush(stdout);
    return true;
  }
  Command command;
  std::string complaint;
  if (ParseCommand(text, &command, &complaint) && command.verb == Verb::kBatch && command.file == "-") {
    complaint = "in a session a batch is read from a file";
  }
  if (complaint.empty()) {
    last_code_ = Run(command);
  } else {
    Print(stderr, "(error) {}\n", complaint);
    last_code_ = kUsage;
  }
  highest_code_ = std::max(highest_code_, last_code_);
  return true;
}

int Shell::Interact(const std::string& history_path) {
  std::string line;
  if (::isatty(STDIN_FILENO) != 0) {
    LineEditor editor(history_path);
    while (editor.Read(&line) && RunLine(line)) {
    }
    return last_code_ == kServerError ? kServerError : kDone;
  }
  while (std::getline(std::cin, line) && RunLine(line)) {
  }
  return highest_code_;
}

}  // namespace bandb::cli
