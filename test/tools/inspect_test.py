"""bandb_inspect: what it tells of a sound database, of one with each kind of file damaged, and what it repairs."""

import json
import shutil
import subprocess
import unittest
import xml.etree.ElementTree

from client_fixture import ClientTest
from programs import BIN, CLI, run

INSPECT = str(BIN / "bandb_inspect")
ENTRIES = [(json.dumps({"key": f"key{i:03}", "value": f"value {i} " * 20}) + "\n").encode() for i in range(300)]


class Inspect(ClientTest):
    def setUp(self):
        super().setUp()
        # What was restored is in tables, and what comes after it in a log.
        self.data = self.scratch / "data"
        repo = self.scratch / "repo"
        repo.mkdir()
        self.store(self.scratch / "first", ENTRIES[:200])
        for arguments in (("create", "--data", self.scratch / "first", "--repo", repo),
                          ("restore", "--repo", repo, "--number", "1", "--into", self.data)):
            done = run(CLI, "backup", *map(str, arguments))
            self.assertEqual(done.returncode, 0, done.stderr)
        self.store(self.data, ENTRIES[200:])
        self.engine = self.data / "groups/0/db"

    def store(self, folder, entries):
        self.assertEqual(run(CLI, "import", "--data", str(folder), "-", input=b"".join(entries)).returncode, 0)

    def inspect(self, *arguments, code=0):
        done = run(INSPECT, *map(str, arguments))
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        return done.stdout.decode()

    def bytes_of(self, folder):
        return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

    def file(self, pattern):
        """The largest that is called so: it holds something."""
        return max(self.engine.glob(pattern), key=lambda path: path.stat().st_size)

    def flip(self, path, offset):
        content = bytearray(path.read_bytes())
        content[offset] ^= 1
        path.write_bytes(content)

    def damaged(self, path, offset):
        """A copy of the database, in which a byte of the file is another."""
        copy = self.scratch / "damaged"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.data, copy)
        self.flip(copy / path.relative_to(self.data), offset)
        return copy

    def exported(self, folder):
        return run(CLI, "export", "--data", str(folder), "--out", "-").stdout

    def test_a_sound_database(self):
        before = self.bytes_of(self.data)
        self.assertIn("problems: none", self.inspect("check", self.data))
        for command, path in (("check", self.data), ("manifest", self.data), ("stats", self.data),
                              ("log", self.file("*.log")), ("table", self.file("*.tbl"))):
            report = json.loads(self.inspect(command, "--json", path))
            self.assertEqual(report["problems"], [], command)
        self.assertEqual(sum(level["entries"] for level in json.loads(self.inspect("stats", "--json", self.data))["levels"]), 200)
        table = json.loads(self.inspect("table", "--entries", "--blocks", "--json", self.file("*.tbl")))
        self.assertIn("key000", [entry["key"] for entry in table["contents"]])
        picture = xml.etree.ElementTree.fromstring(self.inspect("picture", self.data))
        self.assertTrue(picture.tag.endswith("svg"))
        self.assertEqual(self.bytes_of(self.data), before)

    def test_each_kind_of_file_damaged(self):
        for path, offset in ((self.data / "IDENTITY", 20), (self.engine / "CURRENT", 3), (self.file("MANIFEST-*"), 100),
                             (self.file("*.log"), 30), (self.file("*.tbl"), 100)):
            copy = self.damaged(path, offset)
            self.assertIn(path.name, self.inspect("check", copy, code=1))
            before = self.bytes_of(copy)
            target = self.scratch / f"repaired-{path.name}"
            report = json.loads(self.inspect("repair", "--json", copy, target, code=1))
            self.assertIn(path.name, report["lost"][0]["what"])
            self.assertEqual(self.bytes_of(copy), before)
            self.inspect("check", target)
            entries = set(self.exported(target).splitlines())
            self.assertLessEqual(entries, set(self.exported(self.data).splitlines()))
            self.assertGreater(len(entries), 150, path)

    def test_a_repair_of_a_sound_database_holds_the_same(self):
        self.assertIn("lost: none", self.inspect("repair", self.data, self.scratch / "same"))
        self.assertEqual(self.exported(self.scratch / "same"), self.exported(self.data))
        self.inspect("repair", self.data, self.scratch / "same", code=3)

    def test_a_repair_writes_nothing_into_its_source(self):
        before = self.bytes_of(self.data)
        (self.scratch / "link").symlink_to(self.data)
        (self.scratch / "deep").symlink_to(self.engine)
        (self.scratch / "self").symlink_to(self.data)
        for source, target in ((self.data, self.data / "new"), (self.data, self.engine / "new/er"), (self.data, self.data),
                               (self.data, self.scratch / "link/new"), (self.scratch / "link", self.data / "new"),
                               (self.data, self.scratch / "deep/new"), (self.data, self.scratch / "self"),
                               (self.data, f"{self.data}/groups/../new"), (self.data, f"{self.scratch}/gone/../data/new"),
                               (self.data, f"{self.scratch}/./data//new/"), (self.data, self.scratch)):
            self.inspect("repair", source, target, code=2)
        inside = subprocess.run([INSPECT, "repair", ".", "new"], cwd=self.data, capture_output=True, check=False)
        self.assertEqual(inside.returncode, 2, inside.stderr)
        above = subprocess.run([INSPECT, "repair", "../../..", "new"], cwd=self.engine, capture_output=True, check=False)
        self.assertEqual(above.returncode, 2, above.stderr)
        self.assertEqual(self.bytes_of(self.data), before)
        self.assertEqual([path.name for path in self.scratch.glob("*.tmp-*")], [])
        # By a link to another place, and with a slash at its end, it is made.
        (self.scratch / "elsewhere").mkdir()
        (self.scratch / "other").symlink_to(self.scratch / "elsewhere")
        self.inspect("repair", self.scratch / "link", f"{self.scratch}/other/new/")
        self.assertEqual(self.exported(self.scratch / "elsewhere/new"), self.exported(self.data))
        # A link to nowhere is in the way.
        (self.scratch / "nowhere").symlink_to(self.scratch / "gone")
        self.inspect("repair", self.data, self.scratch / "nowhere", code=3)

    def test_a_log_that_is_gone_and_one_that_was_cut(self):
        log = self.file("*.log")
        for cut in (None, 80, log.stat().st_size - 1):
            copy = self.damaged(self.data / "IDENTITY", 0)
            shutil.copy(self.data / "IDENTITY", copy / "IDENTITY")
            damaged = copy / log.relative_to(self.data)
            if cut is None:
                damaged.unlink()
            else:
                damaged.write_bytes(damaged.read_bytes()[:cut])
            report = json.loads(self.inspect("repair", "--json", copy, self.scratch / f"repaired-{cut}", code=1))
            self.assertIn(log.name, report["lost"][0]["what"])

    def test_usage_and_what_cannot_be_looked_at(self):
        self.assertIn("Exit codes", self.inspect("--help"))
        self.assertIn("--edits", self.inspect("manifest", "--help"))
        self.inspect(code=2)
        self.inspect("check", code=2)
        self.inspect("log", self.data / "IDENTITY", code=2)
        self.inspect("check", self.scratch / "nothing", code=3)
        self.inspect("table", self.engine / "999999.tbl", code=3)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([INSPECT, "check", str(self.data)], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 3)


if __name__ == "__main__":
    unittest.main()
