"""What attackers try on the ports of a server, with TLS and without, on one loop and on four, while a witness is served.

What is tried on files, on peers and on the other listeners has tests of its own.
"""

import contextlib
import functools
import resource
import signal
import ssl
import struct
import threading
import time
import unittest
import urllib.request

import wire
from attack_fixture import HELLO, MIB, STATS, AttackTest, Client, code_of, first_frame, hello
from programs import CLI, DEADLINE_SECONDS, let_pass, run, wait_until

PING, BATCH, SCAN, CHANGES, SNAPSHOT = 17, 18, 19, 21, 24
DENIED, NOBODY, TOO_LARGE, UNKNOWN_MESSAGE, MALFORMED, TIMED_OUT, OTHER_VERSION = 7, 16, 257, 259, 260, 263, 265


def batch(conditions, operations, body=b""):
    return wire.frame(BATCH, struct.pack("<BII", 0, conditions, operations) + body)


def scan(begin, limit, cursor=b"", flags=0, entries=0, size=0):
    lengths = struct.pack("<IIIII", entries, size, len(begin), len(limit), len(cursor))
    return wire.frame(SCAN, bytes([flags]) + lengths + begin + limit + cursor)


def range_delete(begin, limit):
    return batch(0, 1, struct.pack("<BII", 3, len(begin), len(limit)) + begin + limit)


class Strangers(AttackTest):
    def test_headers_that_announce_much(self):
        def attempt(_, connect):
            for length in (0xffffffff, 0x80000000, 65 * MIB + 1, 16 * MIB + 1, 5000) * 10:
                client = connect()
                self.assertEqual(client.ask(struct.pack("<II", length, wire.PUT)), TOO_LARGE)
                self.assertEqual(client.rest(), b"")
            for text in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"*1\r\n$4\r\nPING\r\n", b"\x16\x03\x01\x02\x00\x01\x00"):
                client = connect()
                client.send(text)
                # Told why, in its own protocol or in this one, and ended.
                self.assertNotEqual(client.rest(), b"")
            client = connect()
            for _ in range(100):
                self.assertEqual(client.ask(wire.frame(wire.GET, b"")), NOBODY)
        self.attack(attempt)

    def test_a_byte_now_and_then(self):
        def attempt(_, connect):
            clients = [connect() for _ in range(100)]
            for client in clients:
                client.send(b"\1")
            for client in clients:
                self.assertIn(code_of(first_frame(client.rest())), (NOBODY, TIMED_OUT))
            # Likewise of those who are known.
            clients = [connect("app") for _ in range(50)]
            for client in clients:
                client.send(wire.put(b"k", b"v" * 100)[:-1])
            for client in clients:
                self.assertEqual(code_of(first_frame(client.rest())), TIMED_OUT)
        self.attack(attempt)

    def test_requests_without_end_whose_replies_are_not_read(self):
        def attempt(server, connect):
            pings = wire.frame(PING, b"x" * 1000) * 60
            for _ in range(2):
                client = connect()
                client.stream.settimeout(2)
                end = time.monotonic() + DEADLINE_SECONDS
                # What comes after the end was said is still read for a second, and dropped.
                while client.sent(pings):
                    self.assertLess(time.monotonic(), end, "a stranger is listened to for ever")
            self.await_nobody(server)
        self.attack(attempt)

    def test_messages_of_every_id(self):
        def attempt(_, connect):
            for message in (*range(64), *range(250, 270), 1023, 1024, 65535, 65536, 0x7fffffff, 0xffffffff):
                client = connect()
                if message != HELLO:
                    self.assertIn(client.ask(wire.frame(message, b"")), (NOBODY, UNKNOWN_MESSAGE), message)
                # And nothing that they may hold changes that.
                for _ in range(3):
                    code = client.ask(wire.frame(message, self.random.randbytes(40)))
                    self.assertIn(code, (NOBODY, UNKNOWN_MESSAGE, MALFORMED, OTHER_VERSION), message)
                client.close()
        self.attack(attempt)

    def test_tokens_that_are_guessed(self):
        def attempt(_, connect):
            guessing = [connect() for _ in range(4)]
            for client in guessing:
                client.send(hello("app", "bandb_" + "A" * 43))
            # Who knows theirs is not kept waiting, and the others are told nothing but no.
            self.assertEqual(connect("app").ask(wire.frame(PING, b"")), 0)
            for client in guessing:
                self.assertEqual(code_of(client.read_frame()), NOBODY)
            self.assertEqual(connect().ask(hello("app", self.tokens["part"])), NOBODY)
            self.assertEqual(connect().ask(hello("", "")), NOBODY)
        self.attack(attempt)

    def test_handshakes_that_do_not_go_on_or_are_of_old(self):
        def attempt(server):
            silent = [self.raw(server.places["tls"]) for _ in range(150)]
            for i, stream in enumerate(silent):
                with contextlib.suppress(OSError):
                    stream.sendall((b"", b"\x16", b"\x16\x03\x01\x02\x00\x01")[i % 3])
            # They keep nobody out.
            self.assertEqual(self.dial(server, True, "app").ask(wire.frame(PING, b"")), 0)
            old = ssl.create_default_context(cafile=self.scratch / "server.crt")
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            with self.assertRaises(OSError):
                old.wrap_socket(self.raw(server.places["tls"]), server_hostname="127.0.0.1")
            for noise in (b"GET / HTTP/1.1\r\n\r\n", wire.get(b"k"), self.random.randbytes(1000)):
                client = Client(self.raw(server.places["tls"]))
                client.sent(noise)
                client.rest()
            for stream in silent:
                Client(stream).rest()

        for loops in (1, 4):
            server = self.begin(loops)
            with self.subTest(loops=loops):
                self.try_bounded(server, True, functools.partial(attempt, server))
            self.assertEqual(server.terminate(), 0, server.error_text())


