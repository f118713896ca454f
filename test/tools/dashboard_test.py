"""The page for operators, as a browser draws it.

BANDB_DASHBOARD_PICTURE=FILE.png in the environment has it drawn into a file besides.
"""

import html
import os
import re
import shutil
import subprocess
import unittest

from admin_test import ServerWithAdmin
from cluster_fixture import Node, Trio
from programs import BENCH, ProgramTest, cli, need, run, wait_until

BROWSER = shutil.which("chromium")


class NodeWithAdmin(ServerWithAdmin, Node):
    """A node that has the page, too."""


class TrioWithAdmin(Trio):
    kind = NodeWithAdmin


class Dashboard(ProgramTest):
    def setUp(self):
        super().setUp()
        need(BROWSER is not None, "chromium")

    def browse(self, address, *flags):
        """What the browser makes of the page after some seconds of its own time."""
        done = run(BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                   "--disable-background-networking", "--disable-dev-shm-usage", f"--user-data-dir={self.scratch / 'browser'}",
                   "--enable-logging=stderr", "--window-size=1100,900", *flags, f"http://{address}/")
        self.assertEqual(done.returncode, 0, done.stderr)
        # What the page itself has to say is a mistake in it.
        self.assertNotIn(b"CONSOLE", done.stderr)
        return done.stdout.decode()

    def draw(self, address):
        return self.browse(address, "--virtual-time-budget=4500", "--dump-dom")

    def draw_under_load(self, node, picture):
        load = subprocess.Popen([BENCH, "net", "--addr", node.address, "--duration", "40", "--depth", "16", "--keys", "200000"],
                                stdout=subprocess.DEVNULL)
        self.browse(node.admin, "--virtual-time-budget=60000", f"--screenshot={picture}")
        load.kill()
        load.wait()

    def row(self, page, table, name):
        """The cell beside the one of this name."""
        rows = re.search(rf'<table id="{table}">(.*?)</table>', page, re.DOTALL).group(1)
        found = dict(re.findall(r"<tr><td>(.*?)</td><td[^>]*>(.*?)</td></tr>", rows))
        self.assertIn(name, found)
        return html.unescape(found[name])

    def test_a_leader_shows_what_clients_do_and_who_is_there(self):
        trio = TrioWithAdmin(self, "admin.listen=127.0.0.1:0")
        trio.lead("a")
        trio.await_well()
        node = trio["a"]
        lines = "".join(f"put key{i:05} {'v' * 100}\n" for i in range(2000))
        self.assertEqual(cli(node.address, input=lines.encode()).returncode, 0)
        for command in (["flush"], ["get", "key00001"], ["get", "nothing"]):
            cli(node.address, *command)
        picture = os.environ.get("BANDB_DASHBOARD_PICTURE")
        if picture is not None:
            self.draw_under_load(node, picture)
        page = self.draw(node.admin)
        self.assertIn('<span id="state" class="">ready</span>', page)
        self.assertRegex(page, r'<b id="writes">[\d,]+</b>')
        self.assertRegex(page, r'<svg id="requests".*?<polyline points="[\d., ]+"')
        self.assertRegex(page, r'<svg id="levels".*?<rect ')
        self.assertRegex(page, r'<div id="levels-text">L\d: \d+ tables?, ')
        self.assertGreaterEqual(int(self.row(page, "read-path", "keys looked up").replace(",", "")), 2)
        self.assertRegex(self.row(page, "memory", "store"), "^[0-9.]+ [KM]iB of [0-9.]+ [MG]iB$")
        self.assertEqual(self.row(page, "cluster", "health"), "ok")
        self.assertEqual(self.row(page, "cluster", "leader"), "a")
        self.assertRegex(self.row(page, "cluster", "a"), r"^voter, leads, this node · log [\d,]+$")
        self.assertRegex(self.row(page, "cluster", "b"), r"^voter · log [\d,]+$")
        self.assertRegex(self.row(page, "latency", "put (bandb)"), r"^[\d.]+ ms, [\d.]+ ms, [\d.]+ ms$")
        # And what is wrong.
        trio["c"].close()
        wait_until(lambda: any(not member["connected"] for member in trio.status("a")["members"]), "c is missed")
        page = self.draw(node.admin)
        self.assertRegex(page, r'<td>c</td><td class="bad">voter · .+</td>')

    def test_a_standalone_server_has_no_cluster_to_show(self):
        config = self.write("server.toml", '[server]\nmode = "standalone"\n[admin]\nlisten = "127.0.0.1:0"\n')
        server = ServerWithAdmin(self.scratch / "data", "--config", config)
        self.addCleanup(server.close)
        page = self.draw(server.admin)
        self.assertIn('<span id="state" class="">ready</span>', page)
        self.assertIn('<section id="cluster-section" hidden="">', page)


if __name__ == "__main__":
    unittest.main()
