"""bandb export --format parquet, as a reader that nobody here wrote sees it."""

import base64
import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest

from client_fixture import ClientTest
from programs import CLI, DEADLINE_SECONDS, cli, npm_folder, run, wait_until

FOLDER = pathlib.Path(__file__).resolve().parent
ALL = bytes(range(256))
KEEP = ("--set", "storage.changes_keep_bytes=64 MiB")
SCHEMA = [["key", "BYTE_ARRAY", "REQUIRED", None, None], ["value", "BYTE_ARRAY", "OPTIONAL", None, None],
          ["sequence", "INT64", "OPTIONAL", None, None], ["time", "INT64", "OPTIONAL", "TIMESTAMP_MICROS", True],
          ["kind", "BYTE_ARRAY", "REQUIRED", "UTF8", None], ["limit", "BYTE_ARRAY", "OPTIONAL", None, None],
          ["expires", "INT64", "OPTIONAL", "TIMESTAMP_MICROS", True]]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class ParquetTest(ClientTest):
    reader = None

    @classmethod
    def setUpClass(cls):
        cls.reader = npm_folder()

    def read(self, *paths):
        """What is said of each file, and the rows of all."""
        done = run("node", str(FOLDER / "read_parquet.mjs"), self.reader, *[str(path) for path in sorted(paths)])
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        heads, rows = [], []
        for line in done.stdout.splitlines():
            said = json.loads(line)
            (heads if "columns" in said else rows).append(said)
        for row in rows:
            for name in ("key", "value", "limit"):
                if row[name] is not None:
                    row[name] = base64.b64decode(row[name]["base64"])
        return heads, rows

    def export(self, server, folder, *flags):
        done = cli(server.address, "export", "--out", str(folder), "--format", "parquet", *flags)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return sorted(folder.glob("*.parquet"))

    def filled(self, entries):
        server = self.server(*KEEP)
        lines = b"".join(b'{"key": "k:%06d", "value": "%s"}\n' % (i, b"v" * (i % 90)) for i in range(entries))
        lines += json.dumps({"key": {"base64": base64.b64encode(ALL).decode()}, "value": {"hex": ALL.hex()},
                             "expires": 33_000_000_000_000}).encode() + b"\n"
        self.assertEqual(cli(server.address, "import", "-", input=lines).returncode, 0)
        return server

    def test_entries_are_read_back_by_another_program(self):
        server = self.filled(5000)
        for number, (flags, codec) in enumerate([((), "ZSTD"), (("--compress", "none"), "UNCOMPRESSED")]):
            files = self.export(server, self.scratch / f"dump{number}", "--chunk-bytes", "64 KiB", *flags)
            self.assertGreater(len(files), 3)
            heads, rows = self.read(*files)
            for head in heads:
                self.assertEqual((head["columns"], head["codecs"]), (SCHEMA, [codec]))
            self.assertEqual(sum(head["rows"] for head in heads), 5001)
            wanted = [(ALL, ALL, 33_000_000_000_000)] if ALL < b"k" else []
            wanted += [(b"k:%06d" % i, b"v" * (i % 90), None) for i in range(5000)]
            self.assertEqual([(row["key"], row["value"], row["expires"]) for row in rows], wanted)
            # What an export of a state does not know.
            self.assertEqual({(row["sequence"], row["time"], row["kind"], row["limit"]) for row in rows},
                             {(None, None, "put", None)})

    def test_changes_have_sequence_time_kind_and_limit(self):
        server = self.server(*KEEP)
        for words in (("put", "a", "1"), ("put", "--ttl", "7d", "b", "2"), ("delete", "a"),
                      ("delete", "--prefix", "x", "--yes"), ("put", "e", "")):
            self.assertEqual(cli(server.address, *words).returncode, 0)
        files = self.export(server, self.scratch / "feed", "--changes", "--from", "oldest", "--once")
        heads, rows = self.read(*files)
        self.assertEqual((heads[0]["columns"], len(files)), (SCHEMA, 1))
        watched = [json.loads(line) for line in cli(server.address, "watch", "--from", "oldest", "--json", "--count", "5")
                   .stdout.splitlines()]
        bytes_of = lambda text: None if text is None else text.encode()
        self.assertEqual(rows, [{"key": bytes_of(change["key"]), "value": bytes_of(change.get("value")),
                                 "sequence": change["sequence"], "time": change["time"], "kind": change["kind"],
                                 "limit": bytes_of(change.get("limit")), "expires": change.get("expires")}
                                for change in watched])
        self.assertEqual([row["kind"] for row in rows], ["put", "put", "delete", "delete_range", "put"])
        self.assertIsNotNone(rows[1]["expires"])
        self.assertEqual(files[0].name, f"changes-{rows[0]['sequence']:020}.parquet")

    def test_a_second_run_and_one_gone_on_with_give_the_same_files(self):
        server = self.filled(20_000)
        self.assertEqual(server.terminate(), 0)
        one, two = self.scratch / "one", self.scratch / "two"
        flags = ("--data", server.data, "--format", "parquet", "--chunk-bytes", "16 KiB")
        self.assertEqual(run(CLI, "export", "--out", str(one), *flags).returncode, 0)
        with subprocess.Popen([CLI, "export", "--out", str(two), *flags], stdout=subprocess.DEVNULL) as export:
            wait_until(lambda: two.exists() and len(os.listdir(two)) > 10, "chunks are there")
            export.send_signal(signal.SIGKILL)
            export.wait(DEADLINE_SECONDS)
        self.assertEqual(run(CLI, "export", "--out", str(two), *flags, "--resume").returncode, 0)
        self.assertEqual(contents(one), contents(two))
        self.assertEqual(len(self.read(*one.glob("*.parquet"))[1]), 20_001)

    def test_a_stream_is_one_file_and_an_empty_one_has_no_rows(self):
        server = self.filled(3000)
        for range_flags, count in (((), 3001), (("--prefix", "nothing"), 0)):
            done = cli(server.address, "export", "--out", "-", "--format", "parquet", *range_flags)
            self.assertEqual(done.returncode, 0)
            heads, rows = self.read(self.write("stream.parquet", done.stdout))
            self.assertEqual((heads[0]["columns"], heads[0]["rows"], len(rows)), (SCHEMA, count, count))
        empty = self.export(server, self.scratch / "empty", "--prefix", "nothing")
        self.assertEqual(empty, [])

    def test_large_values_and_row_groups(self):
        data = str(self.scratch / "large")
        value = os.urandom(1 << 20) * 40
        pieces = [b'{"key": "%d", "value": {"base64": "%s"}}\n' % (i, base64.b64encode(value[i:])) for i in range(2)]
        done = run(CLI, "import", "--data", data, "-", input=b"".join(pieces))
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        done = run(CLI, "export", "--data", data, "--out", "-", "--format", "parquet", "--compress", "none")
        self.assertEqual(done.returncode, 0)
        heads, rows = self.read(self.write("large.parquet", done.stdout))
        self.assertEqual((heads[0]["rows"], heads[0]["groups"]), (2, 2))
        for i, row in enumerate(rows):
            self.assertTrue(row["value"] == value[i:])

    def test_import_says_that_it_does_not_read_it(self):
        server = self.filled(10)
        self.export(server, self.scratch / "dump")
        file = self.scratch / "dump" / "part-00000000.parquet"
        for what in (self.scratch / "dump", file):
            done = cli(server.address, "import", str(what))
            self.assertEqual(done.returncode, 3)
            self.assertIn(b"export jsonl or raw", done.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main())
