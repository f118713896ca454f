"""The examples do what they say."""

import re
import socket
import subprocess
import sys
import unittest

from programs import BIN, DEADLINE_SECONDS, ProgramTest, cli, run


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

    def test_indexed_server_routes_old_names_and_writes_an_index_that_clients_cannot(self):
        process = subprocess.Popen([str(BIN / "indexed_server"), str(self.scratch / "indexed")],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        match = re.fullmatch(rb"listening on (127\.0\.0\.1:\d+)\n", process.stdout.readline())
        self.assertIsNotNone(match)

        def ask(*arguments, code=0, **options):
            done = cli(match.group(1).decode(), *arguments, **options)
            self.assertEqual((arguments, done.returncode, done.stderr if code == 0 else b""), (arguments, code, b""))
            return done.stdout + done.stderr

        ask("put", "event:b:002", "warm")
        ask("put", "sample:a:001", "cold")
        self.assertEqual(ask("get", "sample:a:001"), b'"cold"\n')
        self.assertEqual(ask("get", "event:a:001"), b'"cold"\n')
        ask("batch", "-", input=b"put sample:c:000 hot\nput other x\n")
        self.assertEqual(ask("scan", "--prefix", "time:"),
                         b'"time:000:c"\t"event:c:000"\n"time:001:a"\t"event:a:001"\n"time:002:b"\t"event:b:002"\n')
        ask("cas", "sample:a:001", "cold", "cool")
        self.assertEqual(ask("get", "event:a:001"), b'"cool"\n')
        ask("delete", "sample:a:001")
        self.assertEqual(ask("scan"), b'"event:b:002"\t"warm"\n"event:c:000"\t"hot"\n"other"\t"x"\n'
                                      b'"time:000:c"\t"event:c:000"\n"time:002:b"\t"event:b:002"\n')
        self.assertIn(b"the index is written by the server", ask("put", "time:003:d", "x", code=3))
        self.assertIn(b"events are deleted one by one", ask("delete", "--prefix", "event:", code=3))
        self.assertEqual(process.communicate(timeout=DEADLINE_SECONDS), (b"", b""))
        self.assertEqual(process.returncode, 0)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
