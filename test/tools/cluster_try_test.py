"""bandb cluster try: nodes that are started, shown, stopped, killed and started again on this machine."""

import os
import re
import signal
import socket
import subprocess
import sys
import unittest

from programs import CLI, DEADLINE_SECONDS, ProgramTest, cli, ignore_children, run, wait_until


class Try(ProgramTest):
    def base(self):
        """A port that is free, as are the two after it and those for peers; below those that the system gives out."""
        for base in range(10_000 + os.getpid() % 1000 * 20, 31_000, 10):
            try:
                for port in (base, base + 1, base + 2, base + 1000, base + 1001, base + 1002):
                    socket.create_server(("127.0.0.1", port)).close()
                return base
            except OSError:
                continue
        raise AssertionError("no ports are free")

    def begin(self, base, preexec_fn=None):
        trial = subprocess.Popen([CLI, "cluster", "try", "--nodes", "3", "--dir", str(self.scratch / "try"), "--port", str(base)],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 preexec_fn=preexec_fn)
        for stream in (trial.stdin, trial.stdout, trial.stderr):
            self.addCleanup(stream.close)
        self.addCleanup(trial.wait)
        self.addCleanup(trial.kill)
        return trial

    def test_nodes_come_and_go_and_the_data_stays(self):
        base = self.base()
        trial = self.begin(base)
        first = trial.stdout.readline().decode()
        self.assertEqual(first, f"n0  127.0.0.1:{base}  runs\n", first or trial.stderr.read().decode())
        self.assertEqual(cli(f"127.0.0.1:{base + 2}", "put", "name", "Alice").stdout, b"OK\n")
        out, errors = trial.communicate(b"kill 0\nawait\nstatus\nstart n0\nawait\nstop 1\nawait\nstatus\nstop 1\nnonsense\nstart 9\nquit\n",
                                        timeout=DEADLINE_SECONDS)
        self.assertEqual(trial.returncode, 3, errors)
        text = out.decode()
        self.assertEqual(text.count("OK\n"), 6, text)
        self.assertIn(f"n0  127.0.0.1:{base}  does not run\n", text)
        self.assertIn(f"n1  127.0.0.1:{base + 1}  does not run\n", text)
        self.assertEqual(len(re.findall(r"^leader   n\d$", text, re.MULTILINE)), 2, text)
        self.assertEqual(errors.decode().splitlines(), ["(error) n1 does not run"] + 2 * [
            "(error) commands are status, stop N, kill N, start N, await, quit; nodes 0 to 2"])
        # What is there goes on.
        again = self.begin(base, preexec_fn=ignore_children)
        self.assertNotEqual(again.stdout.readline(), b"", "it has started")
        self.assertEqual(cli(f"127.0.0.1:{base}", "get", "name").stdout, b'"Alice"\n')
        self.assertEqual(again.communicate(b"", timeout=DEADLINE_SECONDS)[1], b"")
        self.assertEqual(again.returncode, 0)

    def test_the_nodes_end_with_it(self):
        base = self.base()
        trial = self.begin(base)
        self.assertNotEqual(trial.stdout.readline(), b"", "it has started")
        children = [int(pid) for pid in run("ps", "-o", "pid=", "--ppid", str(trial.pid)).stdout.split()]
        self.assertEqual(len(children), 3)
        trial.send_signal(signal.SIGKILL)

        def all_gone():
            for child in children:
                try:
                    os.kill(child, 0)
                    with open(f"/proc/{child}/stat", encoding="ascii") as stat:
                        if stat.read().split()[2] != "Z":
                            return False
                except (ProcessLookupError, FileNotFoundError):
                    continue
            return True
        wait_until(all_gone, "the nodes have ended")

    def test_what_cannot_be_is_refused(self):
        for arguments in ([], ["try"], ["try", "--dir", "x", "--nodes", "0"], ["try", "--dir", "x", "--port", "80"], ["bogus"]):
            self.assertEqual(run(CLI, "cluster", *arguments).returncode, 2, arguments)
        self.assertIn(b"kill N", run(CLI, "cluster", "try", "--help").stdout)
        self.assertIn(b"cluster try", run(CLI, "help").stdout)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
