"""The main job: real log lines go in, the process is killed several times on the way, and every line comes out.

Over TCP, `bandb load` feeds a server; in-process, main_job_db feeds a database. BANDB_MAIN_JOB_LINES says how many lines;
the default keeps continuous integration quick, 1000000 is the full job.
"""

import os
import subprocess
import sys
import threading
import unittest

import real_lines
import wire
from programs import BIN, CLI, DEADLINE_SECONDS, ProgramTest, run, wait_until

LINES = int(os.environ.get("BANDB_MAIN_JOB_LINES", "30000"))
KILLS = 5
INGEST = str(BIN / "main_job_db")


def key_of(number):
    return b"line:%012d" % number


class Feeder(threading.Thread):
    """Writes lines into a pipe and closes it, as far as it is allowed to at a time."""

    def __init__(self, pipe, lines):
        super().__init__(daemon=True)
        self.pipe = pipe
        self.lines = lines
        self.allowed = 0
        self.changed = threading.Condition()

    def allow(self, count):
        with self.changed:
            self.allowed = count
            self.changed.notify()

    def run(self):
        with self.pipe:
            written = 0
            while written < len(self.lines):
                with self.changed:
                    self.changed.wait_for(lambda: self.allowed > written)
                    upto = min(self.allowed, written + 1000)
                self.pipe.write(b"".join(line + b"\n" for line in self.lines[written:upto]))
                self.pipe.flush()
                written = upto


class MainJob(ProgramTest):
    def setUp(self):
        super().setUp()
        self.lines = real_lines.collect(LINES)
        self.file = self.write("lines", b"\n".join(self.lines) + b"\n")

    def test_over_tcp_nothing_acknowledged_is_lost(self):
        server = self.server()
        load = subprocess.Popen([CLI, "--addr", server.address, "load", "--retry-for", "100", "-"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(load.kill)
        feeder = Feeder(load.stdin, self.lines)
        feeder.start()
        for kill in range(KILLS):
            mark = LINES * (kill + 1) // (KILLS + 1)
            # However quick the machine: some lines after the mark are held back until the server was killed.
            feeder.allow(mark + LINES // (2 * KILLS))
            wait_until(lambda: list(wire.get_many(server.address, [key_of(mark)])) != [None], f"line {mark} is in")
            server.kill()
            server.start()
        feeder.allow(LINES)
        feeder.join(DEADLINE_SECONDS + LINES / 1000)
        load.stdin = None
        output, errors = load.communicate(timeout=DEADLINE_SECONDS + LINES / 1000)
        self.assertEqual((load.returncode, errors), (0, b""))
        self.assertIn(f"loaded {LINES:,} lines".encode(), output)
        self.assertIn(f"reconnected {KILLS} times".encode(), output)
        # Once more, now that every line is acknowledged.
        server.kill()
        server.start()
        found = wire.get_many(server.address, [key_of(i + 1) for i in range(LINES)])
        lost = [i for i, (line, value) in enumerate(zip(self.lines, found)) if line != value]
        self.assertEqual(lost, [], f"{len(lost)} lines are lost or wrong")
        self.assertEqual(server.terminate(), 0)

    def test_in_process_nothing_acknowledged_is_lost(self):
        data = str(self.scratch / "db")
        acknowledged = 0
        for kill in range(KILLS):
            mark = LINES * (kill + 1) // (KILLS + 1)
            process = subprocess.Popen([INGEST, "put", data, self.file, str(acknowledged)], stdout=subprocess.PIPE)
            while acknowledged < mark:
                said = process.stdout.readline()
                self.assertNotEqual(said, b"", "the database stopped before it was killed")
                acknowledged = int(said)
            process.kill()
            # What it managed to say before it died counts as acknowledged, too; a last half line does not.
            rest = process.stdout.read()
            whole = rest[:rest.rfind(b"\n") + 1].split()
            acknowledged = int(whole[-1]) if whole else acknowledged
            process.stdout.close()
            process.wait(DEADLINE_SECONDS)
            self.assertGreaterEqual(self.prefix(data), acknowledged)
        done = run(INGEST, "put", data, self.file, str(acknowledged))
        self.assertEqual((done.returncode, done.stdout.split()[-1]), (0, b"%d" % LINES))
        self.assertEqual(self.prefix(data), LINES)

    def prefix(self, data):
        """How many lines the database holds; fails if they are not the first ones, each whole."""
        done = run(INGEST, "verify", data, self.file)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return int(done.stdout)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