class Users(AttackTest):
    def test_large_values_that_are_not_read(self):
        def attempt(server, connect):
            filler = connect("app")
            self.assertEqual(filler.ask(wire.put(b"large", b"v" * MIB)), 0)
            filler.close()
            for _ in range(5):
                client = connect("app")
                client.sent(wire.get(b"large") * 500)
            self.await_nobody(server)
        self.attack(attempt, strangers=False)

    def test_counts_of_what_does_not_come_and_more_than_may(self):
        def attempt(_, connect):
            client = connect("app")
            for conditions, operations in ((0, 10_000), (10_000, 0), (0, 0xffffffff), (0xffffffff, 0xffffffff), (0, 1_000_000)):
                self.assertIn(client.ask(batch(conditions, operations)), (MALFORMED, TOO_LARGE))
            for sizes in ({"entries": 0xffffffff}, {"size": 0xffffffff}):
                self.assertEqual(client.ask(scan(b"a", b"b", **sizes)), 0)
            delete = struct.pack("<BII", 0, 1, 0) + b"x"
            self.assertEqual(client.ask(batch(0, 1_000_000, delete * 1_000_000)), TOO_LARGE)
            condition = struct.pack("<BII", 2, 1, 0) + b"x"
            self.assertEqual(client.ask(batch(1_000_000, 0, condition * 1_000_000)), TOO_LARGE)
        self.attack(attempt, strangers=False)

    def test_ranges_of_odd_shape_and_cursors_of_others(self):
        def attempt(_, connect):
            client = connect("part")
            high = b"\xff" * 65536
            outside = ((b"", b""), (b"o/", b""), (b"", b"o0"), (high, b""), (b"o/", high), (b"o0", b"o1"), (b"o", b"o0"))
            for begin, limit in outside:
                self.assertEqual(client.ask(scan(begin, limit)), DENIED, (begin[:9], limit[:9]))
            for begin, limit in outside:
                self.assertIn(client.ask(range_delete(begin, limit)), (DENIED, wire.INVALID_ARGUMENT))
            # One that is turned round, or empty, has nothing, wherever it lies.
            for begin, limit in ((b"o/z", b"o/a"), (b"o/a", b"o/a")):
                self.assertEqual(client.ask(scan(begin, limit)), 0)
            for cursor in (b"\1a", b"\2zz", b"\1" + high, b"\3", b"\0" * 70000):
                client.send(scan(b"o/", b"o0", cursor))
                self.assertNotIn(b"witness", client.read_frame()[1])
        self.attack(attempt)

    def test_keys_and_values_of_any_bytes(self):
        def attempt(server, connect):
            client = connect("app")
            odd = (b"\0", b"\0\0", b"a\nb\r", b"\x1b[2J\x1b]0;x\7", bytes(range(256)), b"k" * 65536, b"\xff" * 1000)
            for key in odd:
                for value in (b"", key, b"\x1b[31m" * 1000):
                    self.assertEqual(client.ask(wire.put(key, value)), 0)
                    client.send(wire.get(key))
                    self.assertEqual(wire.value_of(*client.read_frame()), value)
            self.assertEqual(client.ask(wire.put(b"k" * 65537, b"")), wire.INVALID_ARGUMENT)
            self.assertIn(connect().ask(hello("\x1b[2J\n", "x")), (NOBODY, wire.INVALID_ARGUMENT))
            self.assertNotIn("\x1b", server.error_text())
        self.attack(attempt, strangers=False)

    def test_a_bit_that_changed_or_an_end_at_every_byte_and_noise(self):
        stream = b"".join((wire.put(b"bits", b"value"), wire.get(b"bits"), wire.put_after(b"bits", b"value", b"next"),
                           scan(b"bits", b"bitt"), wire.frame(PING, b"x"), wire.delete(b"bits"), wire.frame(STATS, b""),
                           wire.frame(SNAPSHOT, struct.pack("<BIQ", 0, 100, 0)),
                           wire.frame(CHANGES, struct.pack("<BBIIIIIIQIII", 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))))

        def attempt(_, connect):
            tries = [stream[:i] for i in range(len(stream))]
            for i, byte in enumerate(stream):
                tries.append(stream[:i] + bytes([byte ^ 1 << self.random.randrange(8)]) + stream[i + 1:])
            tries += [self.random.randbytes(self.random.randrange(1, 300)) for _ in range(50)]
            for data in tries:
                client = connect("app")
                client.sent(data)
                client.end_writing()
                client.rest()
                client.close()
        self.attack(attempt, strangers=False)


