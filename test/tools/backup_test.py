"""bandb backup: made by a server and without one, restored, pruned, damaged; and what is told when it cannot be."""

import json
import os
import unittest

from client_fixture import ClientTest
from programs import CLI, Server, cli, run


class Backups(ClientTest):
    def setUp(self):
        super().setUp()
        self.repo = str(self.scratch / "repo")

    def standalone(self, *settings):
        arguments = [part for setting in ("server.mode=standalone", *settings) for part in ("--set", setting)]
        server = Server(str(self.scratch / "data"), *arguments)
        self.addCleanup(server.close)
        return server

    def backup(self, *arguments, code=0):
        done = run(CLI, "backup", *arguments)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        return done

    def list(self):
        return [json.loads(line) for line in self.backup("list", "--repo", self.repo, "--json").stdout.splitlines()]

    def restored(self, number):
        into = str(self.scratch / f"restored-{number}")
        self.assertEqual(self.backup("restore", "--repo", self.repo, "--number", str(number), "--into", into).stdout, b"restored\n")
        return run(CLI, "export", "--data", into, "--out", "-").stdout

    def test_a_server_backs_up_while_it_serves_and_each_backup_restores(self):
        server = self.standalone(f"storage.backups={self.repo}")
        absent = cli(server.address, "backup", "create")
        self.assertEqual(absent.returncode, 3)
        self.assertIn(b"is not there", absent.stderr)
        os.mkdir(self.repo)
        states = []
        for i in range(3):
            self.check(cli(server.address, "put", f"key{i}", f"value{i}"), 0, b"OK\n")
            states.append(cli(server.address, "export", "--out", "-").stdout)
            done = cli(server.address, "backup", "create")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(f"backup {i + 1}: sequence ".encode(), done.stdout)
        self.assertEqual([entry["number"] for entry in self.list()], [1, 2, 3])
        self.assertEqual([entry["tables"] for entry in self.list()], [1, 2, 3])
        self.assertEqual(self.backup("verify", "--repo", self.repo).stdout, b"every byte is as it was stored\n")
        for i in range(3):
            self.assertEqual(self.restored(i + 1), states[i])
        self.backup("prune", "--repo", self.repo, "--keep", "1")
        self.assertEqual([entry["number"] for entry in self.list()], [3])
        self.backup("verify", "--repo", self.repo)

    def test_without_a_server_and_what_stands_in_the_way(self):
        data = str(self.scratch / "data")
        entries = b'{"key": "a", "value": "1"}\n'
        self.assertEqual(run(CLI, "import", "--data", data, "-", input=entries).returncode, 0)
        made = json.loads(self.backup("create", "--data", data, "--repo", self.repo, "--json").stdout)
        self.assertEqual((made["number"], made["tables"]), (1, 1))
        self.assertEqual(self.restored(1), entries)
        missing = self.backup("create", "--data", str(self.scratch / "nothing"), "--repo", self.repo, code=1)
        self.assertFalse(os.path.exists(str(self.scratch / "nothing")), missing.stderr)
        self.backup("restore", "--repo", self.repo, "--number", "7", "--into", str(self.scratch / "x"), code=1)
        self.backup("restore", "--repo", self.repo, "--into", data, code=3)
        self.backup("list", "--repo", str(self.scratch / "nowhere"), code=1)
        table = next((self.scratch / "repo" / "tables").iterdir())
        content = bytearray(table.read_bytes())
        content[len(content) // 2] ^= 1
        table.write_bytes(content)
        damaged = self.backup("verify", "--repo", self.repo, code=3)
        self.assertIn(str(table).encode(), damaged.stderr)
        into = str(self.scratch / "y")
        self.backup("restore", "--repo", self.repo, "--into", into, code=3)
        self.assertFalse(os.path.exists(into))

    def test_a_backup_without_a_server_takes_nothing_from_the_change_feed(self):
        server = self.standalone("storage.changes_keep_bytes=64 MiB")
        self.check(cli(server.address, "cursors", "create", "reader"), 0, b"OK\n")
        self.check(cli(server.address, "put", "key", "value"), 0, b"OK\n")
        self.check(cli(server.address, "flush"), 0, b"flushed\n")
        self.assertEqual(server.terminate(), 0)
        self.backup("create", "--data", server.data, "--repo", self.repo)
        server.start()
        seen = cli(server.address, "watch", "--cursor", "reader", "--count", "1", "--json")
        self.assertEqual((seen.returncode, json.loads(seen.stdout)["key"]), (0, "key"), seen.stderr)

    def test_what_makes_no_sense_exits_with_2(self):
        for arguments in ((), ("create", "--repo", self.repo), ("create", "--data", "x"), ("list",), ("prune", "--repo", self.repo),
                          ("prune", "--repo", self.repo, "--keep", "0"), ("restore", "--repo", self.repo), ("keep",)):
            self.backup(*arguments, code=2)

    def test_a_server_says_why_it_makes_none(self):
        server = self.standalone()
        none = cli(server.address, "backup", "create")
        self.assertEqual((none.returncode, none.stdout), (3, b""))
        self.assertIn(b"storage.backups", none.stderr)
        node = Server(str(self.scratch / "node"))
        self.addCleanup(node.close)
        of_cluster = cli(node.address, "backup", "create")
        self.assertEqual(of_cluster.returncode, 3)
        self.assertIn(b"standalone", of_cluster.stderr)


if __name__ == "__main__":
    unittest.main()
