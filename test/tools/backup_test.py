"""bandb backup: made by a server and without one, restored, pruned, damaged; and what is told when it cannot be."""

import json
import os
import shutil
import unittest

from client_fixture import ClientTest
from programs import CLI, SERVER, Server, cli, ignore_children, run


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
        done = self.backup("restore", "--repo", self.repo, "--number", str(number), "--into", into)
        self.assertIn(f"from backup {number} and 0 logs\n".encode(), done.stdout)
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
                          ("prune", "--repo", self.repo, "--keep", "0"), ("restore", "--repo", self.repo), ("keep",), ("create", "--logs"),
                          ("copy", "--repo", self.repo)):
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
        self.assertIn(b"storage.backups", of_cluster.stderr)

    def test_any_state_between_two_backups_of_a_server(self):
        os.mkdir(self.repo)
        server = self.standalone(f"storage.backups={self.repo}", "storage.backup_logs=true", "storage.changes_keep_bytes=64 MiB")
        self.check(cli(server.address, "put", "key", "0"), 0, b"OK\n")
        self.assertEqual(cli(server.address, "backup", "create").returncode, 0)
        for i in range(1, 6):
            self.check(cli(server.address, "put", "key", str(i)), 0, b"OK\n")
        made = cli(server.address, "backup", "create")
        self.assertRegex(made.stdout, rb"; 1 logs, from sequence \d+ on")
        newest = self.list()[-1]
        self.assertFalse(newest["hole"])
        self.assertGreaterEqual(newest["sequence"] - newest["from_sequence"], 5)
        first = newest["from_sequence"]
        values = set()
        for sequence in range(first, newest["sequence"] + 1):
            into = str(self.scratch / f"at-{sequence}")
            planned = self.backup("restore", "--repo", self.repo, "--to-sequence", str(sequence), "--dry-run").stdout
            self.assertFalse(os.path.exists(into))
            done = self.backup("restore", "--repo", self.repo, "--to-sequence", str(sequence), "--into", into).stdout
            self.assertEqual(planned.replace(b"would restore", b"restored"), done)
            values.add(json.loads(run(CLI, "export", "--data", into, "--out", "-").stdout)["value"])
        self.assertEqual(values, {str(i) for i in range(6)})
        into = str(self.scratch / "by-time")
        self.backup("restore", "--repo", self.repo, "--to-time", newest["to_time"], "--into", into)
        self.assertEqual(json.loads(run(CLI, "export", "--data", into, "--out", "-").stdout)["value"], "5")
        self.backup("restore", "--repo", self.repo, "--to-time", "yesterday", "--dry-run", code=3)
        self.backup("restore", "--repo", self.repo, "--to-time", "2001-01-01T00:00:00Z", "--dry-run", code=3)

    def test_files_are_handed_to_a_command_once_and_again_where_it_failed(self):
        data = str(self.scratch / "data")
        there = self.scratch / "there $(touch x); 'y"
        command = 'mkdir -p "$(dirname "$THERE/$BANDB_NAME")" && cp "$BANDB_FILE" "$THERE/$BANDB_NAME" && echo "$BANDB_NAME"'
        os.environ["THERE"] = str(there)
        self.addCleanup(os.environ.pop, "THERE")
        for i in range(2):
            run(CLI, "import", "--data", data, "-", input=b'{"key": "%d", "value": "1"}\n' % i)
            self.backup("create", "--data", data, "--repo", self.repo)
        failed = self.backup("copy", "--repo", self.repo, "--exec", command + ' && case "$BANDB_NAME" in *000002.backup) exit 7;; esac', code=3)
        self.assertIn(b"000002.backup", failed.stderr)
        self.assertIn(b"exit code 7", failed.stderr)
        done = self.backup("copy", "--repo", self.repo, "--exec", command).stdout.decode().splitlines()
        self.assertEqual(done[-2:], ["backups/000002.backup", "1 backups copied"])
        self.assertFalse(any("000001" in name for name in done))
        self.assertEqual(self.backup("copy", "--repo", self.repo, "--exec", "false").stdout, b"0 backups copied\n")
        # Also where what became of children is not told by itself.
        shutil.rmtree(os.path.join(self.repo, "handed"))
        unasked = run(CLI, "backup", "copy", "--repo", self.repo, "--exec", "exit 7", preexec_fn=ignore_children)
        self.assertEqual(unasked.returncode, 3)
        self.assertIn(b"exit code 7", unasked.stderr)
        unasked = run(CLI, "backup", "copy", "--repo", self.repo, "--exec", command, preexec_fn=ignore_children)
        self.assertIn(b"2 backups copied", unasked.stdout)
        self.backup("verify", "--repo", str(there))
        into = str(self.scratch / "from-there")
        self.backup("restore", "--repo", str(there), "--into", into)
        self.assertEqual(len(run(CLI, "export", "--data", into, "--out", "-").stdout.splitlines()), 2)

    def test_what_goes_wrong_within_a_copy_is_a_failure_and_no_lack_of_backups(self):
        data = str(self.scratch / "data")
        self.backup("copy", "--repo", self.repo, "--exec", "true", code=1)
        for i in range(2):
            run(CLI, "import", "--data", data, "-", input=b'{"key": "%d", "value": "1"}\n' % i)
            self.backup("create", "--data", data, "--repo", self.repo)
        gone = self.backup("copy", "--repo", self.repo, "--exec", f"rm -f {self.repo}/backups/000002.backup", code=3)
        self.assertIn(b"000002.backup", gone.stderr)

    def test_a_node_refuses_at_its_start_to_back_up_logs(self):
        done = run(SERVER, "--data", str(self.scratch / "node"), "--set", "storage.backup_logs=true")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(b"storage.backup_logs", done.stderr)

    def test_a_node_is_backed_up_and_restored_as_a_database_and_as_another_cluster(self):
        os.mkdir(self.repo)
        node = Server(str(self.scratch / "node"), "--set", f"storage.backups={self.repo}")
        self.addCleanup(node.close)
        self.check(cli(node.address, "put", "key", "value"), 0, b"OK\n")
        for _ in range(2):
            made = cli(node.address, "backup", "create")
            self.assertEqual((made.returncode, made.stderr), (0, b""))
        self.assertEqual([entry["number"] for entry in self.list()], [1, 2])
        self.assertEqual(self.list()[0]["tables"], 1)
        self.check(cli(node.address, "put", "key", "later"), 0, b"OK\n")
        self.assertEqual(json.loads(self.restored(1))["value"], "value")
        self.assertEqual(node.terminate(), 0)
        again = Server(str(self.scratch / "restored-1"))
        self.addCleanup(again.close)
        self.check(cli(again.address, "get", "key"), 0, b'"value"\n')


if __name__ == "__main__":
    unittest.main()
