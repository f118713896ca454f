"""What a process runs on, in the hands of a test: a disk that is small, a network that is cut, a wall clock that is set."""

import os
import pathlib
import socket
import struct
import subprocess
import threading
import time
import unittest

from programs import BIN


class SmallDisk:
    """A file system of so many bytes at a folder; only processes that are started `within` see it there.

    It lasts as long as this object, whatever becomes of the processes. Skips the test where the machine lets nobody mount.
    """

    def __init__(self, folder, size):
        folder.mkdir(parents=True)
        self.keeper = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
             'mount -t tmpfs -o "size=$1" tmpfs "$2" && echo mounted && exec cat', "sh", str(size), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.keeper.stdout.readline() != b"mounted\n":
            why = self.keeper.stderr.read().decode()
            self.close()
            raise unittest.SkipTest(f"no file system can be mounted here: {why}")
        self.within = ("nsenter", "--target", str(self.keeper.pid), "--user", "--mount", "--preserve-credentials", "--")
        self.inside = pathlib.Path(f"/proc/{self.keeper.pid}/root{folder.resolve()}")

    def free_bytes(self):
        state = os.statvfs(self.inside)
        return state.f_bavail * state.f_frsize

    def fill(self, leave=0):
        """Until only so much is left. What others write or remove meanwhile counts; again, for what they have removed."""
        with open(self.inside / "filler", "ab") as filler:
            while self.free_bytes() > leave:
                try:
                    os.posix_fallocate(filler.fileno(), filler.tell(), min(self.free_bytes() - leave, 1 << 20))
                except OSError:
                    continue
                filler.seek(0, os.SEEK_END)

    def make_room(self):
        (self.inside / "filler").unlink()

    def close(self):
        self.keeper.kill()
        self.keeper.wait()
        for pipe in (self.keeper.stdin, self.keeper.stdout, self.keeper.stderr):
            pipe.close()


class WallClock:
    """The wall clock of the processes that have its environment."""

    SHIM = BIN / "libwall_clock_shim.so"

    def __init__(self, path):
        self.path = path
        self.set(0)
        self.environment = {"LD_PRELOAD": str(self.SHIM), "BANDB_TEST_WALL_CLOCK": str(path)}

    def set(self, seconds):
        """So far ahead of the system's from now on."""
        with open(self.path, "r+b" if self.path.exists() else "w+b") as file:
            file.write(struct.pack("<q", int(seconds * 1_000_000_000)))


class Network:
    """Between nodes: a proxy of its own before each one's port for peers, which knows who calls by the hello.

    What is on its way in a direction that is cut is held back, ends of connections too, and goes on once that is healed. On
    connections for much (bulk) it may be slow.
    """

    HEAD = struct.Struct("<II")
    HELLO = struct.Struct("<8sBBBBQQ")

    def __init__(self):
        self.changed = threading.Condition()
        self.cuts = set()
        self.names = {}
        self.bulk_bytes_per_second = None
        self.closed = False
        self.sockets = []

    def before(self, name, address):
        """What others are to dial to reach the node of that name, which listens on `address`."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.sockets.append(listener)
        threading.Thread(target=self.accept, args=(listener, name, address), daemon=True).start()
        return "127.0.0.1:%d" % listener.getsockname()[1]

    def know(self, node_id, name):
        """Who has that id. Of somebody who is not known nothing is cut."""
        self.names[node_id] = name

    def cut(self, source, sink):
        with self.changed:
            self.cuts.add((source, sink))

    def isolate(self, name, others):
        for other in others:
            if other != name:
                self.cut(name, other)
                self.cut(other, name)

    def heal(self):
        with self.changed:
            self.cuts.clear()
            self.changed.notify_all()

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        for each in self.sockets:
            each.close()

    def accept(self, listener, name, address):
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(caller, name, address), daemon=True).start()

    def connect(self, caller, name, address):
        host, port = address.rsplit(":", 1)
        try:
            called = socket.create_connection((host, int(port)), timeout=10)
            called.settimeout(None)
        except OSError:
            caller.close()
            return
        self.sockets += [caller, called]
        first = b""
        try:
            while len(first) < self.HEAD.size + self.HELLO.size:
                piece = caller.recv(1 << 16)
                if not piece:
                    break
                first += piece
        except OSError:
            first = b""
        known = len(first) >= self.HEAD.size + self.HELLO.size
        hello = self.HELLO.unpack_from(first, self.HEAD.size) if known else [0] * 7
        node_id, is_bulk = hello[6], hello[2] == 1
        threading.Thread(target=self.pump, args=(called, caller, lambda: (name, self.names.get(node_id)), is_bulk),
                         daemon=True).start()
        self.pump(caller, called, lambda: (self.names.get(node_id), name), is_bulk, first)

    def pump(self, source, sink, direction, is_bulk, data=b""):
        try:
            while True:
                with self.changed:
                    self.changed.wait_for(lambda: self.closed or direction() not in self.cuts)
                    if self.closed:
                        break
                if data and is_bulk and self.bulk_bytes_per_second is not None:
                    time.sleep(len(data) / self.bulk_bytes_per_second)
                if data:
                    sink.sendall(data)
                data = source.recv(1 << 16)
                if not data:
                    with self.changed:
                        self.changed.wait_for(lambda: self.closed or direction() not in self.cuts)
                    sink.shutdown(socket.SHUT_WR)
                    return
        except OSError:
            pass
        for each in (source, sink):
            each.close()
