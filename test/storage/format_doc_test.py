"""docs/file-formats.md, table-format.md and cluster-log.md against the golden files and the code: dumps, tags, kinds, record types, magics."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DUMP = re.compile(r"^```\n(test/golden/\S+)\n(.*?)^```$", re.M | re.S)
DUMP_LINE = re.compile(r"([0-9a-f]{4})  ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?: \* (\d+))?(?:\s.*)?")
# Files that the dumps must show whole, from this offset on.
SHOWN_FROM = {"identity-v1/IDENTITY": 0, "node-v1/NODE": 0, "current-v1/CURRENT": 0, "log-v1/sealed.golden": 0,
              "log-v2/segment.golden": 0, "change-index-v1/blocks.golden": 0, "manifest-v1/edits.golden": 80}


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def dumped_bytes(line):
    """Offset and bytes of one line of a dump; None if it is none."""
    match = DUMP_LINE.fullmatch(line)
    if match is None:
        return None
    return int(match.group(1), 16), bytes.fromhex(match.group(2)) * int(match.group(3) or 1)


def check_dumps(doc):
    shown = {}
    for path, body in DUMP.findall(doc):
        golden = (ROOT / path).read_bytes()
        offsets = shown.setdefault(path.removeprefix("test/golden/"), set())
        for line in body.splitlines():
            dumped = dumped_bytes(line)
            if dumped is None:
                yield f"{path}: not a line of a dump: {line}"
                continue
            offset, content = dumped
            if golden[offset:offset + len(content)] != content:
                yield f"{path}: other bytes at {offset:#x}: {golden[offset:offset + len(content)].hex(' ')}"
            if offsets & set(range(offset, offset + len(content))):
                yield f"{path}: shown twice at {offset:#x}"
            offsets.update(range(offset, offset + len(content)))
    for name, first in SHOWN_FROM.items():
        size = (ROOT / "test/golden" / name).stat().st_size
        missing = set(range(first, size)) - shown.get(name, set())
        if missing:
            yield f"{name}: not shown from {min(missing):#x} on"


def enum_values(source, name):
    """The enumerators of an enum that have a value: {number: words of the name}."""
    body = re.search(rf"enum (?:class )?{name}\b[^{{]*{{(.*?)}};", source, re.S).group(1)
    values = {}
    for word, number in re.findall(r"\bk(\w+) = (\d+)", body):
        values[int(number)] = re.sub(r"(?<!^)([A-Z])", r" \1", word).lower()
    return values


def table_rows(doc, header):
    """The first two cells of each row of the table that begins with this line."""
    begin = doc.index(header + "\n")
    rows = {}
    for line in doc[begin:].splitlines()[2:]:
        cells = re.match(r"\| (\d+) \|(?: ([^|]*) \|)(?: ([^|]*) \|)?", line)
        if cells is None:
            return rows
        rows[int(cells.group(1))] = cells.groups()[1:]
    return rows


def check_numbers(doc):
    wanted = (("lib/kv/batch_format.h", "Kind", "| kind | name | value |", 0, {}),
              ("lib/storage/log/log_format.h", "RecordType", "| type | name | payload |", 0, {}),
              ("lib/storage/version/version_edit.cc", "Tag", "| tag | payload | meaning |", 1, {"first optional"}))
    for path, name, header, column, reserved in wanted:
        rows = table_rows(doc, header)
        values = {number: words for number, words in enum_values(read(path), name).items() if words not in reserved}
        if not values or values.keys() != rows.keys():
            yield f"{path}: {name} has {sorted(values)}, the document {sorted(rows)}"
            continue
        for number, words in values.items():
            if not rows[number][column].startswith(words):
                yield f"{path}: {name} {number} is {words}, the document says: {rows[number][column]}"


def check_constants(doc):
    for path, pattern, form in (("lib/storage/file/file_header.cc", r'"(BanDB\w{3})"', "`{}`"),
                                ("lib/storage/file/identity.cc", r'"(BanDB\w{3})"', "`{}`"),
                                ("lib/cluster/node_directory.cc", r'"(BanDB\w{3})"', "`{}`"),
                                ("lib/storage/table/table_format.cc", r'"(BanDB\w{3})"', '"{}"'),
                                ("lib/storage/log/log_format.h", r"kRecordMarker = (\w+);", "| {} XOR the low"),
                                ("lib/storage/version/version_edit.h", r"kLevels = (7);", "There are seven levels"),
                                ("lib/storage/version/version_edit.cc", r"kFirstOptional = (\d+)", "tags from {} on")):
        found = re.findall(pattern, read(path))
        if not found:
            yield f"{path}: nothing like {pattern}"
        for value in found:
            if form.format(value) not in doc:
                yield f"{path}: {value} is not in the document as {form.format(value)}"


def main():
    doc = read("docs/file-formats.md") + read("docs/table-format.md") + read("docs/cluster-log.md")
    complaints = [*check_dumps(doc), *check_numbers(doc), *check_constants(doc)]
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
