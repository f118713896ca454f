"""What tests of attacks on a server share: a server with users and TLS, a witness, and connections of the attackers.

The witness is a client that has logged in. It is answered all the time, and soon; strangers cost no more than a few
megabytes; and the server serves on.
"""

import contextlib
import functools
import os
import random
import shutil
import socket
import ssl
import struct
import threading
import time

import wire
from programs import CLI, DEADLINE_SECONDS, ProgramTest, Server, need, run, wait_until

MIB = 1 << 20
# Of the memory of the process. Strangers may cost so much, and others what the account of memory allows besides.
STRANGERS_BYTES_MAX = 16 * MIB
ACCOUNT_BYTES_MAX = 64 * MIB
# The longest that the witness may wait. What holds others up does so each time it is tried; a busy machine does not.
ANSWER_SECONDS = 1
TRIES = 3
HELLO, STATS = 16, 20


def hello(user, token):
    user, token = user.encode(), token.encode()
    return wire.frame(HELLO, struct.pack("<HHQI", 1, 1, 2, 0) + struct.pack("<II", len(user), len(token)) + user + token)


def code_of(reply):
    """Of a reply; 0 if it is no error, None if there was none."""
    if reply is None:
        return None
    return struct.unpack_from("<H", reply[1], 1)[0] if reply[0] == wire.ERROR else 0


def first_frame(data):
    """The first frame of these bytes."""
    if len(data) < 8:
        return None
    length, message = struct.unpack_from("<II", data)
    return message, data[8:8 + length]


class Client(wire.Connection):
    """Reads what a peer that ends its connections in any way may do."""

    def ask(self, request):
        self.send(request)
        return code_of(self.read_frame())

    def rest(self):
        """What comes until the connection ends; fails where it does not."""
        try:
            while piece := self.stream.recv(1 << 16):
                self.buffer += piece
        except TimeoutError:
            raise
        except OSError:
            pass
        return self.buffer

    def sent(self, data):
        """False if the peer has ended the connection, or takes no more."""
        try:
            self.send(data)
        except OSError:
            return False
        return True

    def end_writing(self):
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.stream, socket.SHUT_WR)


class Attacked(Server):
    """Says where it serves TLS and its operators."""

    def first_line(self):
        self.places = {}
        while True:
            line = self.process.stdout.readline()
            if line == b"" or line.startswith(b"listening on "):
                return line
            name, _, address = line.decode().strip().rpartition(" on ")
            self.places[name] = address

    def memory(self, name):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith(name))

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")


class Witness(threading.Thread):
    """Puts and gets, and keeps how long the longest answer took."""

    def __init__(self, client):
        super().__init__()
        self.client = client
        self.over = threading.Event()
        self.answers = 0
        self.longest = 0.0
        self.failure = None

    def run(self):
        try:
            while not self.over.wait(0.001):
                value = b"%d" % self.answers
                begin = time.monotonic()
                self.client.send(wire.put(b"witness", value) + wire.get(b"witness"))
                replies = self.client.read_frame(), self.client.read_frame()
                self.longest = max(self.longest, time.monotonic() - begin)
                assert replies == ((wire.OK, b"\0"), (wire.OK, b"\0" + struct.pack("<I", len(value)) + value)), replies
                self.answers += 1
        except (OSError, AssertionError, TypeError) as failure:
            self.failure = failure

    def end(self):
        # One more, of after the attack.
        seen = self.answers
        wait_until(lambda: self.answers > seen or self.failure is not None, "the witness is answered")
        self.over.set()
        self.join()
        self.client.close()


