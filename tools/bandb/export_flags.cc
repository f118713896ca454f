#include "export_flags.h"

#include <fmt/format.h>

#include "bandb/iterator.h"
#include "feed_place.h"
#include "units/units.h"

namespace bandb::cli {

namespace {

constexpr const char* kExportFooter =
    "Formats:\n"
    "  jsonl    a JSON object for each entry, with key and value; bytes that are not UTF-8 as {\"base64\": ...}\n"
    "  csv      columns key, value, expires; tsv: the same with tabs. Text only, unless keys and values are encoded\n"
    "  raw      lengths, bytes and checksums\n"
    "  parquet  columns key, value, sequence, time, kind, limit, expires, for other programs; import does not read it\n"
    "DIR gets files part-00000000.FORMAT and manifest.jsonl, which has the keys, size and checksum (xxhsum -H3) of "
    "each.\n"
    "The same entries make the same files. With --out - everything goes to standard output as one stream.\n"
    "An export is of one state, which a server keeps as long as it is read, and for --lease after that. With\n"
    "--data no server may be running on that directory.\n"
    "\n"
    "With --changes it is what was written, change by change, and goes on until it is interrupted: DIR gets files\n"
    "changes-SEQUENCE.FORMAT, named by the sequence of their first commit, and each change is in one of them, once,\n"
    "whatever stops the export: the same command goes on after what is in DIR. Entries have kind (put, delete,\n"
    "delete_range), limit (of a delete_range), sequence and time besides. Take files away when the manifest names "
    "them.\n"
    "Each DIR, and so each part or range, needs a cursor of its own; to acknowledge takes the right to read every "
    "key.\n"
    "\n"
    "Exit codes: 0 done; 1 there is no such cursor; 2 usage; 3 server, connection or disk error, what comes next is "
    "not "
    "kept\n"
    "any more, or an entry that the format cannot hold. Interrupted, it ends by the signal: 130 or 143 in a shell.\n"
    "\n"
    "Examples:\n"
    "  bandb export --out dump --compress zstd\n"
    "  bandb export --out dump --compress zstd --resume\n"
    "  bandb export --prefix user: --format csv --out - > users.csv\n"
    "  bandb export --data /var/lib/bandb/checkpoint --format raw --out dump\n"
    "  bandb cursors create lake && bandb export --changes --cursor lake --format parquet --out lake";

void DeclareChanges(CLI::App* app, ExportFlags* flags) {
  CLI::Option* const changes =
      app->add_flag("--changes", flags->changes, "export what was written, from the change feed, and go on");
  CLI::Option* const cursor = app->add_option("--cursor", flags->cursor,
                                              "begin a new DIR after what was acknowledged for this cursor, and "
                                              "acknowledge what is in files")
                                  ->needs(changes)
                                  ->type_name("NAME");
  app->add_option("--from", flags->from, fmt::format("without a cursor, where a new DIR begins: {}", kFeedPlaceHelp))
      ->needs(changes)
      ->excludes(cursor)
      ->type_name("PLACE");
  app->add_option("--part", flags->part, "of N parts, into which keys are dealt, only the one of number I, from 0")
      ->needs(changes)
      ->type_name("I/N");
  app->add_option("--every", flags->every, "how long after its first change a file is ended at the latest [60 s]")
      ->needs(changes)
      ->type_name("DURATION");
  app->add_flag("--once", flags->once, "end where there is nothing more to read")->needs(changes);
  app->add_option("--count", flags->count, "end after N commits")
      ->needs(changes)
      ->check(CLI::Range(1.0, 1e15).description(""))
      ->type_name("N");
}

std::string TakeLayout(ExportFlags* flags) {
  transfer::ManifestHead* const head = &flags->head;
  if (!transfer::ParseFormat(flags->format, &head->layout.format)) {
    return fmt::format("--format takes jsonl, csv, tsv, raw or parquet, not {}", flags->format);
  }
  if (!transfer::ParseEncoding(flags->key_format, &head->layout.keys)) {
    return fmt::format("--key-format takes utf8, hex or base64, not {}", flags->key_format);
  }
  if (!transfer::ParseEncoding(flags->value_format, &head->layout.values)) {
    return fmt::format("--value-format takes utf8, hex or base64, not {}", flags->value_format);
  }
  // Bytes need no unit.
  std::optional<uint64_t> bytes = units::ParseSize(flags->chunk_bytes);
  if (!bytes.has_value()) bytes = units::ParseSize(flags->chunk_bytes + "B");
  if (!bytes.has_value() || *bytes < transfer::kChunkBytesMin || *bytes > transfer::kChunkBytesMax) {
    return fmt::format("--chunk-bytes takes 1 KiB to 1 GiB, not {}", flags->chunk_bytes);
  }
  head->chunk_bytes = *bytes;
  const bool parquet = head->layout.format == transfer::Format::kParquet;
  if (flags->compression.empty()) flags->compression = parquet ? "zstd" : "none";
  if (flags->compression != "none" && flags->compression != "zstd") {
    return fmt::format("--compress takes none or zstd, not {}", flags->compression);
  }
  head->compress = flags->compression == "zstd";
  return "";
}

std::string TakeChangesFlags(ExportFlags* flags) {
  if (flags->cursor.empty() && flags->from.empty()) return "--changes takes a --cursor, or a place to begin --from";
  if (flags->out == "-") return "--changes needs a directory: bandb watch prints changes";
  if (flags->resume) return "--changes goes on by itself, without --resume";
  if (!flags->data.empty() && !flags->cursor.empty()) {
    return "--data changes no directory, and no cursor in it: choose --from";
  }
  FeedPlaceText place;
  if (!flags->from.empty() && !ParseFeedPlace(flags->from, &place)) {
    return fmt::format("--from takes {}, not {}", kFeedPlaceHelp, flags->from);
  }
  if (!ParsePart(flags->part, &flags->part_number, &flags->parts)) {
    return fmt::format("--part takes I/N, such as 0/4 to 3/4, and N up to 65536, not {}", flags->part);
  }
  const std::optional<absl::Duration> every = units::ParseDuration(flags->every);
  if (!every.has_value() || *every < absl::Milliseconds(1) || *every > absl::Hours(24 * 365)) {
    return fmt::format("--every takes 1 ms to a year, not {}", flags->every);
  }
  flags->every_nanos = absl::ToInt64Nanoseconds(*every);
  return "";
}

}  // namespace

void DeclareExport(CLI::App* app, ExportFlags* flags) {
  app->add_option("--out", flags->out, "the directory that the files go into; - is standard output")
      ->required()
      ->type_name("DIR");
  app->add_option("--begin", flags->begin, "first key of the range")->type_name("KEY");
  app->add_option("--limit", flags->limit, "first key after the range")->type_name("KEY");
  app->add_option("--prefix", flags->prefix, "the range of keys that begin with TEXT")->type_name("TEXT");
  app->add_option("--format", flags->format, "jsonl, csv, tsv, raw or parquet [jsonl]")->type_name("F");
  app->add_option("--key-format", flags->key_format, "how keys are written: utf8, hex or base64 [utf8]")
      ->type_name("F");
  app->add_option("--value-format", flags->value_format, "how values are written: utf8, hex or base64 [utf8]")
      ->type_name("F");
  app->add_option("--chunk-bytes", flags->chunk_bytes, "size, uncompressed, at which a file is ended [32 MiB]")
      ->type_name("SIZE");
  app->add_option("--compress", flags->compression, "none or zstd [none; of parquet, whose pages it compresses, zstd]")
      ->type_name("METHOD");
  app->add_flag("--resume", flags->resume, "go on with an export into DIR that was cut short");
  app->add_option("--lease", flags->lease,
                  "how long the server keeps the state that is exported while nothing is read, so that --resume can go "
                  "on; 1 s to 1 h [10 min]")
      ->type_name("DURATION");
  app->add_flag("--no-snapshot", flags->no_snapshot,
                "keep no state: each piece of the export is that of its own moment, and --resume may come at any time");
  app->add_option("--data", flags->data, "export the database in this directory, without a server")->type_name("DIR");
  DeclareChanges(app, flags);
  app->footer(kExportFooter);
}

std::string TakeExportFlags(ExportFlags* flags) {
  const std::optional<absl::Duration> lease = units::ParseDuration(flags->lease);
  if (!lease.has_value() || *lease < absl::Seconds(1) || *lease > absl::Hours(1)) {
    return fmt::format("--lease takes 1 s to 1 h, not {}", flags->lease);
  }
  flags->lease_ms = static_cast<uint32_t>(absl::ToInt64Milliseconds(*lease));
  if (std::string complaint = TakeLayout(flags); !complaint.empty()) return complaint;
  if (flags->prefix.has_value()) {
    if (!flags->begin.empty() || !flags->limit.empty()) return "--prefix is a range, as --begin and --limit are";
    flags->begin = *flags->prefix;
    flags->limit = PrefixLimit(*flags->prefix);
  }
  flags->head.begin = flags->begin;
  flags->head.limit = flags->limit;
  if (flags->changes) return TakeChangesFlags(flags);
  if (flags->out == "-" && flags->resume) return "standard output cannot be resumed";
  return "";
}

}  // namespace bandb::cli
