"""The listener for an operator's programs, of bandb_server as a process."""

import json
import re
import unittest
import urllib.error
import urllib.request

from programs import DEADLINE_SECONDS, SERVER, ProgramTest, Server, cli, run


class ServerWithAdmin(Server):
    """Reads the line that names the listener, too."""

    def first_line(self):
        line = super().first_line()
        match = re.fullmatch(rb"admin on (127\.0\.0\.1:\d+)\n", line)
        if match is None:
            return line
        self.admin = match.group(1).decode()
        # Both lines are written at once.
        return self.process.stdout.readline()


class Admin(ProgramTest):
    def admin_server(self, more="", preexec=None):
        config = self.write("server.toml", '[admin]\nlisten = "127.0.0.1:0"\n' + more)
        server = ServerWithAdmin(self.scratch / "data", "--config", config, preexec=preexec)
        self.addCleanup(server.close)
        return server

    def ask(self, server, path):
        try:
            with urllib.request.urlopen(f"http://{server.admin}{path}", timeout=DEADLINE_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def test_figures_follow_what_clients_do(self):
        server = self.admin_server()
        for i in range(3):
            self.assertEqual(cli(server.address, "put", f"key{i}", "v").returncode, 0)
        self.assertEqual(cli(server.address, "get", "key1").returncode, 0)
        status, metrics = self.ask(server, "/metrics")
        self.assertEqual(status, 200)
        self.assertIn("\nbandb_server_write_operations_total 3\n", metrics)
        self.assertIn("\nbandb_store_operations_written_total 3\n", metrics)
        status, text = self.ask(server, "/stats")
        stats = json.loads(text)
        self.assertEqual((status, stats["server"]["reads"], stats["store"]["last_sequence"]), (200, 1, 3))
        self.assertEqual(self.ask(server, "/livez"), (200, "ok\n"))
        self.assertEqual(self.ask(server, "/readyz"), (200, "ok\n"))
        status, page = self.ask(server, "/")
        self.assertEqual(status, 200)
        # All that the page asks for is there, and it asks nobody else.
        for path in re.findall(r'fetch\("([^"]*)"\)', page):
            self.assertEqual(self.ask(server, "/" + path)[0], 200)
        self.assertNotRegex(page, r"(src|href)\s*=|https?://(?!www\.w3\.org/2000/svg)")
        for group, name in set(re.findall(r"\b(server|store|cluster)\.([a-z_0-9]+)", page)):
            self.assertIn(name, stats[group])
        self.assertEqual(server.terminate(), 0, server.error_text())

    def test_a_mistake_is_told_with_its_line_before_anything_is_touched(self):
        for text, message in (('[admin]\nlisten = "0.0.0.0:0"\n', ":2: admin.listen is 0.0.0.0:0, which others can reach"),
                              ('[admin]\nlisten = "nothing"\n', ":2: admin.listen is"),
                              ('[admin]\nlisten = 5\n', ":2: admin.listen takes"),
                              ('[admin]\nlistn = ""\n', "did you mean")):
            config = self.write("bad.toml", text)
            result = run(SERVER, "--config", config, "--data", str(self.scratch / "none"))
            self.assertEqual(result.returncode, 2, result)
            self.assertIn(message, result.stderr.decode())
            self.assertFalse((self.scratch / "none").exists())

    def test_without_the_section_there_is_no_such_listener(self):
        server = self.server()
        self.assertNotIn("admin", server.error_text())
        shown = run(SERVER, "--show-config").stdout.decode()
        self.assertIn('[admin]\nlisten = ""\ninsecure = false\n', shown)
        config = self.write("shown.toml", shown)
        self.assertEqual(run(SERVER, "--config", config, "--show-config").stdout.decode(), shown)

    def test_an_address_that_is_taken_ends_the_start(self):
        server = self.admin_server()
        config = self.write("second.toml", f'[admin]\nlisten = "{server.admin}"\n')
        result = run(SERVER, "--config", config, "--data", str(self.scratch / "other"), "--listen", "127.0.0.1:0")
        self.assertEqual(result.returncode, 1, result)
        self.assertIn("cannot listen for operators", result.stderr.decode())


if __name__ == "__main__":
    unittest.main()