class AttackTest(ProgramTest):
    def setUp(self):
        super().setUp()
        openssl = shutil.which("openssl")
        need(openssl is not None, "openssl")
        for name in ("server", "other"):
            made = run(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                       "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                       str(self.scratch / f"{name}.key"), "-out", str(self.scratch / f"{name}.crt"))
            self.assertEqual(made.returncode, 0, made)
            os.chmod(self.scratch / f"{name}.key", 0o600)
        self.tokens = {}
        for user, allow in (("app", "read,write"), ("part", "read,write:o/")):
            self.add_user(user, allow)
        self.random = random.Random(20)

    def add_user(self, name, allow):
        made = run(CLI, "user", "add", name, "--file", str(self.scratch / "users"), "--allow", allow)
        self.assertEqual(made.returncode, 0, made)
        self.tokens[name] = made.stdout.decode().strip()

    def begin(self, loops, preexec=None):
        config = self.write("server.toml", f"""
[server]
tls_listen = "127.0.0.1:0"
loops = {loops}
memory_max = "64 MiB"
frame_timeout = "1 s"
unread_timeout = "1 s"
[admin]
listen = "127.0.0.1:0"
[tls]
certificate = "{self.scratch}/served.crt"
key = "{self.scratch}/served.key"
[users]
file = "{self.scratch}/users"
login_timeout = "1 s"
""")
        self.serve_with("server", "server")
        server = Attacked(self.scratch / f"data{loops}", "--config", config, preexec=preexec)
        self.addCleanup(server.close)
        return server

    def serve_with(self, certificate, key):
        shutil.copy(self.scratch / f"{certificate}.crt", self.scratch / "served.crt")
        shutil.copy(self.scratch / f"{key}.key", self.scratch / "served.key")

    def raw(self, address):
        host, port = address.rsplit(":", 1)
        stream = socket.create_connection((host, int(port)), timeout=DEADLINE_SECONDS)
        self.addCleanup(stream.close)
        # The first request after a handshake would wait for an acknowledgement.
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def dial(self, server, secure, user=None):
        stream = self.raw(server.places["tls"] if secure else server.address)
        if secure:
            context = ssl.create_default_context(cafile=self.scratch / "server.crt")
            context.load_verify_locations(self.scratch / "other.crt")
            stream = context.wrap_socket(stream, server_hostname="127.0.0.1")
            self.addCleanup(stream.close)
        client = Client(stream)
        if user is not None:
            self.assertEqual(client.ask(hello(user, self.tokens[user])), 0)
        return client

    def attack(self, attempt, strangers=True):
        """`attempt(server, connect)`, where connect(user) makes a connection; of a stranger without a user."""
        for loops in (1, 4):
            server = self.begin(loops)
            for secure in (False, True):
                def connect(user=None, server=server, secure=secure):
                    return self.dial(server, secure, user)
                with self.subTest(loops=loops, secure=secure):
                    self.try_bounded(server, strangers, functools.partial(attempt, server, connect))
            self.assertEqual(server.terminate(), 0, server.error_text())

    def try_bounded(self, server, strangers, attempt):
        for _ in range(TRIES):
            before = server.memory("VmRSS")
            server.forget_peak()
            with self.witnessed(server) as witness:
                attempt()
            self.assertLessEqual(server.memory("VmHWM") - before, STRANGERS_BYTES_MAX + (0 if strangers else ACCOUNT_BYTES_MAX))
            if witness.longest <= ANSWER_SECONDS:
                return
        self.fail(f"the witness waited {witness.longest:.1f} s, {TRIES} times")

    @contextlib.contextmanager
    def witnessed(self, server):
        witness = Witness(self.dial(server, False, "app"))
        witness.start()
        try:
            yield witness
        finally:
            witness.end()
        self.assertIsNone(witness.failure)

    def await_nobody(self, server):
        """Until the server has ended all connections but that which asks."""
        def ended():
            asking = self.dial(server, False, "app")
            asking.send(wire.frame(STATS, b""))
            lines = asking.read_frame()[1][5:].decode().splitlines()
            asking.close()
            # The witness, and the one that asks.
            return int(dict(line.split(" ", 1) for line in lines)["connections_open"]) <= 2
        wait_until(ended, "connections are ended")
