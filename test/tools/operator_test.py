"""What an operator is told by the commands of the client: latencies, clients, slow requests, and the screen."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import unittest

from programs import CLI, DEADLINE_SECONDS, ProgramTest, Server, cli, wait_until
from surroundings import WallClock


def lines(result):
    return result.stdout.decode().splitlines()


class Operator(ProgramTest):
    def serve(self, more=""):
        config = self.write("server.toml", more)
        server = Server(self.scratch / "data", "--config", config)
        self.addCleanup(server.close)
        return server

    def ask(self, server, *arguments, code=0):
        result = cli(server.address, *arguments)
        self.assertEqual(result.returncode, code, result)
        return result

    def test_latency_counts_requests_by_protocol_and_operation(self):
        server = self.serve()
        for i in range(5):
            self.ask(server, "put", f"key{i}", "v")
        self.ask(server, "get", "key1")
        titles, *rows = lines(self.ask(server, "latency"))
        self.assertEqual(titles.split(), ["count", "p50", "p90", "p99", "p99.9", "max"])
        counts = {row.split()[0]: int(row.split()[1]) for row in rows}
        self.assertEqual((counts["request.bandb.put"], counts["request.bandb.get"]), (5, 1))
        objects = {one["name"]: one for one in map(json.loads, lines(self.ask(server, "latency", "--json")))}
        put = objects["request.bandb.put"]
        self.assertEqual(put["count"], 5)
        self.assertLessEqual(0, put["p50_micros"])
        self.assertLessEqual(put["p50_micros"], put["p99_micros"])
        self.assertLessEqual(put["p99_micros"], put["max_micros"])
        self.assertLessEqual(put["max_micros"], put["sum_micros"])

    def test_latency_watch_tells_of_what_came_since(self):
        server = self.serve()
        self.ask(server, "put", "key", "v")
        # Nothing but hellos and questions in between, which are no puts.
        result = self.ask(server, "latency", "--watch", "10ms", "--count", "2", "--json")
        self.assertNotIn(b"put", result.stdout)
        self.ask(server, "latency", "--watch", "1ms", code=2)
        self.ask(server, "latency", "--count", "3", code=2)

    def test_clients_are_listed_and_killed(self):
        server = self.serve()
        host, port = server.address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=DEADLINE_SECONDS) as victim:
            # PING without a payload.
            victim.sendall(struct.pack("<II", 0, 17))
            self.assertTrue(victim.recv(100))
            address = "{}:{}".format(*victim.getsockname())
            rows = [row.split() for row in lines(self.ask(server, "clients"))]
            self.assertEqual(rows[0][:3], ["ID", "ADDRESS", "USER"])
            row = next(row for row in rows if row[1] == address)
            objects = [json.loads(line) for line in lines(self.ask(server, "clients", "--json"))]
            one = next(one for one in objects if one["address"] == address)
            self.assertEqual(row[0], one["id"])
            self.assertEqual((one["protocol"], one["tls"], one["last_operation"], one["bytes_read"]), ("bandb", False, "ping", 8))
            self.assertRegex(self.ask(server, "clients", "--count", "1").stdout, rb"\nand \d+ more")
            self.ask(server, "clients", "kill", one["id"])
            self.assertEqual(victim.recv(100), b"")
        self.assertIn(b"no client", self.ask(server, "clients", "kill", one["id"], code=3).stderr)
        self.ask(server, "clients", "kill", "x", code=3)
        self.ask(server, "clients", "kill", code=2)

    def test_slow_requests_are_told_with_part_of_their_key_and_hidden_keys_are_not(self):
        server = self.serve('[server]\nslow_log_threshold = "0 s"\nslow_log_key_bytes = 4\n')
        self.ask(server, "put", "secret\x01key", "v")
        _, *rows = lines(self.ask(server, "slowlog"))
        put = next(row for row in rows if " put " in row)
        self.assertIn('"secr"... (10 bytes)', put)
        self.assertNotIn("secre", "".join(rows).replace("secr\"", ""))
        one = json.loads(lines(self.ask(server, "slowlog", "--json", "--count", "1"))[0])
        self.assertGreater(one["number"], 0)
        self.assertAlmostEqual(one["ms"], one["waiting_ms"] + one["hooks_ms"] + one["storage_ms"], delta=0.01)
        self.write("server.toml", '[server]\nslow_log_threshold = "0 s"\nslow_log_key_bytes = 0\n')
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded: server.slow_log_key_bytes = 0" in server.error_text(), "the threshold is new")
        # What was kept before, too.
        self.assertNotIn(b"secr", self.ask(server, "slowlog", "--json").stdout)
        self.ask(server, "put", "secret", "v")
        self.assertNotIn(b"secr", self.ask(server, "slowlog", "--json").stdout)

    def test_a_clock_that_was_ahead_by_mistake_is_accepted_once_it_is_right(self):
        clock = WallClock(self.scratch / "clock")
        server = Server(self.scratch / "data", "--set", "server.mode=standalone", environment=clock.environment)
        self.addCleanup(server.close)
        clock.set(3600)
        self.ask(server, "put", "--ttl", "30min", "key", "v")
        clock.set(0)
        result = self.ask(server, "clock", "accept")
        self.assertRegex(result.stdout, rb"as it is now; it was 3(599|600)\.\d+ s later once\n")
        self.assertRegex(self.ask(server, "clock", "accept").stdout, rb"it was 0\.\d+ s later once\n")
        self.ask(server, "clock", code=2)
        node = Server(self.scratch / "node")
        self.addCleanup(node.close)
        self.assertRegex(self.ask(node, "clock", "accept").stdout, rb"clock of the leader as it is now; it was 0\.\d+ s")

    def test_top_prints_a_frame(self):
        server = self.serve()
        for i in range(3):
            self.ask(server, "put", f"key{i}", "v")
        text = self.ask(server, "top", "--once").stdout.decode()
        self.assertRegex(text, r"\Abandb_server \S+ at 127\.0\.0\.1:\d+, up 0d \d\d:\d\d:\d\d; rates since the start\n")
        self.assertRegex(text, r"\nconnections +1 ")
        self.assertRegex(text, r"\nrequest\.bandb\.put +3 ")
        self.assertRegex(text, r"\nMEMBERS\nNAME ")
        self.assertNotIn("\x1b", text)
        frames = self.ask(server, "top", "--interval", "50ms", "--count", "2").stdout.decode()
        self.assertEqual(frames.count("bandb_server "), 2)
        self.assertNotIn("\x1b", frames)
        self.ask(server, "top", "--interval", "1ms", code=2)
        server.kill()
        self.ask(server, "top", "--count", "2", code=3)

    def test_top_leaves_the_terminal_as_it_was(self):
        server = self.serve()
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 60, 0, 0))
        before = termios.tcgetattr(slave)
        process = subprocess.Popen([CLI, "--addr", server.address, "top", "--interval", "50ms"], stdin=slave, stdout=slave,
                                   stderr=slave, start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        shown = b""
        # Two frames, each begun at the top of the screen.
        while shown.count(b"\x1b[H") < 3:
            shown += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE_SECONDS)
        self.assertEqual(termios.tcgetattr(slave), before)
        os.close(slave)
        try:
            while piece := os.read(master, 4096):
                shown += piece
        except OSError:
            pass
        self.assertTrue(shown.startswith(b"\x1b[?1049h\x1b[?25l"))
        self.assertTrue(shown.endswith(b"\x1b[?25h\x1b[?1049l"), shown[-200:])
        frame = shown.split(b"\x1b[H")[1].decode().split("\r\n")
        self.assertLessEqual(len(frame), 10)
        for line in frame:
            self.assertLessEqual(len(re.sub(r"\x1b\[\??[0-9]*[A-Za-z]", "", line)), 60)


if __name__ == "__main__":
    unittest.main()
