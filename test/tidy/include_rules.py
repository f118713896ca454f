"""The house: which folder may include which, how headers are guarded."""

import re

# The only arrows between folders. A folder may include itself and what is listed; docs/architecture.md draws the same.
# "bandb" is include/bandb.
ARROWS = {
    "include/bandb": ["bandb"],
    "lib/base": [],
    "lib/kv": ["bandb", "base"],
    "lib/changes": ["bandb", "kv", "base"],
    "lib/raft/types": ["base"],
    "lib/raft": ["raft/types", "base"],
    "lib/net": ["base"],
    "lib/tls": ["bandb", "net", "base"],
    "lib/proto": ["raft/types", "base"],
    "lib/resp": ["base"],
    "lib/storage": ["bandb", "storage", "changes", "kv", "base"],
    "lib/storage/key": ["bandb", "kv", "base"],
    "lib/storage/file": ["bandb", "kv", "base"],
    "lib/storage/log": ["bandb", "storage/file", "kv", "base"],
    "lib/storage/table": ["bandb", "storage/key", "storage/file", "kv", "base"],
    "lib/storage/memtable": ["bandb", "storage/key", "kv", "base"],
    "lib/storage/version": ["bandb", "storage/table", "storage/log", "storage/key", "storage/file", "kv", "base"],
    "lib/storage/compaction": ["bandb", "storage/version", "storage/table", "storage/key", "storage/file", "kv", "base"],
    "lib/storage/commit": ["bandb", "storage/log", "storage/file", "kv", "base"],
    "lib/storage/read": ["bandb", "storage/version", "storage/memtable", "storage/table", "storage/file", "storage/key", "kv", "base"],
    "lib/storage/engine": ["bandb", "storage/read", "storage/compaction", "storage/commit", "storage/version", "storage/table", "storage/memtable", "storage/log", "storage/key", "storage/file", "changes", "kv", "base"],
    "lib/backup": ["bandb", "storage", "kv", "base"],
    "lib/cluster": ["bandb", "storage", "changes", "raft", "proto", "net", "kv", "base"],
    "lib/server": ["bandb", "kv", "resp", "proto", "tls", "net", "base"],
    "lib/admin": ["bandb", "net", "base"],
    "lib/inspect": ["bandb", "storage", "kv", "base"],
    "lib/grpc": ["bandb", "server", "tls", "net", "base"],
    "tools": ["bandb", "backup", "admin", "inspect", "grpc", "server", "cluster", "kv", "proto", "tls", "net", "base"],
    "examples": ["bandb", "grpc"],
    "examples/echo_bannet.cc": ["net", "base"],
    "test/install": ["bandb"],
    "test": ["bandb", "backup", "admin", "inspect", "grpc", "server", "cluster", "storage", "changes", "raft", "resp", "proto", "tls", "net", "kv", "base", "support"],
}

# What else may be included, and where. The longest matching prefix of the file's path counts.
THIRD_PARTY = {
    "absl/": ["include", "lib", "tools", "examples", "test"],
    "fmt/": ["lib", "tools", "test"],
    "xxhash.h": ["lib/base"],
    "lz4": ["lib/storage/table"],
    "zstd": ["lib/storage/table", "tools/transfer"],
    "zlib.h": ["tools/transfer"],
    "toml++/": ["tools"],
    "CLI/": ["tools", "test/sim", "test/world"],
    "histedit.h": ["tools"],
    "openssl/": ["lib/tls", "test/tls"],
    "httplib.h": ["lib/admin", "test/admin"],
    "grpcpp/": ["lib/grpc", "test/grpc", "tools/bandb_bench", "examples"],
    "grpc/support/": ["lib/grpc", "test/grpc"],
    "google/protobuf/": ["lib/grpc", "test/grpc"],
    "nlohmann/": ["lib/admin", "test/admin", "tools/transfer"],
    "catch2/": ["test/support"],
    "rocksdb/": ["tools/bandb_bench"],
    "leveldb/": ["tools/bandb_bench"],
    "lmdb.h": ["tools/bandb_bench"],
    "sys/": ["lib/admin", "lib/grpc", "lib/base", "lib/net", "tools/processes", "tools/standard_streams", "test"],
    "netinet/": ["lib/grpc", "lib/net", "test"],
    "arpa/": ["lib/net", "test"],
    "fcntl.h": ["lib/base", "lib/grpc", "lib/net", "test"],
    "thread": ["lib/base", "test"],
    "mutex": ["lib/base", "test"],
    "condition_variable": ["lib/base", "test"],
    "chrono": ["lib/base", "test"],
    "random": ["lib/base"],
    "future": ["lib/base", "test"],
    "fstream": ["test"],
}


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def room_of(path):
    """The longest key of ARROWS that holds `path`."""
    rooms = [room for room in ARROWS if inside(path, room)]
    return max(rooms, key=len) if rooms else None


