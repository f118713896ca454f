"""bandb watch and bandb cursors as processes: what is printed, acknowledged, and gone on from after a kill."""

import json
import re
import selectors
import signal
import subprocess
import unittest

from cluster_fixture import Trio
from programs import CLI, DEADLINE_SECONDS, ProgramTest, Server, cli, wait_until

KEEP = ("--set", "storage.changes_keep_bytes=64 MiB")


class Watcher:
    """A bandb watch whose lines are taken one by one."""

    def __init__(self, server, *arguments):
        # Unbuffered: what is waited for must not lie in a buffer already.
        self.process = subprocess.Popen([CLI, "--addr", server.address, "watch", *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0)

    def line(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(DEADLINE_SECONDS):
                raise AssertionError("no line came")
            return self.process.stdout.readline().decode()

    def end(self):
        """The exit code, the rest of the output, and the messages."""
        output, errors = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, output.decode(), errors.decode()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_SECONDS)
        self.process.stdout.close()
        self.process.stderr.close()


def token_of(errors):
    return re.search(r"to go on: --from ([0-9a-f]+)\n", errors).group(1)


class FeedTest(ProgramTest):
    def watcher(self, server, *arguments):
        watcher = Watcher(server, *arguments)
        self.addCleanup(watcher.close)
        return watcher

    def do(self, server, *arguments, code=0):
        done = cli(server.address, *arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def lines(self, server, *arguments, code=0):
        return self.do(server, "watch", *arguments, code=code).stdout.decode().splitlines()


class EveryFeed:
    """What holds of every server; `feed_server` starts one."""

    def test_prints_what_was_written_as_it_was_written(self):
        server = self.feed_server()
        self.do(server, "put", "user:1", "Alice")
        self.do(server, "put", "other", "x")
        self.do(server, "delete", "user:1")
        self.do(server, "delete", "--prefix", "user:", "--yes")
        self.assertEqual(self.lines(server, "--from", "oldest", "--count", "4"),
                         ['put\t"user:1"\t"Alice"', 'put\t"other"\t"x"', 'delete\t"user:1"',
                          'delete-range\t"user:"\t"user;"'])
        enough = self.do(server, "watch", "--from", "oldest", "--count", "3").stderr.decode()
        self.assertEqual(self.lines(server, "--from", token_of(enough), "--count", "1"),
                         ['delete-range\t"user:"\t"user;"'])
        changes = [json.loads(line) for line in self.lines(server, "user:", "--from", "oldest", "--json", "--count", "3")]
        self.assertEqual([change["kind"] for change in changes], ["put", "delete", "delete_range"])
        self.assertEqual(changes[0]["value"], "Alice")
        self.assertLess(changes[0]["sequence"], changes[1]["sequence"])
        since = str(changes[0]["time"])
        self.assertEqual(self.lines(server, "user:", "--from", since, "--count", "1"), ['put\t"user:1"\t"Alice"'])

    def test_prints_what_comes_while_it_waits_and_ends_in_order_when_interrupted(self):
        server = self.feed_server()
        watcher = self.watcher(server, "--from", "oldest")
        for i in range(3):
            self.do(server, "put", f"k{i}", "v")
            self.assertEqual(watcher.line(), f'put\t"k{i}"\t"v"\n')
        watcher.process.send_signal(signal.SIGINT)
        code, output, errors = watcher.end()
        self.assertEqual((code, output), (-signal.SIGINT, ""))
        self.do(server, "put", "next", "v")
        self.assertEqual(self.lines(server, "--from", token_of(errors), "--count", "1"), ['put\t"next"\t"v"'])

    def test_a_killed_server_is_gone_on_with_where_it_was_by_token(self):
        server = self.feed_server()
        watcher = self.watcher(server, "--from", "oldest")
        self.do(server, "put", "a", "1")
        self.assertEqual(watcher.line(), 'put\t"a"\t"1"\n')
        server.kill()
        code, output, errors = watcher.end()
        self.assertEqual((code, output), (3, ""))
        server.start()
        self.do(server, "put", "b", "2")
        self.assertEqual(self.lines(server, "--from", token_of(errors), "--count", "1"), ['put\t"b"\t"2"'])


    def test_a_cursor_goes_on_after_what_was_printed(self):
        server = self.feed_server()
        self.assertEqual(self.do(server, "cursors", "create", "c", "--from", "oldest").stdout, b"OK\n")
        self.do(server, "cursors", "create", "c", code=3)
        for i in range(3):
            self.do(server, "put", f"k{i}", "v")
        self.assertIn(b'"c"\t3 commits, ', self.do(server, "cursors", "list").stdout)
        self.assertEqual(self.lines(server, "--cursor", "c", "--count", "2"), ['put\t"k0"\t"v"', 'put\t"k1"\t"v"'])
        self.assertIn(b'"c"\t1 commits, ', self.do(server, "cursors", "list").stdout)
        watcher = self.watcher(server, "--cursor", "c")
        self.assertEqual(watcher.line(), 'put\t"k2"\t"v"\n')
        watcher.process.send_signal(signal.SIGTERM)
        self.assertEqual(watcher.end(), (-signal.SIGTERM, "", ""))
        self.assertIn(b'"c"\t0 commits, ', self.do(server, "cursors", "list").stdout)
        self.assertEqual(server.terminate(), 0)
        server.start()
        # Unavailable until the member has applied what was agreed on before.
        wait_until(lambda: cli(server.address, "cursors", "list").returncode != 3, "cursors are known")
        self.assertIn(b'"c"\t0 commits, ', self.do(server, "cursors", "list").stdout)
        self.do(server, "cursors", "drop", "c")
        self.do(server, "cursors", "drop", "c", code=1)
        self.do(server, "watch", "--cursor", "c", code=1)

    def test_a_cursor_is_put_at_another_place(self):
        server = self.feed_server()
        self.do(server, "cursors", "reset", "c", code=1)
        self.do(server, "cursors", "create", "c")
        self.do(server, "put", "a", "1")
        self.assertEqual(self.lines(server, "--cursor", "c", "--count", "1"), ['put\t"a"\t"1"'])
        self.assertEqual(self.do(server, "cursors", "reset", "c", "--from", "oldest").stdout, b"OK\n")
        self.assertEqual(self.lines(server, "--cursor", "c", "--count", "1"), ['put\t"a"\t"1"'])
        self.do(server, "put", "b", "2")
        self.do(server, "cursors", "reset", "c")
        self.assertIn(b'"c"\t0 commits, ', self.do(server, "cursors", "list").stdout)
        self.do(server, "cursors", "reset", "c", "--from", "ab" * 30, code=3)

    def test_parts_have_every_change_between_them(self):
        server = self.feed_server()
        keys = {f"k{i}" for i in range(20)}
        for key in keys:
            self.do(server, "put", key, "v")
        # In every part, so that the end is known.
        self.do(server, "delete", "--prefix", "end", "--yes")
        parts = []
        for part in range(3):
            watcher = self.watcher(server, "--from", "oldest", "--part", f"{part}/3")
            lines = []
            while not lines or not lines[-1].startswith("delete-range"):
                lines.append(watcher.line())
            parts.append({line.split("\t")[1].strip('"') for line in lines[:-1]})
        self.assertTrue(all(parts))
        self.assertEqual(sum(len(part) for part in parts), len(keys))
        self.assertEqual(set().union(*parts), keys)

    def test_a_command_gets_each_commit_and_what_it_took_is_acknowledged(self):
        server = self.feed_server()
        self.do(server, "cursors", "create", "c")
        self.do(server, "batch", self.write("batch", "put a 1\nput b 2\n"))
        self.do(server, "put", "c", "3")
        taken = self.scratch / "taken"
        command = f'echo "$BANDB_CHANGES of $BANDB_SEQUENCE" >> {taken}; cat >> {taken}'
        self.assertEqual(self.lines(server, "--cursor", "c", "--count", "2", "--exec", command), [])
        lines = taken.read_text().splitlines()
        self.assertRegex(lines[0], "^2 of [0-9]+$")
        self.assertEqual(lines[1:3], ['put\t"a"\t"1"', 'put\t"b"\t"2"'])
        self.assertRegex(lines[3], "^1 of [0-9]+$")
        self.assertEqual(lines[4:], ['put\t"c"\t"3"'])
        self.assertIn(b'"c"\t0 commits, ', self.do(server, "cursors", "list").stdout)
        # One that fails has not taken it, whatever it printed.
        for key in ("d", "e", "f"):
            self.do(server, "put", key, "v")
        failing = f'cat > {taken}; ! grep -q \'"e"\' {taken}'
        done = self.do(server, "watch", "--cursor", "c", "--exec", failing, code=3)
        self.assertIn(b"exit code 1", done.stderr)
        self.assertIn(b'"c"\t2 commits, ', self.do(server, "cursors", "list").stdout)
        # It need not read, and what it prints is printed.
        self.assertEqual(self.lines(server, "--cursor", "c", "--count", "2", "--exec", "echo done"), ["done", "done"])
        self.do(server, "watch", "--from", "oldest", "--count", "1", "--exec", "no-such-command", code=3)

    def test_a_commit_larger_than_a_reply_is_printed_whole(self):
        server = self.feed_server()
        batch = "".join(f"put k{i:03} {'v' * 900}\n" for i in range(300))
        self.do(server, "batch", self.write("batch", batch))
        self.assertEqual(server.terminate(), 0)
        server.arguments = (*server.arguments, "--set", "server.frame_max=64 KiB")
        server.start()
        for begin in ("oldest", "0"):
            lines = self.lines(server, "--from", begin, "--count", "1")
            self.assertEqual([line.split("\t")[1] for line in lines], [f'"k{i:03}"' for i in range(300)])
        counted = self.lines(server, "--from", "oldest", "--count", "1", "--exec", "echo $BANDB_CHANGES; wc -l")
        self.assertEqual([int(line) for line in counted], [300, 300])

    def test_mistakes_are_told(self):
        server = self.feed_server()
        self.do(server, "watch", "--from", "yesterday", code=2)
        self.do(server, "watch", "--from", "oldest", "--cursor", "c", code=2)
        for part in ("1", "2/2", "-1/2", "0/0", "0/65537", "a/b", "0/2x"):
            self.do(server, "watch", "--part", part, code=2)
        self.do(server, "cursors", code=2)
        self.do(server, "watch", "--from", "ab" * 30, code=3)
        self.assertIn(b"bandb cursors create", self.do(server, "watch", "--help").stdout)


class WatchTest(EveryFeed, FeedTest):
    def feed_server(self):
        return self.standalone_server(*KEEP)


class ClusterOfOneTest(EveryFeed, FeedTest):
    def feed_server(self):
        server = Server(self.scratch / "cluster")
        self.addCleanup(server.close)
        return server


class MembersTest(FeedTest):
    def test_what_one_member_says_another_goes_on_from(self):
        trio = Trio(self)
        followers = [name for name in "abc" if name != trio.leader()]
        watchers = [self.watcher(trio[name], "--from", "oldest") for name in "abc"]
        for i in range(6):
            self.do(trio["abc"[i % 3]], "put", f"k{i}", "v")
            for watcher in watchers:
                self.assertEqual(watcher.line(), f'put\t"k{i}"\t"v"\n')
        for watcher in watchers:
            watcher.process.send_signal(signal.SIGINT)
        tokens = {token_of(watcher.end()[2]) for watcher in watchers}
        self.assertEqual(len(tokens), 1)
        trio[trio.leader()].kill()
        self.do(trio[followers[0]], "put", "next", "v")
        for name in followers:
            self.assertEqual(self.lines(trio[name], "--from", *tokens, "--count", "1"), ['put\t"next"\t"v"'])

    def test_a_cursor_is_at_every_member_and_goes_on_from_another_when_one_is_killed(self):
        trio = Trio(self)
        leader = trio.leader()
        followers = [name for name in "abc" if name != leader]
        self.do(trio[followers[0]], "cursors", "create", "c")
        self.do(trio[leader], "cursors", "create", "c", code=3)
        for i in range(4):
            self.do(trio["abc"[i % 3]], "put", f"k{i}", "v")
        self.assertEqual(self.lines(trio[followers[0]], "--cursor", "c", "--count", "3"),
                         [f'put\t"k{i}"\t"v"' for i in range(3)])
        # Within a second all know of it, also when the one that took it is no more.
        for name in (leader, followers[1]):
            wait_until(lambda at=trio[name]: b'"c"\t1 commits, ' in self.do(at, "cursors", "list").stdout,
                       "the others know of it")
        trio[leader].kill()
        self.assertEqual(self.lines(trio[followers[1]], "--cursor", "c", "--count", "1"), ['put\t"k3"\t"v"'])
        wait_until(lambda: b'"c"\t0 commits, ' in self.do(trio[followers[0]], "cursors", "list").stdout,
                   "the others know of it")
        self.do(trio[followers[0]], "cursors", "drop", "c")
        self.do(trio[followers[1]], "cursors", "drop", "c", code=1)

    def test_a_watch_waits_until_a_member_that_has_just_started_knows_its_cursors(self):
        trio = Trio(self)
        self.do(trio["a"], "cursors", "create", "c")
        self.do(trio["a"], "put", "k", "v")
        for name in "abc":
            wait_until(lambda at=trio[name]: b'"c"\t1 commits, ' in self.do(at, "cursors", "list").stdout, "all know of it")
        for name in "abc":
            trio[name].kill()
        trio["a"].start()
        self.do(trio["a"], "cursors", "list", code=3)
        watcher = self.watcher(trio["a"], "--cursor", "c", "--count", "1")
        trio["b"].start()
        self.assertEqual(watcher.line(), 'put\t"k"\t"v"\n')
        self.assertEqual(watcher.end()[0], 0)


if __name__ == "__main__":
    unittest.main()
