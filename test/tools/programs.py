"""What the tests of the programs share: where they are, how to run one, a server process that can be killed.

BANDB_TEST_SERVER in the environment says what serves: "one", a cluster of one voter; "standalone", a plain database;
"follower", a node of three that did not lead when it was started.
"""

import json
import os
import pathlib
import re
import selectors
import signal
import subprocess
import tempfile
import time
import unittest

BIN = pathlib.Path(os.environ.get("BANDB_BIN", "build/dev/bin")).resolve()
CLI = str(BIN / "bandb")
SERVER = str(BIN / "bandb_server")
BENCH = str(BIN / "bandb_bench")
SERVED_BY = os.environ.get("BANDB_TEST_SERVER", "one")
# Far beyond what anything takes; only a hang gets there.
DEADLINE_SECONDS = 120


def run(*arguments, **options):
    """Runs a program to its end; returns its CompletedProcess with bytes of output."""
    return subprocess.run(arguments, capture_output=True, timeout=DEADLINE_SECONDS, check=False, **options)


def cli(address, *arguments, **options):
    return run(CLI, "--addr", address, *arguments, **options)


def need(present, what):
    """Skips a test for which something is not installed; with CI in the environment it fails: there all is."""
    if present:
        return
    if "CI" in os.environ:
        raise AssertionError(f"{what} is not installed")
    raise unittest.SkipTest(f"{what} is not installed")


def npm_folder():
    """The folder with the packages of npm that the tests use, which tools/setup.sh installs if need be."""
    setup = pathlib.Path(__file__).resolve().parents[2] / "tools" / "setup.sh"
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", f". {setup}; bandb_npm_folder"], capture_output=True, text=True,
                          check=False)
    need(done.returncode == 0, f"what is taken from npm (it said {done.stderr!r})")
    return done.stdout.splitlines()[-1]


def skipped_by(kind, why):
    """For a test that makes no sense where this serves."""
    return unittest.skipIf(SERVED_BY == kind, why)


class Server:
    """A bandb_server process on a port of its own. Start it again after kill, and it takes the same port and data.

    `within`: words of a program that becomes the server. `environment`: what it has besides.
    """

    def __init__(self, data, *arguments, preexec=None, within=(), environment=None):
        self.data = str(data)
        self.preexec = preexec
        self.within = within
        self.environment = {**os.environ, **(environment or {})}
        self.arguments = arguments
        self.listen = "127.0.0.1:0"
        self.process = None
        self.errors = tempfile.TemporaryFile()
        self.start()

    def start(self):
        self.begin()
        self.await_address()

    def begin(self):
        """Starts the process; it may not serve yet."""
        self.process = subprocess.Popen([*self.within, SERVER, "--data", self.data, "--listen", self.listen, *self.arguments],
                                        stdout=subprocess.PIPE, stderr=self.errors, preexec_fn=self.preexec,
                                        env=self.environment)

    def await_address(self):
        line = self.first_line()
        match = re.fullmatch(rb"listening on (127\.0\.0\.1:\d+)\n", line)
        if match is None:
            self.process.kill()
            raise AssertionError(f"the server said {line!r} and {self.error_text()!r}")
        self.listen = match.group(1).decode()

    def first_line(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            return self.process.stdout.readline() if selector.select(DEADLINE_SECONDS) else b""

    @property
    def address(self):
        return self.listen

    def error_text(self):
        # The process writes at the file's position, and that place is shared: it must not move.
        file = self.errors.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")

    def kill(self):
        """SIGKILL: nothing is flushed, nobody is told."""
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)
        self.process.stdout.close()

    def terminate(self, number=signal.SIGTERM):
        """Asks the server to end; returns its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_SECONDS)
        self.process.stdout.close()
        return code

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.errors.close()


class Follower(Server):
    """A server that is one of three nodes and does not lead; the two others go with it.

    A second one of the same data finds the two others of the first. What a Server takes is of the one that does not lead.
    """

    others_of = {}

    def __init__(self, data, *arguments, **options):
        self.others = []
        if str(data) not in self.others_of:
            first = Server(f"{data}-a", *peer("bootstrap", "true", "a"))
            join = member_list(first.address)[0]["peer_address"]
            self.others = [first, Server(f"{data}-b", *peer("join", join, "b"))]
            self.others_of[str(data)] = first.address, join
        address, join = self.others_of[str(data)]
        super().__init__(data, *arguments, *peer("join", join, "c"), **options)
        await_voters(address, 3)

    def close(self):
        super().close()
        for other in self.others:
            other.close()


def peer(how, value, name):
    """Arguments of a node of a cluster that starts so."""
    settings = {"listen": "127.0.0.1:0", how: value, "name": name, "log_file": "8 MiB"}
    return [word for key, value in settings.items() for word in ("--set", f"cluster.{key}={value}")]


def member_list(address):
    done = cli(address, "member", "list", "--json")
    return json.loads(done.stdout) if done.returncode == 0 else []


def await_voters(address, count):
    """Until so many members vote and nothing keeps any of them from being well."""
    def there():
        members = member_list(address)
        return len(members) >= count and all(m["kind"] == "voter" and m["trouble"] == "" for m in members)
    wait_until(there, f"{count} voters are well")


def wait_until(condition, what):
    """For what another process does in its own time: looks again and again, and fails after the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain until {what}")
        # Looking costs processes of its own, and those who are looked at need the processor.
        time.sleep(0.01)


def let_pass(seconds):
    """For what only the time itself shows."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, "time has passed")


def ignore_children():
    """In a program that begins, as some supervisors have it: SIGCHLD is ignored."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


class ProgramTest(unittest.TestCase):
    """A test case with a scratch folder."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.scratch = pathlib.Path(self.folder.name)

    def write(self, name, data):
        path = self.scratch / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return str(path)

    def server(self, *arguments, **options):
        kind = Follower if SERVED_BY == "follower" else Server
        if SERVED_BY == "standalone":
            arguments = (*arguments, "--set", "server.mode=standalone")
        server = kind(self.scratch / "data", *arguments, **options)
        self.addCleanup(server.close)
        return server

    def standalone_server(self, *arguments, **options):
        """For what only a database of its own does."""
        server = Server(self.scratch / "data", "--set", "server.mode=standalone", *arguments, **options)
        self.addCleanup(server.close)
        return server
