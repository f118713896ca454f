"""The programs without their standard streams, or with streams that take nothing."""

import os
import pathlib
import signal
import subprocess
import sys
import unittest

import wire
from programs import CLI, DEADLINE_SECONDS, SERVER, ProgramTest, run, wait_until


def without_streams():
    for number in range(3):
        os.close(number)


def files_of(process):
    """The files of the descriptors of a process, by their numbers."""
    found = {}
    for entry in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except FileNotFoundError:  # closed meanwhile
            pass
    return found


class Closed(ProgramTest):
    def test_no_file_of_the_server_takes_the_number_of_a_standard_stream(self):
        data = self.scratch / "data"
        process = subprocess.Popen([SERVER, "--data", str(data), "--listen", "127.0.0.1:0"], preexec_fn=without_streams)
        self.addCleanup(process.kill)
        wait_until(lambda: any(name.startswith("socket:") for name in files_of(process).values()), "it listens")
        files = files_of(process)
        self.assertTrue(any(name.startswith(str(data)) for name in files.values()), files)
        for number in range(3):
            self.assertRegex(files[number], r"pipe:", files)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE_SECONDS), 0)

    def test_the_client_writes_no_value_into_its_connection(self):
        table = wire.Table()
        table.values[b"k"] = b"v"
        server = wire.ScriptedServer(table)
        self.addCleanup(server.close)
        for arguments, code in ((["get", "k"], 3), (["put", "k", "w"], 3), (["get", "absent"], 1), (["put"], 2)):
            done = subprocess.run([CLI, "--addr", server.address, *arguments], preexec_fn=without_streams, check=False,
                                  timeout=DEADLINE_SECONDS)
            self.assertEqual((arguments, done.returncode), (arguments, code))
        self.assertEqual(table.values[b"k"], b"w")


class Full(ProgramTest):
    def code(self, program, *arguments, **streams):
        with open("/dev/full", "wb") as full:
            streams = {name: full if stream == "full" else stream for name, stream in streams.items()}
            return subprocess.run([program, *arguments], check=False, timeout=DEADLINE_SECONDS, **streams).returncode

    def test_what_cannot_be_told_does_not_change_the_exit_code(self):
        server = wire.ScriptedServer(wire.Table())
        self.addCleanup(server.close)
        self.assertEqual(self.code(CLI, "--addr", server.address, "get", "absent", stderr="full"), 1)
        self.assertEqual(self.code(CLI, "bogus", stderr="full"), 2)
        self.assertEqual(self.code(CLI, "--addr", "127.0.0.1:1", "get", "k", stderr="full"), 3)
        self.assertEqual(self.code(CLI, "--addr", server.address, "load", "absent", stderr="full"), 2)
        self.assertEqual(self.code(SERVER, "--config", str(self.scratch / "absent"), stderr="full"), 2)
        file = self.write("file", "")
        self.assertEqual(self.code(SERVER, "--data", file + "/data", "--listen", "127.0.0.1:0", stderr="full"), 1)

    def test_a_text_of_the_server_that_cannot_be_written_is_a_failure(self):
        for flag in ("--help", "--version", "--show-config", "--check-config"):
            self.assertEqual((flag, self.code(SERVER, flag, stdout="full")), (flag, 1))

    def test_a_value_that_cannot_be_written_is_a_failure(self):
        table = wire.Table()
        server = wire.ScriptedServer(table)
        self.addCleanup(server.close)
        for value in (b"short", b"long" * 100_000):
            table.values[b"k"] = value
            self.assertEqual(self.code(CLI, "--addr", server.address, "get", "k", stdout="full"), 3)
            self.assertEqual(self.code(CLI, "--addr", server.address, stdout="full", stdin=subprocess.DEVNULL), 0)
            done = run(CLI, "--addr", server.address, "--raw", "get", "k")
            self.assertEqual((done.returncode, done.stdout), (0, value))
        self.assertEqual(self.code(CLI, "help", stdout="full"), 3)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
