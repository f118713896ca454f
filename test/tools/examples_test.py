"""The examples do what they say."""

import re
import socket
import subprocess
import sys
import unittest

from programs import BIN, DEADLINE_SECONDS, ProgramTest, run


class Examples(ProgramTest):
    def example(self, name, **options):
        done = run(str(BIN / name), str(self.scratch / name), **options)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout

    def test_embedded(self):
        expected = b"name is Alice\nthe same batch again: refused\nprevious-name is gone\n"
        self.assertEqual(self.example("embedded"), expected)
        self.assertEqual(self.example("embedded"), expected)

    def test_snapshot_scan(self):
        self.assertEqual(self.example("snapshot_scan"),
                         b"now, backwards:\n  user:dave = 4\n  user:carol = 3\n  user:alice = changed\n"
                         b"as it was at the snapshot:\n  user:alice = 1\n  user:bob = 2\n  user:carol = 3\n"
                         b"alice was 1\n")

    def test_tail_changes_goes_on_where_it_was(self):
        expected = (b"commit of 2\n  order:1 = two pears\n"
                    b"  all from draft: up to draft; are gone\ncommit of 1\n  order:1 is gone\n")
        self.assertEqual(self.example("tail_changes"), expected)
        self.assertEqual(self.example("tail_changes"), expected)

    def test_replicated_node(self):
        self.assertEqual(self.example("replicated_node"), b"name was Alice, is Bob\n")

    def test_echo_bannet(self):
        process = subprocess.Popen([str(BIN / "echo_bannet"), "127.0.0.1:0"], stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        host, port = process.stdout.readline().decode().strip().rsplit(":", 1)

        def said(*pieces):
            with socket.create_connection((host, int(port)), timeout=DEADLINE_SECONDS) as client:
                for piece in pieces:
                    client.sendall(piece)
                return b"".join(iter(lambda: client.recv(1000), b""))

        self.assertEqual(said(b"one\ntw", b"o\n\nbye\n"), b"one\ntwo\n\nbye\n")
        # What is no line is refused, and only its connection ends.
        self.assertEqual(said(b"fits\n" + b"x" * 1000), b"fits\nrefused\n")
        self.assertEqual(said(b"x" * 999 + b"\nbye\n"), b"x" * 999 + b"\nbye\n")
        self.assertEqual(run(str(BIN / "echo_bannet"), "nonsense").returncode, 1)

    def test_echo_bannet_holds_nothing_of_any_store(self):
        names = run("nm", "-C", "--defined-only", str(BIN / "echo_bannet"))
        self.assertEqual(names.returncode, 0)
        rooms = set(re.findall(rb"\bbandb::(\w+)::", names.stdout))
        self.assertEqual(rooms, {b"net", b"base"})

    def test_log_ingest_continues_after_what_it_has(self):
        lines = b"".join(b"line %d\n" % i for i in range(1234))
        self.assertRegex(self.example("log_ingest", input=lines), rb"\A1234 lines; ")
        self.assertRegex(self.example("log_ingest", input=lines), rb"\A1234 lines; ")
        self.assertRegex(self.example("log_ingest", input=b""), rb"\A0 lines; ")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
