"""What the packages bring to a system beside the programs: the unit, as systemd reads it, and the configuration."""

import pathlib
import re
import shutil
import sys
import unittest

from programs import SERVER, ProgramTest, need, run

PACKAGING = pathlib.Path(__file__).resolve().parents[2] / "packaging"
ANALYZE = shutil.which("systemd-analyze")


class Unit(ProgramTest):
    def setUp(self):
        super().setUp()
        need(ANALYZE is not None, "systemd-analyze")

    def unit(self):
        text = (PACKAGING / "bandb-server.service").read_text()
        self.assertIn("ExecStart=/usr/bin/bandb_server ", text)
        return self.write("bandb-server.service", text.replace("/usr/bin/bandb_server", SERVER))

    def verified(self, unit):
        done = run(ANALYZE, "verify", "--man=no", unit)
        return done.returncode, done.stdout + done.stderr

    def test_systemd_understands_every_line(self):
        unit = self.unit()
        self.assertEqual(self.verified(unit), (0, b""))
        # And would say so of a line that it does not.
        path = pathlib.Path(unit)
        path.write_text(path.read_text().replace("\nProtectClock=", "\nProtectKlock="))
        self.assertIn(b"ProtectKlock", self.verified(unit)[1])

    def test_it_may_do_little(self):
        done = run(ANALYZE, "security", "--offline=yes", "--threshold=20", self.unit())
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        self.assertRegex(done.stdout.decode(), r"Overall exposure level for bandb-server\.service: [01]\.\d")

    def test_what_a_watchdog_and_a_restart_go_by_is_what_the_documents_say(self):
        settings = dict(re.findall(r"^(\w+)=(.*)$", (PACKAGING / "bandb-server.service").read_text(), re.MULTILINE))
        self.assertEqual((settings["Type"], settings["WatchdogSec"]), ("notify", "60"))
        self.assertEqual(settings["RestartPreventExitStatus"], "2 3")


class Configuration(ProgramTest):
    def test_the_one_of_the_package_is_good_as_it_is_and_with_all_that_it_offers(self):
        text = (PACKAGING / "server.toml").read_text()
        self.assertEqual(run(SERVER, "--config", self.write("server.toml", text), "--check-config").returncode, 0)
        offered = re.sub(r"^# (\[\w+\]|\w+ = \"[^\"]*\"(?: +#.*)?)$", r"\1", text, flags=re.MULTILINE)
        self.assertGreater(offered.count("\n["), text.count("\n["))
        done = run(SERVER, "--config", self.write("offered.toml", offered), "--show-config")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"/var/backups/bandb", done.stdout)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