class Surroundings(AttackTest):
    def test_connections_without_end_where_there_are_few_descriptors(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

        for loops in (1, 4):
            server = self.begin(loops, preexec=few)
            for place in (server.address, server.places["tls"]):
                with self.subTest(loops=loops, place=place), self.witnessed(server) as witness:
                    streams = [self.raw(place) for _ in range(300)]
                    seen = witness.answers
                    wait_until(lambda: witness.answers > seen + 20 or witness.failure, "the witness is served")
                    for stream in streams:
                        stream.close()
                    for secure in (False, True):
                        self.assertEqual(self.dial(server, secure, "app").ask(wire.frame(PING, b"")), 0)
            self.assertEqual(server.terminate(), 0, server.error_text())

    def reload(self, server, expected):
        before = server.error_text().count(expected)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.error_text().count(expected) > before, f"the server says {expected}")

    def log_in_all_the_time(self, server, over, failures):
        while not over.is_set():
            for secure in (False, True):
                try:
                    client = self.dial(server, secure)
                    codes = [client.ask(hello("app", self.tokens["app"])), client.ask(hello("gone", self.tokens["gone"]))]
                    client.close()
                    if codes != [0, NOBODY]:
                        failures.append(codes)
                except OSError as failure:
                    failures.append(failure)

    def test_users_and_certificates_that_change_half_or_whole_under_load(self):
        users = self.scratch / "users"
        self.add_user("gone", "read,write")
        for loops in (1, 4):
            server = self.begin(loops)
            self.assertEqual(self.dial(server, False, "gone").ask(wire.get(b"k")), wire.NOT_FOUND)
            whole = users.read_text()
            self.assertEqual(run(CLI, "user", "revoke", "gone", "--file", str(users)).returncode, 0)
            self.reload(server, "reloaded 2 users")
            over, failures = threading.Event(), []
            logins = threading.Thread(target=self.log_in_all_the_time, args=(server, over, failures))
            without = users.read_text()
            with self.witnessed(server):
                logins.start()
                for i in range(8):
                    # Half of a file in which somebody is again who is not to be.
                    users.write_text(whole[:-20])
                    self.reload(server, "reload refused")
                    users.write_text(without)
                    # A key that is not that of the certificate.
                    self.serve_with("server", "other")
                    self.reload(server, "reload refused")
                    now = ("server", "other")[i % 2]
                    self.serve_with(now, now)
                    self.reload(server, "reloaded 2 users")
                    shown = self.dial(server, True).stream.getpeercert()["subject"]
                    self.assertEqual(shown, ((("commonName", now),),))
                let_pass(0.1)
                over.set()
                logins.join()
            self.assertEqual(failures, [])
            self.nothing_secret_is_shown(server)
            self.assertEqual(server.terminate(), 0, server.error_text())
            users.write_text(whole)

    def nothing_secret_is_shown(self, server):
        shown = server.error_text()
        for path in ("/metrics", "/stats", "/", "/livez", "/readyz"):
            with urllib.request.urlopen(f"http://{server.places['admin']}{path}", timeout=DEADLINE_SECONDS) as answer:
                shown += answer.read().decode()
        for name in ("cmdline", "environ"):
            with open(f"/proc/{server.process.pid}/{name}", encoding="utf-8", errors="replace") as file:
                shown += file.read()
        self.assertIn("bandb_", shown)
        for token in self.tokens.values():
            self.assertNotIn(token, shown)


if __name__ == "__main__":
    unittest.main()
