"""The commands of bandb that need more of a server than a table: scan, cas, put --ttl, ping, stats, config show."""

import base64
import json
import sys
import unittest

from client_fixture import ClientTest
from programs import CLI, SERVED_BY, cli, run, wait_until


class Commands(ClientTest):
    def test_scan_prints_a_range_in_each_format(self):
        address = self.server().address
        for key, value in (("a", "1"), ("b", "two words"), ("c", "3"), ("d", "4")):
            self.check(cli(address, "put", key, value), 0, b"OK\n")
        self.check(cli(address, "scan"), 0, b'"a"\t"1"\n"b"\t"two words"\n"c"\t"3"\n"d"\t"4"\n')
        self.check(cli(address, "scan", "--begin", "b", "--limit", "d", "--keys-only"), 0, b'"b"\n"c"\n')
        self.check(cli(address, "scan", "--count", "2", "--reverse"), 0, b'"d"\t"4"\n"c"\t"3"\n')
        self.check(cli(address, "scan", "--count", "0"), 0, b"")
        self.check(cli(address, "scan", "--prefix", "b", "--format", "jsonl"), 0, b'{"key": "b", "value": "two words"}\n')
        self.check(cli(address, "scan", "--count", "2", "--format", "raw"), 0, b"a\t1\nb\ttwo words\n")
        self.check(cli(address, "count"), 0, b"4\n")
        self.check(cli(address, "count", "--begin", "b"), 0, b"3\n")

    def test_json_lines_hold_any_bytes(self):
        address = self.server().address
        values = {"text": 'q"\\\n\x01é'.encode(), "bytes": b"\xff\x00\xfe"}
        for key, value in values.items():
            self.check(cli(address, "put", key, "-", input=value), 0, b"OK\n")
        lines = [json.loads(line) for line in cli(address, "scan", "--format", "jsonl").stdout.splitlines()]
        self.assertEqual(base64.b64decode(lines[0]["value"]["base64"]), values["bytes"])
        self.assertEqual(lines[1], {"key": "text", "value": values["text"].decode()})

    def test_scan_goes_on_over_as_many_pieces_as_there_are(self):
        address = self.server().address
        self.assertEqual(cli(address, "load", "-", input=b"x\n" * 2500).returncode, 0)
        self.check(cli(address, "count", "--prefix", "line:"), 0, b"2500\n")
        self.assertEqual(cli(address, "scan", "--count", "2345").stdout.count(b"\n"), 2345)

    def test_cas_stores_only_on_its_condition(self):
        address = self.server().address
        self.check(cli(address, "cas", "k", "old", "new"), 1, b"", b"(not done: the key does not have that value)\n")
        self.check(cli(address, "cas", "--absent", "k", "old"), 0, b"OK\n")
        self.check(cli(address, "cas", "--absent", "k", "x"), 1, b"", b"(not done: the key exists)\n")
        self.check(cli(address, "cas", "k", "old", "new"), 0, b"OK\n")
        self.check(cli(address, "get", "k"), 0, b'"new"\n')

    def test_ttl_tells_how_long_a_key_has_to_live(self):
        address = self.server().address
        self.check(cli(address, "put", "for ever", "1"), 0, b"OK\n")
        self.check(cli(address, "put", "--ttl", "1h", "an hour", "1"), 0, b"OK\n")
        self.check(cli(address, "ttl", "for ever"), 0, b"never\n")
        done = cli(address, "ttl", "an hour")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        number, unit = done.stdout.split()
        self.assertTrue(0 < int(number) <= 3_600_000, done.stdout)
        self.assertEqual(unit, b"ms")
        # As it is printed it can be given to put.
        self.check(cli(address, "put", "--ttl", done.stdout.decode().strip(), "again", "1"), 0, b"OK\n")
        self.check(cli(address, "ttl", "an"), 1, b"", b"(not found)\n")
        self.assertEqual(cli(address, "ttl").returncode, 2)

    def test_an_operator_has_it_flush_and_compact(self):
        server = self.server()
        self.assertEqual(cli(server.address, "load", "-", input=b"x\n" * 500).returncode, 0)
        self.check(cli(server.address, "flush"), 0, b"flushed\n")
        self.check(cli(server.address, "delete", "--prefix", "line:", "--yes"), 0, b"OK\n")
        self.check(cli(server.address, "flush"), 0, b"flushed\n")
        done = cli(server.address, "compact", "--prefix", "line:")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        # A node that passes writes on keeps a session, which is no key of a client's.
        kept = rb"\d{3}" if SERVED_BY == "follower" else b"0"
        self.assertRegex(done.stdout, rb"\Acompacted: %s bytes of tables, [0-9]+ before\n\Z" % kept)
        self.assertRegex(cli(server.address, "compact").stdout, rb"\Acompacted: %s bytes of tables, %s before\n\Z" % (kept, kept))
        self.assertEqual(cli(server.address, "flush", "now").returncode, 2)

    def test_a_batch_takes_effect_as_a_whole_or_not_at_all(self):
        address = self.server().address
        lines = b'put a "1 2"\n\nput --ttl 1h b 2\ncas --absent c 3\ndelete d\n'
        self.check(cli(address, "put", "d", "4"), 0, b"OK\n")
        self.check(cli(address, "batch", "-", input=lines), 0, b"OK\n")
        stored = b'"a"\t"1 2"\n"b"\t"2"\n"c"\t"3"\n'
        self.check(cli(address, "scan"), 0, stored)
        # The condition on c does not hold any more.
        again = self.write("batch", b"put z 26\n" + lines)
        self.check(cli(address, "batch", again), 1, b"", b"(not done: a condition does not hold)\n")
        self.check(cli(address, input=b"batch %s\n" % again.encode()), 1, b"", b"(not done: a condition does not hold)\n")
        self.check(cli(address, "scan"), 0, stored)
        for wrong in (b"get a\n", b"put a\n", b"put a \"\n"):
            done = cli(address, "batch", "-", input=b"put z 26\n" + wrong)
            self.assertEqual((done.returncode, done.stdout), (2, b""))
            self.assertIn(b"(error) line 2: ", done.stderr)
        self.assertEqual(cli(address, "batch", str(self.scratch / "absent")).returncode, 2)
        self.assertEqual(cli(address, input=b"batch -\nput z 26\n").returncode, 2)
        self.check(cli(address, "scan", "--begin", "a", "--limit", "d"), 0, stored)

    def test_a_put_may_expire(self):
        address = self.server().address
        self.check(cli(address, "put", "--ttl", "1h", "stays", "v"), 0, b"OK\n")
        self.check(cli(address, "put", "--ttl", "1ms", "goes", "v"), 0, b"OK\n")
        wait_until(lambda: cli(address, "get", "goes").returncode == 1, "it has expired")
        self.check(cli(address, "get", "stays"), 0, b'"v"\n')

    def test_ping_and_stats(self):
        server = self.server()
        self.assertRegex(cli(server.address, "ping").stdout, rb"\APONG \d+\.\d+ ms\n\Z")
        self.assertRegex(cli(server.address, "stats").stdout, rb"(?m)^connections_open 1$")
        server.kill()
        self.assertEqual(cli(server.address, "ping").returncode, 3)

    def test_config_show_prints_what_the_server_would_use(self):
        done = run(CLI, "config", "show", "--config", self.write("server.toml", '[server]\nframe_max = "32MiB"\n'))
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b'\nframe_max = "32 MiB"\n', done.stdout)
        self.assertIn(b'\ncompression = ', done.stdout)
        self.assertEqual(run(CLI, "config", "show", "--config", self.write("shown.toml", done.stdout)).stdout, done.stdout)
        done = run(CLI, "config", "show", "--config", self.write("bad.toml", "[server]\nloops = 0\n"))
        self.assertEqual((done.returncode, done.stdout), (2, b""))
        self.assertEqual(run(CLI, "config").returncode, 2)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