def allowed_prefixes(file):
    room = room_of(file.path)
    if room is None:
        return None
    own = {"include/bandb": "bandb"}.get(room, room.split("/", 1)[1] if room.startswith("lib/") else "")
    if room == "lib/raft":
        own = "raft"
    return ARROWS[room] + ([own] if own else [])


def arrows(tree):
    for file in tree.cxx:
        prefixes = allowed_prefixes(file)
        if prefixes is None:
            yield file.violation(1, "arrows", "this folder is not in the table of test/tidy/include_rules.py")
            continue
        for line, name, quoted in file.includes:
            if name.startswith("../") or "/../" in name:
                yield file.violation(line, "arrows", f'"{name}" climbs; include by the path from the root of the library')
            elif third_party_rule(name) is not None:
                if not any(inside(file.path, folder) or file.path.startswith(folder)
                           for folder in third_party_rule(name)):
                    yield file.violation(line, "arrows", f"<{name}> has no place here")
            elif quoted and not quoted_allowed(tree, file, name, prefixes):
                yield file.violation(line, "arrows", f'{room_of(file.path)} may not include "{name}"')


def third_party_rule(name):
    for prefix, folders in THIRD_PARTY.items():
        if name == prefix or (prefix[-1] == "/" and name.startswith(prefix)) or (
                prefix in ("lz4", "zstd") and re.match(prefix + r"\w*\.h$", name)):
            return folders
    return None


def quoted_allowed(tree, file, name, prefixes):
    if any(name.startswith(prefix + "/") for prefix in prefixes):
        return True
    # Tools and tests include what is beside them, by name or by the path from tools/ or test/.
    top = file.path.split("/", 1)[0]
    found = tree.resolve_include(file, name)
    beside = ("tools", "test") if file.path.startswith("test/tools/") else (top,)
    return top in ("tools", "test") and found is not None and found.path.split("/", 1)[0] in beside


def include_guards(tree):
    for file in tree.cxx:
        if not file.is_header:
            continue
        path = re.sub(r"^(include/bandb|include|lib)/", "", file.path)
        guard = "BANDB_" + re.sub(r"[^A-Za-z0-9]", "_", path).upper() + "_"
        wanted = (f"#ifndef {guard}", f"#define {guard}")
        directives = [line.strip() for line in file.lines if line.startswith("#")]
        if tuple(directives[:2]) != wanted or f"#endif  // {guard}" != directives[-1]:
            yield file.violation(1, "include-guards", f"the guard must be {guard}")
        if "#pragma once" in file.code:
            yield file.violation(1, "include-guards", "#pragma once: one file can be reached by two paths")


