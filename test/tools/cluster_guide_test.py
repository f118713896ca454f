"""Every file and command of docs/cluster.md, in its order, on machines that are folders and ports of this one."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import unittest

from cluster_fixture import free_addresses
from programs import BIN, DEADLINE_SECONDS, ProgramTest, Server, cli, need, wait_until

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

    def run_within(self, folder, line):
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(shlex.split(line), cwd=folder, capture_output=True, timeout=DEADLINE_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, f"{line}: {done.stderr}")

    def test_the_certificates_of_the_guide_let_nodes_in(self):
        need(shutil.which("openssl") is not None, "openssl")
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "docs/cluster.md").read_text(), re.DOTALL | re.MULTILINE)
        plain = [block for kind, block in blocks if kind == ""]
        (settings,) = [block for block in plain if block.startswith("[cluster]\ntls_ca")]
        (commands,) = [block for block in plain if block.startswith("openssl ")]
        authority, *of_node = commands.replace("\\\n", " ").splitlines()
        self.assertEqual(len(of_node), 2)
        keys = self.scratch / "authority"
        self.run_within(keys, authority)
        for block in [block for kind, block in blocks if kind == "toml"][:3]:
            self.assertIn("\ninsecure = true", block)
            self.write_file(re.sub(r"\ninsecure = true.*", "\n" + settings.split("\n", 1)[1].rstrip(), block))
            host = re.match(r"# (\S+):", block)[1]
            # What others dial here is not what they dial there.
            for line in of_node:
                self.run_within(keys, line.replace("10.0.0.1", "127.0.0.1"))
            for name in ("cluster-ca.crt", "node.crt", "node.key"):
                shutil.copy(keys / name, self.machine(host).folder / "etc/bandb" / name)
            self.run_line(self.machine(host), "bandb_server --config /etc/bandb/server.toml --check-config")
            self.run_line(self.machine(host), "bandb_server --config /etc/bandb/server.toml")
        self.await_well()
        first, *_, last = (machine.addresses["8080"] for machine in self.machines.values())
        self.assertEqual(cli(first, "put", "name", "Alice").returncode, 0)
        self.assertEqual(cli(last, "get", "name").stdout, b'"Alice"\n')


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
