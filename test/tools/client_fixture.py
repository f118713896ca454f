"""What the tests of bandb share: a server that answers as a test says, and a terminal."""

import os
import pty
import selectors
import time

import wire
from programs import DEADLINE_SECONDS, ProgramTest, wait_until


class ClientTest(ProgramTest):
    def serve(self, answer):
        server = wire.ScriptedServer(answer)
        self.addCleanup(server.close)
        return server

    def check(self, done, code, output=b"", errors=b""):
        self.assertEqual((done.returncode, done.stdout, done.stderr), (code, output, errors))


class Terminal:
    """A program at a pseudo-terminal."""

    def __init__(self, command):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(command[0], command)
        self.seen = b""

    def at_prompt(self, keys):
        """Types when the editor listens: what is typed earlier meets a terminal that gives keys another meaning."""
        self.expect(b"> ")
        os.write(self.descriptor, keys)

    def expect(self, text):
        end = time.monotonic() + DEADLINE_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.descriptor, selectors.EVENT_READ)
            while text not in self.seen:
                if not selector.select(end - time.monotonic()):
                    raise AssertionError(f"expected {text!r}, saw {self.seen!r}")
                try:
                    self.seen += os.read(self.descriptor, 4096)
                except OSError as error:
                    raise AssertionError(f"expected {text!r}, saw {self.seen!r} and the end") from error
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def wait(self):
        ended = []

        def has_ended():
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            ended.append(status)
            return pid != 0

        wait_until(has_ended, "the program has ended")
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(ended[-1])
