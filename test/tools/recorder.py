"""Clients of a cluster that record what they asked and what they were told, for history_check."""

import random
import socket
import struct
import subprocess
import threading
import time

import wire
from programs import BIN, DEADLINE_SECONDS, wait_until

CHECK = str(BIN / "history_check")
UNKNOWN, ABORTED = 2, 10


class Recorder:
    """Clients that get, put and compare-and-set a few keys, each at one node and, if that fails it, at the next.

    Every value is written once. What was given up may still be done later, and counts so.
    """

    PAUSE_SECONDS = 0.004
    PATIENCE_SECONDS = 3

    def __init__(self, addresses, clients=6, keys=5):
        self.addresses = addresses
        self.keys = keys
        self.lock = threading.Lock()
        self.lines = []
        self.last_value = 0
        self.failures = []
        self.done = {"get": 0, "put": 0, "cas": 0}
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    # --- One client ---

    def run(self, number):
        chance = random.Random(number)
        connection, at = None, number
        seen = {}
        try:
            while not self.stopping.wait(self.PAUSE_SECONDS):
                if connection is None:
                    at += 1
                    connection = self.connect(self.addresses[at % len(self.addresses)])
                    if connection is None:
                        continue
                key, kind = chance.randrange(self.keys), chance.choice(["get", "get", "put", "cas"])
                if not self.ask(number, connection, kind, key, seen):
                    connection.close()
                    connection = None
        except Exception as error:  # of any kind; the test's thread tells it
            self.failures.append(error)
        if connection is not None:
            connection.close()

    def connect(self, address):
        host, port = address.rsplit(":", 1)
        try:
            connection = wire.Connection(socket.create_connection((host, int(port)), timeout=self.PATIENCE_SECONDS))
        except OSError:
            return None
        try:
            connection.send(wire.frame(16, struct.pack("<HHQI", 1, 1, 0, 0)))
            if connection.read_frame() is not None:
                return connection
        except OSError:
            pass
        connection.close()
        return None

    def next_value(self):
        with self.lock:
            self.last_value += 1
            return self.last_value

    def ask(self, client, connection, kind, key, seen):
        """One operation; false if the node did not do what it was asked."""
        name = b"key:%d" % key
        value = 0 if kind == "get" else self.next_value()
        expected = seen.get(key, 0) if kind == "cas" else 0
        frame = {"get": lambda: wire.get(name), "put": lambda: wire.put(name, b"%d" % value),
                 "cas": lambda: wire.put_after(name, b"%d" % expected if expected else None, b"%d" % value)}[kind]()
        call = time.monotonic_ns()
        try:
            connection.send(frame)
            reply = connection.read_frame()
        except OSError:
            reply = None
        returned = time.monotonic_ns()
        code = None
        if reply is not None and reply[0] != wire.OK:
            (code,) = struct.unpack_from("<H", reply[1], 1)
        found = expected
        if reply is None or code == UNKNOWN:
            outcome, returned = "unknown", 0
        elif kind == "get" and code in (None, wire.NOT_FOUND):
            found = int(wire.value_of(*reply) or 0)
            outcome, seen[key] = "done", found
        elif code is None:
            outcome, seen[key] = "done", value
        else:
            outcome = "not_done"
            seen.pop(key, None)
        with self.lock:
            self.lines.append(f"{client} {kind} {outcome} {key} {value} {expected} {found} {call} {returned}")
            self.done[kind] += outcome == "done"
        return outcome == "done" or code == ABORTED

    # --- All of them ---

    def await_progress(self, count=10):
        """Until so many more of each kind were done, however long nodes take."""
        with self.lock:
            before = dict(self.done)
        wait_until(lambda: self.failures or all(self.done[kind] >= before[kind] + count for kind in before), "it goes on")
        if self.failures:
            self.stop()
            raise self.failures[0]

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(DEADLINE_SECONDS)

    def finish(self, test, addresses):
        """Ends it, reads all keys at each of these nodes, and has the history checked, those reads included."""
        self.stop()
        if self.failures:
            raise self.failures[0]
        for number, address in enumerate(addresses):
            connection = self.connect(address)
            test.assertIsNotNone(connection, address)
            for key in range(self.keys):
                test.assertTrue(self.ask(100 + number, connection, "get", key, {}), f"{address} does not answer")
            connection.close()
        test.assertTrue(all(self.done.values()), self.done)
        checked = subprocess.run([CHECK], input="\n".join(self.lines).encode(), capture_output=True, check=False,
                                 timeout=DEADLINE_SECONDS)
        test.assertEqual(checked.returncode, 0, checked.stderr.decode())
