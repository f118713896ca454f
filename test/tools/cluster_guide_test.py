"""Every file and command of docs/cluster.md, in its order, on machines that are folders and ports of this one."""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import unittest

from cluster_fixture import free_addresses
from programs import BIN, DEADLINE_SECONDS, ProgramTest, Server, cli, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNITS = tuple(path.stem for path in (ROOT / "packaging").glob("*.service"))


class Machine:
    """A folder in place of /, two ports in place of 8080 and 7400, and one server, which its systemd knows."""

    def __init__(self, folder, host):
        self.folder = folder
        self.host = host
        self.addresses = dict(zip(("8080", "7400"), free_addresses(2)))
        self.server = None


class Guided(Server):
    def __init__(self, command, address):
        self.command = command
        self.address_given = address
        super().__init__("")

    def begin(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.errors)


class Guide(ProgramTest):
    def setUp(self):
        super().setUp()
        self.machines = {}

    def machine(self, host):
        if host not in self.machines:
            self.machines[host] = Machine(self.scratch / host, host)
        return self.machines[host]

    def here(self, text, machine):
        """The text with addresses and paths as they are here."""
        text = re.sub(r"(10\.0\.0\.\d):(8080|7400)", lambda found: self.machine(found[1]).addresses[found[2]], text)
        return re.sub(r"(?<![\w.])/(etc|var)/", lambda found: f"{machine.folder}/{found[1]}/", text)

    def write_file(self, block):
        host, path = re.fullmatch(r"# (10\.0\.0\.\d): (\S+)", block.splitlines()[0]).groups()
        machine = self.machine(host)
        path = pathlib.Path(self.here(path, machine))
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in ("var/lib", "var/backups"):
            (machine.folder / folder).mkdir(parents=True, exist_ok=True)
        path.write_text(self.here(block, machine))

    def serve(self, machine, words):
        if machine.server is None:
            machine.server = Guided(words, machine.addresses["8080"])
            self.addCleanup(machine.server.close)
        else:
            machine.server.command = words
            machine.server.start()

    def systemctl(self, machine, action, *units):
        self.assertEqual(units, UNITS)
        if action in ("stop", "restart"):
            self.assertEqual(machine.server.terminate(), 0, machine.server.error_text())
        if action in ("start", "restart"):
            machine.server.start()

    def run_line(self, machine, line):
        words = shlex.split(self.here(line, machine))
        output = None
        if ">" in words:
            words, output = words[:-2], pathlib.Path(words[-1])
        if words[0] == "bandb_server" and "--check-config" not in words:
            return self.serve(machine, [str(BIN / words[0]), *words[1:]])
        if words[:1] == ["systemctl"]:
            return self.systemctl(machine, *words[1:])
        done = subprocess.run(words, capture_output=True, timeout=DEADLINE_SECONDS, check=False,
                              env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"})
        self.assertEqual(done.returncode, 0, f"{line}: {done.stdout} {done.stderr}")
        if output is not None:
            output.write_bytes(done.stdout)
        if words[0] == "bandb" and "get" in words:
            self.assertEqual(done.stdout, b'"Alice"\n', line)
        return None

    def await_well(self):
        """As the guide has the operator do: all members vote and are well, seen by the leader."""
        running = [m for m in self.machines.values() if m.server is not None and m.server.process.poll() is None]
        if not running:
            return

        def well():
            states = [cli(machine.addresses["8080"], "status").stdout.decode() for machine in running]
            serving = [state for state in states if "health   ok" in state]
            leading = [state.splitlines()[8:] for state in serving if "(leader)" in state]
            return len(leading) == 1 and len(leading[0]) == len(serving) and all(
                " voter " in line and line.endswith(" -") for line in leading[0])
        wait_until(well, "all is well")

    def test_the_guide_does_what_it_says(self):
        document = (ROOT / "docs/cluster.md").read_text()
        blocks = re.findall(r"```(toml|sh)\n(.*?)```", document, re.DOTALL)
        self.assertGreater(len(blocks), 8)
        for kind, block in blocks:
            if kind == "toml":
                self.write_file(block)
                continue
            for line in block.splitlines():
                if line.startswith("# "):
                    machine = self.machine(line[2:])
                    continue
                self.run_line(machine, line)
                if "remove" not in line and " stop" not in line and "rm " not in line:
                    self.await_well()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