# What the precompiled headers of the build provide, as a pattern of the code that needs it, and what else provides it.
PROVIDED = {
    "algorithm": (r"std::(?:(?:stable_|partial_)?sort|clamp|(?:min|max|minmax)(?:_element)?|find(?:_if|_if_not)?|any_of|all_of|"
                  r"none_of|count(?:_if)?|copy(?:_n|_if)?|fill(?:_n)?|generate|transform|reverse|rotate|unique|remove(?:_if)?|"
                  r"lower_bound|upper_bound|equal_range|binary_search|partition(?:_point)?|nth_element|is_sorted|equal|"
                  r"lexicographical_compare|shuffle|merge|push_heap|pop_heap|make_heap|for_each|mismatch|search)\(", ()),
    "array": (r"std::array<", ()),
    "atomic": (r"std::(?:atomic\b|memory_order)", ()),
    "cstdint": (r"\bu?int(?:8|16|32|64)_t\b", ()),
    "cstring": (r"std::(?:mem(?:cpy|cmp|set|move|chr)|str(?:len|cmp|error|chr))\b", ()),
    "deque": (r"std::deque<", ()),
    "functional": (r"std::(?:(?:function|less|greater|hash|plus)<|c?ref\()", ()),
    "map": (r"std::(?:multi)?map<", ()),
    "memory": (r"std::(?:unique_ptr|shared_ptr|weak_ptr|make_unique|make_shared|enable_shared_from_this|addressof)\b", ()),
    "mutex": (r"std::(?:mutex|lock_guard|unique_lock|scoped_lock|once_flag|call_once)\b", ()),
    "optional": (r"std::(?:optional|nullopt|make_optional)\b", ()),
    "set": (r"std::(?:multi)?set<", ()),
    "string": (r"std::(?:string|to_string|stoi|stoull)\b", ()),
    "string_view": (r"std::string_view\b", ("string",)),
    "utility": (r"std::(?:move|forward|exchange|swap|pair|make_pair|in_place|as_const)\b", (
        "algorithm", "array", "deque", "functional", "map", "memory", "optional", "set", "string", "tuple", "variant", "vector")),
    "vector": (r"std::vector<", ()),
    "absl/status/status.h": (r"absl::(?:\w+Error\(|OkStatus\b|Status\b)", ("absl/status/statusor.h",)),
    "absl/status/statusor.h": (r"absl::StatusOr\b", ()),
    "absl/time/time.h": (r"absl::(?:(?:Time|Duration)\b|(?:Nano|Micro|Milli)?[Ss]econds\(|FormatTime|FromUnix|ToUnix|ToInt64)", (
        "absl/time/clock.h",)),
    "absl/types/span.h": (r"absl::(?:Span<|Make(?:Const)?Span)", ()),
    "fmt/format.h": (r"fmt::(?:format|format_to|join|memory_buffer)\b", ()),
}


def includes(tree):
    """What a file takes from a precompiled header, it or what it includes of the project includes by name.

    Where nothing is precompiled, or a standard library brings less along, the file would not compile. Sources of the tests
    are only built with it.
    """
    for file in tree.cxx:
        if file.path.startswith("test/") and not file.is_header:
            continue
        there = {name for part in tree.closure(file) for _, name, _ in part.includes}
        for name, (pattern, others) in PROVIDED.items():
            needed = name not in there and not there.intersection(others) and re.search(pattern, file.code)
            if needed:
                yield file.violation(file.line_of(needed.start()), "includes", f"{needed.group(0)} needs <{name}>")


def precompiled(tree):
    """The rule `includes` knows every header that the build precompiles."""
    file = tree.by_path.get("cmake/bandb_settings.cmake")
    listed = re.search(r"set\(BANDB_PRECOMPILED_HEADERS([^)]*)\)", file.text) if file else None
    for name in re.findall(r"<([^>]+)>", listed.group(1)) if listed else ():
        if name not in PROVIDED:
            yield file.violation(file.line_of(listed.start()), "precompiled", f"test/tidy/include_rules.py knows nothing of <{name}>")


RULES = {"arrows": arrows, "include-guards": include_guards, "includes": includes, "precompiled": precompiled}
