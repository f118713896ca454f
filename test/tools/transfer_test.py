"""bandb export, import and delete --prefix: as programs, against a server and without one, killed and gone on with."""

import base64
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import unittest

import wire
from client_fixture import ClientTest, Terminal
from programs import CLI, DEADLINE_SECONDS, Server, cli, let_pass, run, wait_until

ALL = bytes(range(256))
EXPIRES = 33_000_000_000_000


def operations_of(payload):
    """Key and value of each operation of a BATCH of puts."""
    _, conditions, count = struct.unpack_from("<BII", payload)
    assert conditions == 0
    at = 9
    for _ in range(count):
        kind, key_bytes, value_bytes = struct.unpack_from("<BII", payload, at)
        assert kind == 1
        at += 9
        yield payload[at:at + key_bytes], payload[at + key_bytes:at + key_bytes + value_bytes]
        at += key_bytes + value_bytes


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def everything(folder):
    """What is in a directory and all below it, with the times at which it was changed."""
    return {str(path): (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
            for path in [pathlib.Path(folder), *pathlib.Path(folder).rglob("*")]}


class Transfer(ClientTest):
    def filled(self, entries=3000):
        """A server with so many entries, and some whose bytes are no text."""
        server = self.server()
        lines = b"".join(b'{"key": "k:%06d", "value": "%s"}\n' % (i, b"v" * (i % 90)) for i in range(entries))
        lines += json.dumps({"key": {"base64": base64.b64encode(ALL).decode()},
                             "value": {"hex": ALL.hex()}, "expires": EXPIRES}).encode() + b"\n"
        done = cli(server.address, "import", "-", input=lines)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"imported 3,001 entries" if entries == 3000 else b"imported", done.stdout)
        return server

    def test_what_is_exported_is_imported_again_in_every_format(self):
        server = self.filled()
        wanted = cli(server.address, "scan", "--format", "jsonl").stdout
        self.assertEqual(wanted.count(b"\n"), 3001)
        self.assertEqual(wanted.count(b'"expires": %d}' % EXPIRES), 1)
        for number, (form, *flags) in enumerate([("jsonl",), ("raw",), ("csv", "--key-format", "hex", "--value-format", "base64"),
                                                 ("tsv", "--key-format", "base64", "--value-format", "hex"),
                                                 ("jsonl", "--compress", "zstd")]):
            folder = self.scratch / f"dump{number}"
            done = cli(server.address, "export", "--out", str(folder), "--format", form, "--chunk-bytes", "16 KiB", *flags)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"exported 3,001 entries", done.stdout)
            self.check(cli(server.address, "delete", "--prefix", "", "--yes"), 0, b"OK\n")
            self.check(cli(server.address, "count"), 0, b"0\n")
            done = cli(server.address, "import", str(folder))
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(cli(server.address, "scan", "--format", "jsonl").stdout, wanted)

    def test_a_second_run_and_one_without_a_server_give_the_same_files(self):
        server = self.filled()
        one, two, three = self.scratch / "one", self.scratch / "two", self.scratch / "three"
        flags = ("--chunk-bytes", "8 KiB", "--compress", "zstd", "--prefix", "k:")
        for folder in (one, two):
            self.assertEqual(cli(server.address, "export", "--out", str(folder), *flags).returncode, 0)
        self.assertEqual(contents(one), contents(two))
        self.assertGreater(len(contents(one)), 5)
        self.assertEqual(server.terminate(), 0)
        done = run(CLI, "export", "--data", server.data, "--out", str(three), *flags)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        without = {name: data for name, data in contents(three).items() if name != "manifest.jsonl"}
        self.assertEqual(without, {name: data for name, data in contents(one).items() if name != "manifest.jsonl"})
        again = self.scratch / "again"
        self.assertEqual(run(CLI, "export", "--data", server.data, "--out", str(again), *flags).returncode, 0)
        self.assertEqual(contents(again), contents(three))

    def test_killed_in_the_middle_it_goes_on_and_ends_with_the_same_files(self):
        server = self.filled(20_000)
        whole, cut = self.scratch / "whole", self.scratch / "cut"
        self.assertEqual(server.terminate(), 0)
        flags = ("--chunk-bytes", "2 KiB", "--data", server.data)
        self.assertEqual(run(CLI, "export", "--out", str(whole), *flags).returncode, 0)
        kills = 0
        for wait_for in (1, 40, 160):
            resume = ("--resume",) if kills else ()
            with subprocess.Popen([CLI, "export", "--out", str(cut), *flags, *resume], stdout=subprocess.DEVNULL) as export:
                wait_until(lambda count=wait_for: export.poll() is not None or
                           (cut.exists() and len(os.listdir(cut)) > count), "chunks are there")
                self.assertIsNone(export.poll(), "the export ended before it could be killed")
                export.kill()
                export.wait(DEADLINE_SECONDS)
            kills += 1
        refused = run(CLI, "import", "--data", str(self.scratch / "new"), str(cut))
        self.assertEqual(refused.returncode, 3)
        self.assertIn(b"not complete", refused.stderr)
        done = run(CLI, "export", "--out", str(cut), *flags, "--resume")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"entries were there already", done.stdout)
        self.assertEqual(contents(cut), contents(whole))

    def test_interrupted_it_says_how_to_go_on(self):
        server = self.filled(20_000)
        folder = self.scratch / "dump"
        with subprocess.Popen([CLI, "--addr", server.address, "export", "--out", str(folder), "--chunk-bytes", "4 KiB"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as export:
            wait_until(lambda: folder.exists() and len(os.listdir(folder)) > 3, "chunks are there")
            export.send_signal(signal.SIGINT)
            errors = export.stderr.read()
        self.assertEqual(export.returncode, -signal.SIGINT)
        self.assertIn(b"--resume", errors)
        done = cli(server.address, "export", "--out", str(folder), "--chunk-bytes", "4 KiB", "--resume")
        self.assertEqual(done.returncode, 0)

    def test_an_export_is_of_one_state_whatever_is_written_meanwhile(self):
        server = self.server()
        entries = 3000
        lines = b"".join(b'{"key": "k:%06d", "value": "%s"}\n' % (i, b"o" * 2000) for i in range(entries))
        self.assertEqual(cli(server.address, "import", "-", input=lines).returncode, 0)
        # It can't have read more than some pieces while nobody takes what it writes.
        with subprocess.Popen([CLI, "--addr", server.address, "export", "--out", "-"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as export:
            first = os.read(export.stdout.fileno(), 100)
            newer = lines.replace(b"ooo", b"nnn") + lines.replace(b"k:", b"k;")
            done = cli(server.address, "import", "-", input=newer)
            self.assertEqual(done.returncode, 0)
            self.check(cli(server.address, "delete", "--prefix", "k:0029", "--yes"), 0, b"OK\n")
            rest, errors = export.communicate(timeout=DEADLINE_SECONDS)
        self.assertEqual(export.returncode, 0)
        self.assertEqual(first + rest, lines)
        self.assertIn(b"exported 3,000 entries", errors)

    def test_gone_on_with_it_is_of_the_state_that_it_was_begun_with_or_refuses(self):
        server = self.filled(20_000)
        folder, other = self.scratch / "dump", self.scratch / "other"
        command = [CLI, "--addr", server.address, "export", "--chunk-bytes", "4 KiB", "--out"]
        for out in (folder, other):
            with subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as export:
                wait_until(lambda out=out: out.exists() and len(os.listdir(out)) > 10, "chunks are there")
                export.kill()
        self.assertEqual(cli(server.address, "import", "-", input=b'{"key": "k:999999", "value": "new"}\n').returncode, 0)
        done = run(*command, str(folder), "--resume")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertNotIn(b"k:999999", b"".join(contents(folder).values()))
        total = json.loads(contents(folder)["manifest.jsonl"].splitlines()[-1])
        self.assertEqual(total["entries"], 20_001)
        self.assertNotIn("export.source", contents(folder))
        # So is the place from which to go on, which it says again where nothing is left to do.
        for again in (done, run(*command, str(folder), "--resume")):
            self.assertIn(b"bandb watch --from %s\n" % total["token"].encode(), again.stdout)
        self.assertIn(b"k:999999", cli(server.address, "watch", "--from", total["token"], "--count", "1").stdout)
        # A server that was started since has no snapshot of before.
        server.kill()
        server.start()
        done = run(CLI, "--addr", server.address, "export", "--chunk-bytes", "4 KiB", "--out", str(other), "--resume")
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"the state that this export was begun with is not kept any more", done.stderr)
        mixed = run(CLI, "--addr", server.address, "export", "--chunk-bytes", "4 KiB", "--out", str(other), "--resume", "--no-snapshot")
        self.assertEqual((mixed.returncode, mixed.stderr), (0, b""))

    def test_an_export_that_cannot_go_on_says_why(self):
        server = self.filled(10)
        folder = self.scratch / "dump"
        done = cli(server.address, "export", "--out", str(folder), "--format", "csv")
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"--key-format", done.stderr)
        again = cli(server.address, "export", "--out", str(folder))
        self.assertEqual(again.returncode, 3)
        self.assertIn(b"is not empty", again.stderr)
        other = cli(server.address, "export", "--out", str(folder), "--resume")
        self.assertIn(b"another format", other.stderr)
        nobody = cli("127.0.0.1:1", "export", "--out", str(self.scratch / "none"))
        self.assertEqual(nobody.returncode, 3)
        nothing = run(CLI, "export", "--data", str(self.scratch / "nothing"), "--out", "-")
        self.assertEqual((nothing.returncode, nothing.stdout), (3, b""))
        running = run(CLI, "export", "--data", server.data, "--out", "-")
        self.assertEqual(running.returncode, 3)

    def test_flags_that_make_no_sense_exit_with_2(self):
        for flags in (("--format", "xml"), ("--key-format", "octal"), ("--chunk-bytes", "1"), ("--compress", "lzma"),
                      ("--prefix", "a", "--begin", "b"), ("--chunk-bytes", "-5"), ("--nonsense",),
                      ("--lease", "2 h"), ("--lease", "never"), ("--lease", "0 s")):
            done = cli("127.0.0.1:1", "export", "--out", str(self.scratch / "x"), *flags)
            self.assertEqual((flags, done.returncode), (flags, 2))
        self.assertEqual(cli("127.0.0.1:1", "export").returncode, 2)
        self.assertEqual(cli("127.0.0.1:1", "export", "--out", "-", "--resume").returncode, 2)
        self.assertEqual(cli("127.0.0.1:1", "import").returncode, 2)
        self.assertEqual(cli("127.0.0.1:1", "import", "file.txt").returncode, 2)

    def test_export_and_import_are_a_pipe(self):
        server = self.filled(500)
        for form in ("jsonl", "raw"):
            stream = cli(server.address, "export", "--out", "-", "--format", form, "--compress", "zstd")
            self.assertEqual(stream.returncode, 0)
            self.assertIn(b"exported 501 entries", stream.stderr)
            new = str(self.scratch / f"new-{form}")
            done = run(CLI, "import", "--data", new, "--format", form, "-", input=stream.stdout)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            back = run(CLI, "export", "--data", new, "--out", "-", "--format", form, "--compress", "zstd")
            self.assertEqual(back.stdout, stream.stdout)

    def test_an_export_changes_nothing_in_the_directory_of_a_database(self):
        data = self.scratch / "plain"
        server = Server(data, "--set", "server.mode=standalone")
        self.addCleanup(server.close)
        self.assertEqual(cli(server.address, "put", "name", "Alice").returncode, 0)
        running = run(CLI, "export", "--data", str(data), "--out", "-")
        self.assertEqual((running.returncode, running.stdout), (3, b""))
        self.assertIn(b"has it open", running.stderr)
        # Killed, it leaves what is in its log alone; closed, the same with a seal.
        for end in (server.kill, server.terminate):
            end()
            before = everything(data)
            for path in before:
                os.chmod(path, 0o555 if os.path.isdir(path) else 0o444)
            done = run(CLI, "export", "--data", str(data), "--out", "-")
            self.assertEqual((done.returncode, done.stdout), (0, b'{"key": "name", "value": "Alice"}\n'))
            self.assertEqual(everything(data), before)
            for path in before:
                os.chmod(path, 0o755)
            server.start()

    def test_an_export_goes_on_after_the_server_was_away(self):
        given, cursors = [], []

        def scan(number, _message_id, payload):
            cursors.append(payload[21:])
            if number in (2, 4, 5):
                return None
            i, more = len(given), b"c%d" % len(given) if len(given) < 3 else b""
            given.append(number)
            return wire.frame(wire.OK, b"\0" + struct.pack("<IIIQ", 1, 1, 1, 0) + b"%dv" % i + struct.pack("<I", len(more)) + more)

        done = cli(self.serve(scan).address, "export", "--out", "-", "--no-snapshot")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout, b"".join(b'{"key": "%d", "value": "v"}\n' % i for i in range(4)))
        # Each piece was asked for with the cursor of the one before it, as often as it took.
        self.assertEqual(cursors, [b"", b"c0", b"c1", b"c1", b"c2", b"c2", b"c2"])

    def test_an_import_sends_again_what_was_not_acknowledged_in_order(self):
        values, batches = {}, []

        def take(number, _message_id, payload):
            operations = list(operations_of(payload))
            if number in (2, 3, 9, 30):
                return None
            if number in (5, 20):
                return wire.error(wire.OVERLOADED, b"later")
            if any(value == b"bad" for _, value in operations):
                return wire.error(wire.INVALID_ARGUMENT, b"not liked")
            batches.append(len(operations))
            values.update(operations)
            return wire.ok()

        lines = b"".join(b'{"key": "%d", "value": "%s"}\n' % (i % 100, b"bad" if i in (7777, 7778) else b"%d" % i)
                         for i in range(20_000))
        done = cli(self.serve(take).address, "import", "-", input=lines)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"imported 19,998 entries", done.stdout)
        self.assertIn(b"2 passed over: not liked (the first: standard input: record 7778)", done.stderr)
        self.assertEqual(values, {b"%d" % i: b"%d" % (19_900 + i) for i in range(100)})
        self.assertGreater(max(batches), 100)

    def test_an_import_gives_up_when_the_server_stays_away(self):
        done = cli(self.serve(lambda *request: None).address, "import", "--retry-for", "0s", "-",
                   input=b'{"key": "a", "value": ""}\n')
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"imported 0 entries", done.stdout)
        self.assertEqual(cli("127.0.0.1:1", "import", "-", input=b"").returncode, 3)

    def test_an_import_that_waits_for_its_input_has_not_been_without_progress(self):
        server = self.serve(lambda number, *request: None if number == 0 else wire.ok())
        with subprocess.Popen([CLI, "--addr", server.address, "import", "--retry-for", "4s", "-"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as load:
            self.addCleanup(load.kill)
            wait_until(lambda: server.connections == 1, "it is connected")
            let_pass(4.3)
            done = load.communicate(b'{"key": "a", "value": ""}\n', timeout=DEADLINE_SECONDS)
        self.assertEqual((load.returncode, done[1]), (0, b""))
        self.assertIn(b"imported 1 entries", done[0])

    def test_an_import_into_a_new_directory_keeps_no_logs_that_nobody_asked_for(self):
        data = self.scratch / "new"
        count, value = 100, b"v" * 900_000
        lines = b"".join(b'{"key": "%03d", "value": "%s"}\n' % (i, value) for i in range(count))
        self.assertEqual(run(CLI, "import", "--data", str(data), "-", input=lines).returncode, 0)
        logs = sum(path.stat().st_size for path in data.rglob("*.log"))
        self.assertLess(logs, count * len(value) * 3 // 4)

    def test_what_the_server_refuses_is_counted_and_the_rest_is_stored(self):
        server = self.server()
        lines = (b'{"key": "a", "value": "1"}\n' + b'{"key": "%s", "value": ""}\n' % (b"x" * 70_000) +
                 b'not an entry\n{"key": "b", "value": "2"}\n{"key": "a", "value": "3"}\n')
        done = cli(server.address, "import", "-", input=lines)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"imported 3 entries", done.stdout)
        self.assertIn(b"1 passed over: not JSON (the first: standard input: record 3)", done.stderr)
        self.assertEqual(done.stderr.count(b"1 passed over"), 2)
        self.check(cli(server.address, "scan", "--format", "raw"), 0, b"a\t3\nb\t2\n")

    def test_what_was_refused_is_told_by_every_later_run(self):
        server = self.server()
        state = str(self.scratch / "state")
        file = self.write("lines.jsonl", b'{"key": "%s", "value": ""}\n{"key": "b", "value": "2"}\nnone\n' % (b"x" * 70_000))
        for _ in range(3):
            done = cli(server.address, "import", "--resume", state, file)
            self.assertEqual(done.returncode, 3)
            self.assertEqual(done.stderr.count(b"1 passed over"), 2)
            self.assertIn(b"record 3", done.stderr)

    def test_import_keeps_how_far_it_came(self):
        server = self.server()
        state = str(self.scratch / "state")
        file = self.write("lines.jsonl", b"".join(b'{"key": "%d", "value": ""}\n' % i for i in range(1000)))
        self.assertEqual(cli(server.address, "import", "--resume", state, file).returncode, 0)
        done = cli(server.address, "import", "--resume", state, file)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"1,000 records were imported before", done.stdout)
        self.assertIn(b"imported 0 entries", done.stdout)

    def test_a_person_who_watches_sees_progress_and_is_asked(self):
        server = self.filled(100)
        terminal = Terminal([CLI, "--addr", server.address, "export", "--out", str(self.scratch / "dump")])
        terminal.expect(b" entries, ")
        terminal.expect(b"exported 101 entries")
        self.assertEqual(terminal.wait(), 0)
        terminal = Terminal([CLI, "--addr", server.address, "delete", "--prefix", "k:"])
        terminal.expect(b'Remove all keys that begin with "k:" (100)? [y/N] ')
        os.write(terminal.descriptor, b"n\n")
        terminal.expect(b"nothing was removed")
        self.assertEqual(terminal.wait(), 1)
        self.check(cli(server.address, "count"), 0, b"101\n")
        terminal = Terminal([CLI, "--addr", server.address, "delete", "--prefix", "k:"])
        terminal.expect(b"[y/N] ")
        os.write(terminal.descriptor, b"y\n")
        terminal.expect(b"OK")
        self.assertEqual(terminal.wait(), 0)
        self.check(cli(server.address, "count"), 0, b"1\n")

    def test_delete_of_a_prefix_takes_what_begins_with_it_and_nothing_else(self):
        server = self.server()
        for key in ("a", "a:", "a:1", "a:\u00ff", "a;", "b"):
            self.check(cli(server.address, "put", key, "x"), 0, b"OK\n")
        self.check(cli(server.address, "delete", "--prefix", "a:"), 0, b"OK\n")
        self.check(cli(server.address, "scan", "--keys-only", "--format", "raw"), 0, b"a\na;\nb\n")
        self.check(cli(server.address, "delete", "--prefix", "zz", "--yes"), 0, b"OK\n")
        self.assertEqual(cli(server.address, "delete", "--prefix", "a", "key").returncode, 2)
        self.assertEqual(cli(server.address, "delete").returncode, 2)


if __name__ == "__main__":
    sys.exit(unittest.main())
