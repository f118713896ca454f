"""bandb export --changes as a process: killed and interrupted, beside writers, at servers that die, and each change once."""

import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import threading
import time
import unittest

import wire
from cluster_fixture import Trio
from programs import CLI, DEADLINE_SECONDS, ProgramTest, Server, cli, run, wait_until

KEEP = ("--set", "storage.changes_keep_bytes=64 MiB")


def files_of(folder):
    """The files of changes in their order, by name."""
    if not folder.exists():
        return {}
    names = sorted(name for name in os.listdir(folder) if name.startswith("changes-") and not name.endswith(".tmp"))
    return {name: (folder / name).read_bytes() for name in names}


def union(folder):
    return b"".join(files_of(folder).values())


class ExportTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.folder_out = self.scratch / "feed"

    def do(self, server, *arguments, code=0):
        done = cli(server.address, *arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def put(self, server, count, first=0):
        lines = b"".join(b"put key%d value%d\n" % (i, i) for i in range(first, first + count))
        done = run(CLI, "--addr", server.address, input=lines)
        self.assertEqual(done.returncode, 0, done.stderr)

    def fed(self, server, commits):
        """What a watch of so many commits, from the oldest one on, prints."""
        return self.do(server, "watch", "--from", "oldest", "--json", "--count", str(commits)).stdout

    def flags(self, *more, cursor="c"):
        return ("export", "--changes", "--cursor", cursor, "--out", str(self.folder_out), *more)

    def start(self, server, *more):
        process = subprocess.Popen([CLI, "--addr", server.address, *self.flags(*more)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def end(self, process, number=signal.SIGTERM):
        process.send_signal(number)
        output, errors = process.communicate(timeout=DEADLINE_SECONDS)
        return process.returncode, output, errors

    def check_manifest(self):
        """What the manifest says is so."""
        lines = (self.folder_out / "manifest.jsonl").read_bytes().splitlines()
        named = {line["file"]: line for line in map(json.loads, lines[1:])}
        files = files_of(self.folder_out)
        self.assertEqual(list(named), list(files))
        for name, content in files.items():
            self.assertEqual(named[name]["bytes"], len(content))
            self.assertEqual(name, f"changes-{named[name]['first']:020}.jsonl")


class EveryServer:
    """What holds of every server; `feed_server` starts one."""

    def test_the_files_are_what_a_watch_prints(self):
        server = self.feed_server()
        self.do(server, "cursors", "create", "c", "--from", "oldest")
        self.put(server, 50)
        self.do(server, "put", "--ttl", "7d", "b", "2")
        self.do(server, "delete", "key7")
        self.do(server, "delete", "--prefix", "key1", "--yes")
        done = self.do(server, *self.flags("--once", "--chunk-bytes", "1 KiB"))
        self.assertIn(b"exported 53 changes of 53 commits into ", done.stdout)
        self.assertEqual(union(self.folder_out), self.fed(server, 53))
        self.assertGreater(len(files_of(self.folder_out)), 3)
        self.check_manifest()
        self.assertIn(b'"c"\t0 commits, ', self.do(server, "cursors", "list").stdout)
        # And on, with nothing twice, and nothing at all.
        before = files_of(self.folder_out)
        self.put(server, 3)
        for _ in range(2):
            self.do(server, *self.flags("--once"))
        self.assertEqual(union(self.folder_out), self.fed(server, 56))
        self.assertEqual(len(files_of(self.folder_out)), len(before) + 1)
        # The same feed makes the same files.
        again = self.scratch / "again"
        self.do(server, "export", "--changes", "--from", "oldest", "--out", str(again), "--once", "--count", "53",
                "--chunk-bytes", "1 KiB")
        self.assertEqual(files_of(again), before)

    def test_killed_in_a_loop_while_others_write_it_has_each_change_once(self):
        server = self.feed_server()
        self.do(server, "cursors", "create", "c", "--from", "oldest")
        rounds, each = 25, 40
        writing = threading.Thread(target=lambda: [self.put(server, each, first=each * i) for i in range(rounds)])
        writing.start()
        self.addCleanup(writing.join)
        draw = random.Random(7)
        for round_number in range(rounds):
            process = self.start(server, "--chunk-bytes", f"{draw.randrange(1, 5)} KiB", "--every", f"{draw.randrange(1, 40)} ms")
            there = len(files_of(self.folder_out)) + draw.randrange(0, 3)
            wait_until(lambda at=there: len(files_of(self.folder_out)) >= at or not writing.is_alive(), "files are there")
            process.kill()
            process.communicate()
            if round_number % 8 == 7:
                self.do(server, "cursors", "reset", "c", "--from", "oldest")
        writing.join()
        self.do(server, *self.flags("--once"))
        self.assertEqual(union(self.folder_out), self.fed(server, rounds * each))
        self.check_manifest()
        self.assertIn(b'"c"\t0 commits, ', self.do(server, "cursors", "list").stdout)

    def test_a_file_is_ended_in_time_and_an_interruption_ends_what_is_there(self):
        server = self.feed_server()
        self.do(server, "cursors", "create", "c")
        process = self.start(server, "--every", "20 ms")
        for i in range(3):
            self.put(server, 1, first=i)
            wait_until(lambda count=i + 1: union(self.folder_out).count(b"\n") == count, "it is in a file")
        code, output, errors = self.end(process)
        self.assertEqual((code, errors), (-signal.SIGTERM, b""))
        self.assertIn(b"exported 3 changes of 3 commits into 3 files", output)
        self.assertNotIn("export.lock", os.listdir(self.folder_out))
        # Without a time it waits, and what it has read is there when it is interrupted.
        process = self.start(server, "--every", "1 h", "--chunk-bytes", "1 KiB")
        self.do(server, "put", "large", "v" * 2000)
        wait_until(lambda: len(files_of(self.folder_out)) == 4, "a full file is there")
        self.put(server, 5)
        self.assertEqual(self.end(process, signal.SIGINT)[0], -signal.SIGINT)
        self.do(server, *self.flags("--once"))
        self.assertEqual(union(self.folder_out), self.fed(server, 9))

    def test_a_directory_that_goes_or_is_replaced_meanwhile_ends_it_as_a_disk_does(self):
        server = self.feed_server()
        self.do(server, "cursors", "create", "c")
        process = self.start(server, "--every", "10 ms")
        self.put(server, 1)
        wait_until(lambda: union(self.folder_out).count(b"\n") == 1, "it is in a file")
        old = self.scratch / "old"
        self.folder_out.rename(old)
        self.folder_out.mkdir()
        self.put(server, 1, first=1)
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
        self.assertEqual(process.returncode, 3)
        self.assertIn(b"was replaced", errors)
        self.assertEqual(os.listdir(self.folder_out), [])
        # Where it was it goes on; and a directory that is gone is no cursor that is not there.
        self.folder_out.rmdir()
        old.rename(self.folder_out)
        process = self.start(server, "--every", "10 ms")
        wait_until(lambda: union(self.folder_out) == self.fed(server, 2), "it goes on")
        shutil.rmtree(self.folder_out)
        self.put(server, 1, first=2)
        process.communicate(timeout=DEADLINE_SECONDS)
        self.assertEqual(process.returncode, 3)

    def test_a_server_that_is_killed_is_waited_for(self):
        server = self.feed_server()
        self.do(server, "cursors", "create", "c")
        process = self.start(server, "--every", "10 ms")
        for i in range(3):
            self.put(server, 2, first=2 * i)
            wait_until(lambda count=2 * i + 2: union(self.folder_out).count(b"\n") == count, "it is in a file")
            server.kill()
            server.start()
        self.put(server, 1)
        wait_until(lambda: union(self.folder_out).count(b"\n") == 7, "it is in a file")
        self.assertEqual(self.end(process)[0], -signal.SIGTERM)
        self.assertEqual(union(self.folder_out), self.fed(server, 7))

    def test_a_commit_larger_than_a_reply_is_whole_in_one_file(self):
        server = self.feed_server()
        batch = "".join(f"put k{i:03} {'v' * 900}\n" for i in range(300))
        self.do(server, "batch", self.write("batch", batch))
        self.put(server, 2)
        self.assertEqual(server.terminate(), 0)
        server.arguments = (*server.arguments, "--set", "server.frame_max=64 KiB")
        server.start()
        for number, place in enumerate(("oldest", "0")):
            self.folder_out = self.scratch / f"feed{number}"
            self.do(server, "export", "--changes", "--from", place, "--out", str(self.folder_out), "--once",
                    "--chunk-bytes", "8 KiB")
            files = list(files_of(self.folder_out).values())
            self.assertEqual([content.count(b"\n") for content in files], [300, 2])
            self.assertEqual(union(self.folder_out), self.fed(server, 3))

    def test_a_value_of_four_megabytes_comes_through_every_way_out(self):
        server = self.feed_server()
        # Among other changes of its commit, and alone.
        large = "v" * 4_000_000
        self.do(server, "batch", self.write("batch", f"put a 1\nput b {large}\nput c 2\n"))
        self.do(server, "batch", self.write("batch", f"put d {large}\n"))
        self.put(server, 1)
        wanted = [b"1", large.encode(), b"2", large.encode(), b"value0"]
        values = re.compile(rb'"value": "(\w+)"')
        self.assertEqual(values.findall(self.fed(server, 3)), wanted)
        self.do(server, "export", "--changes", "--from", "oldest", "--out", str(self.folder_out), "--once")
        self.assertEqual(values.findall(union(self.folder_out)), wanted)
        self.assertEqual(values.findall(self.do(server, "export", "--out", "-").stdout), wanted)

    def test_from_a_time_nothing_older_comes_however_much_lies_before_it(self):
        server = self.feed_server()
        # More than what a server looks through for one request.
        for i in range(24):
            self.do(server, "batch", self.write("batch", f"put large{i} {'v' * 900_000}\n"))
        self.put(server, 30)
        older = [json.loads(line)["time"] for line in self.fed(server, 54).splitlines()]
        begin = max(older) + 1
        wait_until(lambda: time.time() * 1000 > begin + 1, "the time has come")
        # Nothing is there yet; then the directory has no place, and begins at that time again.
        early = ("export", "--changes", "--from", str(begin), "--out", str(self.folder_out), "--once")
        self.do(server, *early)
        self.assertEqual(files_of(self.folder_out), {})
        self.put(server, 20, first=100)
        keys = [f"key{i}" for i in range(100, 120)]
        for _ in range(2):
            self.do(server, *early)
            self.assertEqual([json.loads(line)["key"] for line in union(self.folder_out).splitlines()], keys)
        for flags in ((), ("--prefix", "key")):
            self.folder_out = self.scratch / f"again{len(flags)}"
            self.do(server, "export", "--changes", "--from", str(begin), "--out", str(self.folder_out), "--once", "--chunk-bytes",
                    "1 KiB", *flags)
            lines = union(self.folder_out).splitlines()
            self.assertEqual([json.loads(line)["key"] for line in lines], keys)
            self.assertGreater(len(files_of(self.folder_out)), 1)
        for count in (1, 20):
            watched = self.do(server, "watch", "--from", str(begin), "--json", "--count", str(count)).stdout
            self.assertEqual(watched.splitlines(), lines[:count])

    def test_parts_and_ranges_have_every_change_between_them(self):
        server = self.feed_server()
        self.put(server, 60)
        whole = set(self.fed(server, 60).splitlines())
        for number, selections in enumerate(([("--part", f"{i}/3") for i in range(3)],
                                             [("--limit", "key3"), ("--begin", "key3", "--limit", "key5"), ("--begin", "key5")])):
            lines = []
            for i, selection in enumerate(selections):
                folder = self.scratch / f"part{number}{i}"
                self.do(server, "export", "--changes", "--from", "oldest", "--out", str(folder), "--once", *selection)
                part = union(folder).splitlines()
                self.assertTrue(part)
                lines += part
            self.assertEqual((len(lines), set(lines)), (60, whole))

    def test_formats(self):
        server = self.feed_server()
        self.put(server, 20)
        for number, (form, *flags) in enumerate([("csv",), ("tsv", "--key-format", "hex"), ("raw",), ("raw", "--compress", "zstd"),
                                                 ("jsonl", "--compress", "zstd")]):
            folder = self.scratch / f"form{number}"
            self.do(server, "export", "--changes", "--from", "oldest", "--out", str(folder), "--once", "--format", form, *flags)
            (name, content), = files_of(folder).items()
            compressed = "--compress" in flags
            self.assertTrue(name.endswith(form + (".zst" if compressed else "")))
            if form == "csv":
                self.assertEqual(content.splitlines()[0], b"kind,key,value,limit,expires,sequence,time")
                self.assertRegex(content.splitlines()[1], rb"^put,key0,value0,,,\d+,\d+$")
            if form == "raw" and not compressed:
                self.assertTrue(content.startswith(b"BANDBCHG"))
                self.assertEqual(content.count(b"value"), 20)
            if form == "jsonl":
                new = str(self.scratch / "new")
                self.assertEqual(run(CLI, "import", "--data", new, str(folder / name)).returncode, 0)
                self.assertEqual(run(CLI, "export", "--data", new, "--out", "-").stdout.count(b"\n"), 20)

    def test_what_makes_no_sense_is_refused(self):
        server = self.feed_server()
        self.do(server, "cursors", "create", "c")
        self.put(server, 5)
        self.do(server, *self.flags("--once", cursor="nobody"), code=1)
        self.do(server, "export", "--out", "x", "--cursor", "c", code=2)
        for flags in (("--from", "now"), ("--resume",), ("--part", "2/2"), ("--every", "never"), ("--count", "0"),
                      ("--data", "x"), ("--out", "-")):
            self.do(server, *self.flags(*flags), code=2)
        self.do(server, "export", "--changes", "--out", "x", code=2)
        self.do(server, "export", "--changes", "--out", "x", "--from", "yesterday", code=2)
        self.folder_out = self.scratch / "other"
        self.do(server, *self.flags("--once"))
        for flags in (("--format", "csv"), ("--prefix", "k"), ("--compress", "zstd"), ("--part", "0/2")):
            self.assertIn(b"another range, part or cursor", self.do(server, *self.flags("--once", *flags), code=3).stderr)
        state = self.scratch / "state"
        self.do(server, "export", "--out", str(state))
        self.assertIn(b"not of an export of changes",
                      self.do(server, "export", "--changes", "--from", "oldest", "--out", str(state), "--once", code=3).stderr)
        self.assertIn(b"not a manifest of an export", self.do(server, "import", str(self.folder_out), code=3).stderr)
        running = self.start(server, "--every", "10 ms")
        self.put(server, 1)
        wait_until(lambda: union(self.folder_out).count(b"\n") == 6, "it runs")
        self.assertIn(b"another export is writing here", self.do(server, *self.flags("--once"), code=3).stderr)
        self.assertEqual(self.end(running)[0], -signal.SIGTERM)
        # Of another database, whatever its cursor.
        other = Server(self.scratch / "data2", "--set", "server.mode=standalone", *KEEP)
        self.addCleanup(other.close)
        self.do(other, "cursors", "create", "c")
        self.do(other, *self.flags("--once"), code=3)
        self.assertEqual(union(self.folder_out), self.fed(server, 6))


class StandaloneTest(EveryServer, ExportTest):
    def feed_server(self):
        return self.standalone_server(*KEEP)

    def test_what_is_gone_is_told_and_never_passed_over(self):
        server = self.standalone_server()
        self.do(server, "cursors", "create", "c")
        self.put(server, 5)
        self.do(server, *self.flags("--once"))
        self.put(server, 5, first=5)
        self.do(server, "flush")
        before = files_of(self.folder_out)
        wait_until(lambda: b"lost" in self.do(server, "cursors", "list").stdout, "the cursor is lost")
        errors = self.do(server, *self.flags("--once"), code=3).stderr
        self.assertIn(b"lost", errors)
        self.assertIn(b"bandb cursors reset, and another directory", errors)
        # A cursor that goes on elsewhere makes no directory of it that has a gap.
        self.do(server, "cursors", "reset", "c")
        self.put(server, 1, first=10)
        self.do(server, *self.flags("--once"), code=3)
        self.assertEqual(files_of(self.folder_out), before)
        self.folder_out = self.scratch / "next"
        self.do(server, *self.flags("--once"))
        self.assertEqual(union(self.folder_out).count(b"\n"), 1)

    def test_without_a_server(self):
        server = self.standalone_server(*KEEP)
        self.put(server, 30)
        wanted = self.fed(server, 30)
        self.assertEqual(server.terminate(), 0)
        command = [CLI, "export", "--changes", "--data", server.data, "--from", "oldest", "--out", str(self.folder_out)]
        self.assertEqual(run(*command, "--count", "7").returncode, 0)
        self.assertEqual(union(self.folder_out).count(b"\n"), 7)
        done = run(*command)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(union(self.folder_out), wanted)
        # And on from a server.
        server.start()
        self.put(server, 2)
        self.do(server, "export", "--changes", "--from", "now", "--out", str(self.folder_out), "--once")
        self.assertEqual(union(self.folder_out), self.fed(server, 32))


class ClusterOfOneTest(EveryServer, ExportTest):
    def feed_server(self):
        server = Server(self.scratch / "cluster")
        self.addCleanup(server.close)
        return server


def reply(commits, token=b"T", cut=False):
    """To a CHANGES: commits are first and last sequence and keys of puts."""
    body = struct.pack("<BI", cut, len(token)) + token + struct.pack("<I", len(commits))
    for first, last, keys in commits:
        body += struct.pack("<QQQI", first, last, 1000, len(keys))
        body += b"".join(struct.pack("<BII", 1, len(key), 1) + key + b"v" for key in keys)
    return wire.frame(wire.OK, b"\0" + body)


class ScriptedTest(ExportTest):
    """Servers that do what real ones do only in trouble, or never."""

    def export(self, answer, code, *flags):
        server = wire.ScriptedServer(answer)
        self.addCleanup(server.close)
        return self.do(server, "export", "--changes", "--from", "oldest", "--out", str(self.folder_out), *flags, code=code)

    def test_a_commit_in_pieces_is_put_together_also_over_a_connection_that_breaks(self):
        skips = []

        def answer(_number, _message_id, payload):
            skip, = struct.unpack_from("<I", payload, 22)
            skips.append(skip)
            if skip == 0:
                return reply([(5, 7, [b"a", b"b"])], cut=True)
            return reply([(5, 7, [b"c"])], token=b"U") if len(skips) > 2 else None

        self.export(answer, 0, "--count", "1")
        self.assertEqual(skips, [0, 2, 0, 2])
        self.assertEqual(re.findall(rb'"key": "(.)", "value": "v", "sequence": 5', union(self.folder_out)), [b"a", b"b", b"c"])
        self.assertEqual(list(files_of(self.folder_out)), [f"changes-{5:020}.jsonl"])

    def test_replies_that_make_no_sense_end_it_and_a_later_run_has_each_change_once(self):
        good = reply([(1, 1, [b"a"])], token=b"A")
        for number, bad in enumerate([reply([], token=b""), reply([], token=b"x" * 101), reply([(5, 5, [])], cut=True),
                                      reply([], cut=True), reply([(1, 2, [b"a", b"b"])]), reply([(9, 8, [b"a"])]),
                                      wire.frame(wire.OK, good[8:-1]), wire.frame(wire.OK, b""),
                                      wire.frame(wire.OK, b"\0" + b"\xff" * 60)]):
            self.folder_out = self.scratch / f"bad{number}"
            with self.subTest(bad):
                self.export(lambda number, *_, bad=bad: bad if number else good, 3, "--once")
                self.export(lambda number, *_: reply([], token=b"A") if number else good, 0, "--once")
                self.assertEqual(union(self.folder_out), b'{"kind": "put", "key": "a", "value": "v", "sequence": 1, "time": 1000}\n')


class MembersTest(ExportTest):
    def test_it_goes_on_at_another_member(self):
        trio = Trio(self)
        self.do(trio["a"], "cursors", "create", "c", "--from", "oldest")
        for i, name in enumerate("abcabc"):
            self.put(trio[name], 4, first=4 * i)
            wait_until(lambda at=trio[name]: b'"c"\t' in self.do(at, "cursors", "list").stdout, "it knows of the cursor")
            self.do(trio[name], *self.flags("--once", "--chunk-bytes", f"{1 + i % 2} KiB"))
            self.assertEqual(union(self.folder_out).count(b"\n"), 4 * i + 4)
        trio[trio.leader()].kill()
        left = next(name for name in "abc" if trio[name].process.poll() is None)
        self.put(trio[left], 1)
        self.do(trio[left], *self.flags("--once"))
        keys = re.findall(rb'"key": "key(\d+)"', union(self.folder_out))
        self.assertEqual([int(key) for key in keys], [*range(24), 0])


if __name__ == "__main__":
    unittest.main()
