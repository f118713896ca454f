// The flags of `bandb export`.
#ifndef BANDB_TOOLS_BANDB_EXPORT_FLAGS_H_
#define BANDB_TOOLS_BANDB_EXPORT_FLAGS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "transfer/change_manifest.h"
#include "transfer/export_manifest.h"

namespace bandb::cli {

// As typed, and below what it says.
struct ExportFlags {
  std::string out{};
  std::optional<std::string> prefix{};
  std::string begin{};
  std::string limit{};
  std::string format = "jsonl";
  std::string key_format = "utf8";
  std::string value_format = "utf8";
  std::string chunk_bytes = "32 MiB";
  std::string compression{};
  std::string data{};
  std::string lease = "10 min";
  bool no_snapshot = false;
  bool resume = false;

  bool changes = false;
  std::string cursor{};
  std::string from{};
  std::string part = "0/1";
  std::string every = "60 s";
  bool once = false;
  std::optional<uint64_t> count{};

  uint32_t lease_ms = 0;
  uint32_t part_number = 0;
  uint32_t parts = 1;
  int64_t every_nanos = 0;
  transfer::ManifestHead head{};
};

void DeclareExport(CLI::App* app, ExportFlags* flags);
// Says what is typed. Empty, or what is wrong with it.
std::string TakeExportFlags(ExportFlags* flags);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_EXPORT_FLAGS_H_
