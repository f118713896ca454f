"""Clients of Redis: the same streams of commands to Debian's redis-server and to BanDB must get the same replies, to the byte."""

import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

import programs
from programs import DEADLINE_SECONDS, ProgramTest, need
from redis_stream import Stream

REDIS = shutil.which("redis-server")
SEEDS = range(int(os.environ.get("BANDB_REDIS_SEEDS", "6")))
COMMANDS_PER_SEED = 1500


class Connection:
    """A client that takes replies apart but keeps their bytes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise EOFError(self.buffer)
        self.buffer += piece

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line + b"\r\n"

    def exactly(self, count):
        while len(self.buffer) < count:
            self.fill()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def reply(self):
        """The bytes of one reply."""
        line = self.line()
        kind = line[:1]
        if kind in b"+-:_,#(":
            return line
        count = int(line[1:])
        if kind in b"$=!":
            return line if count < 0 else line + self.exactly(count + 2)
        if kind in b"*~>":
            return line + b"".join(self.reply() for _ in range(max(0, count)))
        assert kind == b"%", line
        return line + b"".join(self.reply() for _ in range(2 * count))

    def rest(self):
        """All that comes until the server closes."""
        try:
            while True:
                self.fill()
        except EOFError:
            return self.buffer

    def ask(self, *arguments):
        self.send(request(*arguments))
        return self.reply()


def request(*arguments):
    encoded = [a if isinstance(a, bytes) else str(a).encode() for a in arguments]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in encoded)


def without_id(reply):
    """Of HELLO's reply: numbers of connections are each server's own."""
    return re.sub(rb"(\$2\r\nid\r\n:)\d+", rb"\1", reply)


def elements(reply):
    """The bulk strings of a flat array, sorted: Redis keeps no order of keys, BanDB does."""
    return sorted(re.findall(rb"\$\d+\r\n(.*?)\r\n", reply, re.DOTALL))


class BothServers(ProgramTest):
    def setUp(self):
        super().setUp()
        need(REDIS is not None, "redis-server")
        durability = "os" if programs.SERVED_BY == "standalone" else "sync"
        config = self.write("bandb.toml", f'[redis]\nlisten = "127.0.0.1:0"\n[server]\ndurability = "{durability}"\n'
                                          f'loops = {getattr(self, "loops", 1)}\n')
        self.bandb = RedisListener(self.scratch / "data", "--config", config)
        self.addCleanup(self.bandb.close)
        self.redis_port = self.start_redis()

    def start_redis(self):
        # Redis takes no port 0, so it is given ports until one is free.
        for _ in range(50):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            folder = tempfile.mkdtemp(dir=self.scratch)
            process = subprocess.Popen([REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            end = time.monotonic() + DEADLINE_SECONDS
            while process.poll() is None and time.monotonic() < end:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    return port
                except OSError:
                    os.sched_yield()
        raise AssertionError("redis-server did not start")

    def connect(self):
        pair = Connection(self.redis_port), Connection(self.bandb.redis_port)
        for connection in pair:
            self.addCleanup(connection.close)
        return pair

    def same(self, pair, *arguments):
        redis, bandb = (connection.ask(*arguments) for connection in pair)
        self.assertEqual(bandb, redis, arguments)
        return redis


class RedisListener(programs.Server):
    def first_line(self):
        line = super().first_line()
        self.redis_port = int(re.fullmatch(rb"redis on 127\.0\.0\.1:(\d+)\n", line).group(1))
        # It came with the first, and is in the buffer of the pipe.
        return self.process.stdout.readline()


class DifferentialTest(BothServers):
    def test_random_streams_get_equal_replies(self):
        for seed in SEEDS:
            pair = self.connect()
            for connection in pair:
                connection.ask("flushall")
            stream = Stream(seed)
            done = []
            for _ in range(COMMANDS_PER_SEED):
                command = stream.command()
                done.append(command)
                redis, bandb = (connection.ask(*command) for connection in pair)
                self.assertEqual(bandb, redis, f"seed {seed}, after {done[-12:]}")

    def test_pipelines_of_two_connections_get_equal_replies(self):
        for seed in SEEDS:
            stream = Stream(1000 + seed)
            ours, others = self.connect(), self.connect()
            for connection in ours:
                connection.ask("flushall")
            for _ in range(60):
                for pair in (ours, others):
                    # In version 3 of the protocol, too.
                    commands = [stream.command() for _ in range(20)]
                    if seed % 2 == 1:
                        commands.insert(0, ["hello", "3", "setname", "x"])
                    for connection in pair:
                        connection.send(b"".join(request(*command) for command in commands))
                    for command in commands:
                        redis, bandb = (without_id(connection.reply()) for connection in pair)
                        self.assertEqual(bandb, redis, f"seed {seed}, {command} of {commands}")


class KeysTest(BothServers):
    def test_keys_and_scan_find_what_redis_finds(self):
        pair = self.connect()
        names = ["", "a", "ab", "abc", "b", "a*c", "a?c", "[x]", "a\\b", "hello", "hallo", "hxllo", "heello", "\xff", "A"]
        for name in names:
            self.same(pair, "set", name.encode("latin-1"), "1")
        patterns = ["*", "a*", "h?llo", "h[ae]llo", "h[^e]llo", "h[a-b]llo", "h[b-a]llo", "a\\*c", "\\[x\\]", "[", "[a", "a\\\\b",
                    "", "?", "**", "*l*", "[^a]", "[]", "[^]", "a\\", "[\\x]", "h[a-]llo", "*\\", "[x-\\z]*"]
        for pattern in patterns:
            redis, bandb = (connection.ask("keys", pattern) for connection in pair)
            self.assertEqual(elements(bandb), elements(redis), pattern)
            for count in (1, 3, 100):
                found = [self.scan(connection, "match", pattern, "count", count) for connection in pair]
                self.assertEqual(found[1], found[0], pattern)
        self.same(pair, "dbsize")
        self.assertEqual(self.scan(pair[1], "type", "hash"), [])
        for mistake in (["x"], ["-1x"], ["0", "count", "0"], ["0", "count", "x"], ["0", "foo"], ["0", "match"], ["1.5"], [" 0"]):
            self.same(pair, "scan", *mistake)
        self.same(pair, "flushall")
        self.same(pair, "randomkey")
        self.same(pair, "set", "only", "1")
        self.same(pair, "randomkey")

    @staticmethod
    def scan(connection, *options):
        cursor, found = b"0", []
        while True:
            reply = connection.ask("scan", cursor, *options)
            cursor = re.match(rb"\*2\r\n\$\d+\r\n(\d+)\r\n", reply).group(1)
            found += elements(reply.split(b"\r\n", 3)[3])
            if cursor == b"0":
                return sorted(found)


class FloatTest(BothServers):
    def test_numbers_of_any_size_are_written_as_in_redis(self):
        pair = self.connect()
        choice = random.Random(2)
        for _ in range(1500):
            first, second = (f"{choice.choice(['', '-'])}{choice.randrange(1, 10 ** choice.randrange(1, 20))}e{choice.randrange(-40, choice.choice([3, 40, 4900]))}"
                             for _ in range(2))
            self.same(pair, "set", "a", first)
            self.same(pair, "incrbyfloat", "a", second)
            self.same(pair, "incrbyfloat", "a", first)


class CommandTest(BothServers):
    def test_commands_that_there_are_not_are_told_as_in_redis(self):
        pair = self.connect()
        for words in ("command info nosuch", "command info get|key nosuch", "command info config|get|key", "command getkeys nosuch x"):
            self.same(pair, *words.split())


class ObjectTest(BothServers):
    def test_what_was_just_set_has_the_encoding_of_redis(self):
        pair = self.connect()
        for value in ("", "0", "-0", "01", "12", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "1.5", "x", "x" * 44, "x" * 45):
            self.same(pair, "set", "a", value)
            self.same(pair, "object", "encoding", "a")
        for what in ("encoding", "refcount", "idletime", "freq"):
            self.same(pair, "object", what, "nothing")
        self.same(pair, "memory", "usage", "nothing")

    def test_a_bit_that_is_set_leaves_when_a_key_expires_and_bitop_does_not(self):
        pair = self.connect()
        for words in ("set a x exat 4000000000", "setbit a 0 1", "setbit a 70 0", "expiretime a", "strlen a", "set b y exat 4000000000", "bitop not b a",
                      "expiretime b", "expire b 1000", "bitop or b nothing", "exists b"):
            self.same(pair, *words.split())

    def test_long_values_have_the_same_in_common(self):
        pair = self.connect()
        choice = random.Random(1)
        for letters in ("ab", "abcdefgh"):
            for key in ("a", "b"):
                self.same(pair, "set", key, "".join(choice.choice(letters) for _ in range(1500)))
            for options in ([], ["len"], ["idx"], ["idx", "minmatchlen", "4", "withmatchlen"]):
                self.same(pair, "lcs", "a", "b", *options)


class ExpiryTest(BothServers):
    def test_times_at_the_ends_of_what_there_is_are_as_in_redis(self):
        pair = self.connect()
        latest = "9223372036854775807"
        for command in (["set", "a", "1", "pxat", latest], ["getex", "a", "pxat", latest], ["pexpireat", "a", latest]):
            self.same(pair, "set", "a", "1")
            self.same(pair, *command)
            self.same(pair, "expiretime", "a")
            self.same(pair, "get", "a")
        for command in (["set", "a", "1", "exat", "1"], ["expireat", "a", "-1"], ["pexpire", "a", "0"], ["getex", "a", "exat", "1"]):
            self.same(pair, "set", "a", "1")
            self.same(pair, *command)
            self.same(pair, "get", "a")
            self.same(pair, "exists", "a")
        self.same(pair, "set", "b", "1", "px", "1")
        for connection in pair:
            while connection.ask("get", "b") != b"$-1\r\n":
                pass
        self.same(pair, "ttl", "b")


class ProtocolTest(BothServers):
    def test_streams_of_bytes_get_equal_answers(self):
        streams = [
            b"PING\r\n", b"ping\n", b"  set  a  'b c'  \r\nget a\r\n", b'set a "\\x41\\n\\"q"\r\nget a\r\n', b"\r\n\r\nPING\r\n",
            b'set a "open\r\n', b"set a 'b'c\r\n", b"*0\r\nPING\r\n", b"*-1\r\nPING\r\n", b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
            b"*x\r\n", b"*1\r\n+PING\r\n", b"*1\r\n$x\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$03\r\nfoo\r\n", b"*1\r\n$0\r\n\r\n",
            b"*2147483648\r\n", b"*1\r\n$4\r\nQUIT\r\nPING\r\n", b"quit\r\n", b"*1\r\n$99999999999999999999\r\n", b"x" * 70000,
            b"*" + b"1" * 70000, b"*1\r\n$" + b"1" * 70000, b"multi\r\nset a 1\r\nquit\r\n", b"GET\r\n", b"nosuch 'a\r\n",
        ]
        for stream in streams:
            redis, bandb = self.connect()
            answers = []
            for connection in (redis, bandb):
                try:
                    connection.send(stream)
                    connection.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # closed in the middle of it
                try:
                    answers.append(connection.rest())
                except ConnectionError:
                    answers.append(connection.buffer)
            self.assertEqual(answers[1], answers[0], stream[:100])

    def test_requests_may_come_in_any_pieces(self):
        pair = self.connect()
        data = request("set", "a", "hello\r\nworld") + b"get a\r\n" + request("append", "a", "!") + request("get", "a")
        for cut in range(1, len(data)):
            replies = []
            for connection in pair:
                connection.send(data[:cut])
                connection.send(data[cut:])
                replies.append([connection.reply() for _ in range(4)])
            self.assertEqual(replies[1], replies[0])


class ClientsTest(BothServers):
    loops = 4

    @staticmethod
    def shape(line):
        """Of a line of CLIENT LIST: names of its fields in their order, and the values that are no server's own."""
        fields = [field.split(b"=", 1) for field in line.split(b" ")]
        same = {b"name", b"flags", b"db", b"sub", b"psub", b"ssub", b"multi", b"oll", b"cmd", b"user", b"redir", b"resp"}
        return [(name, value if name in same else None) for name, value in fields]

    def text(self, reply):
        return re.fullmatch(rb"(?:\$|=)\d+\r\n(?:txt:)?(.*)\r\n", reply, re.DOTALL).group(1)

    def test_client_list_and_info_have_the_lines_of_redis(self):
        pair = self.connect()
        self.same(pair, "client", "setname", "me")
        other = self.connect()
        self.same(other, "multi")
        self.same(other, "get", "a")
        for command in (["client", "info"], ["client", "list"], ["client", "list", "type", "normal"]):
            redis, bandb = ([self.shape(line) for line in self.text(connection.ask(*command)).splitlines()] for connection in pair)
            self.assertEqual(bandb, redis, command)
        for connection in pair:
            connection.ask("hello", "3")
        redis, bandb = (connection.ask("client", "info") for connection in pair)
        self.assertEqual((redis[:1], bandb[:1]), (b"=", b"="))
        self.assertEqual(self.shape(self.text(bandb)), self.shape(self.text(redis)))

    def test_mistakes_are_told_as_redis_tells_them(self):
        pair = self.connect()
        for words in ("client", "client list type foo", "client list type pubsub", "client list id x", "client list id 9999", "client list id",
                      "client list foo", "client list type normal more", "client kill", "client kill 1.2.3.4:5", "client kill id 0",
                      "client kill id x", "client kill foo bar", "client kill user nobody", "client kill user default addr 1.2.3.4:5",
                      "client kill type x", "client kill type pubsub", "client kill id 9999 skipme maybe", "client kill id 1 type",
                      "client info x", "client id x", "slowlog", "slowlog get 1 2", "slowlog get x", "slowlog get -2", "slowlog get 0",
                      "slowlog len 1", "slowlog reset x", "slowlog foo", "client kill laddr 1.2.3.4:5"):
            self.same(pair, *words.split())

    def test_clients_are_killed_by_what_is_said_of_them(self):
        pair = self.connect()
        for how in ("id", "addr", "old", "self", "old self"):
            victims = self.connect()
            for connection, victim in zip(pair, victims):
                number = victim.ask("client", "id")[1:-2]
                address = "{}:{}".format(*victim.socket.getsockname())
                asker = victim if how.endswith("self") else connection
                reply = asker.ask("client", "kill", *{"id": ["id", number], "addr": ["type", "normal", "addr", address], "old": [address],
                                                      "self": ["id", number, "skipme", "no"], "old self": [address]}[how])
                self.assertEqual(reply, b"+OK\r\n" if how.startswith("old") else b":1\r\n")
                self.assertEqual(victim.rest(), b"")
                self.assertEqual(connection.ask("ping"), b"+PONG\r\n")

    def test_the_slow_log_has_the_shape_of_redis(self):
        # What is slow to BanDB its configuration says, so its log is empty here but for what took long.
        pair = self.connect()
        self.same(pair, "slowlog", "reset")
        redis, bandb = pair
        redis.ask("config", "set", "slowlog-log-slower-than", "0")
        redis.ask("client", "setname", "me")
        redis.ask("get", "key")
        slow = RedisListener(self.scratch / "slow", "--config", self.write(
            "slow.toml", '[redis]\nlisten = "127.0.0.1:0"\n[server]\nslow_log_threshold = "0 s"\n'))
        self.addCleanup(slow.close)
        bandb = Connection(slow.redis_port)
        self.addCleanup(bandb.close)
        bandb.ask("client", "setname", "me")
        bandb.ask("get", "key")
        own = [re.sub(rb":\d+\r\n", b":N\r\n", re.sub(rb"\$\d+\r\n127\.0\.0\.1:\d+", b"ADDRESS", one.ask("slowlog", "get", "1")))
               for one in (redis, bandb)]
        self.assertEqual(own[1], own[0])


class AtomicTest(BothServers):
    loops = 4

    def test_what_a_command_of_a_transaction_does_to_the_connection_holds_for_the_next(self):
        pair = self.connect()
        for commands in (["client setname me", "client getname"], ["hello 3 setname you", "client getname", "get nothing", "config get nosuch"],
                         ["get nothing", "hello 2", "get nothing", "config get nosuch"], ["client setname", "client getname"]):
            self.same(pair, "multi")
            for command in commands:
                self.same(pair, *command.split())
            redis, bandb = (without_id(connection.ask("exec")) for connection in pair)
            self.assertEqual(bandb, redis, commands)
            self.same(pair, "client", "getname")

    def test_counters_of_many_connections_lose_nothing(self):
        port = self.bandb.redis_port
        connections = [Connection(port) for _ in range(20)]
        for connection in connections:
            self.addCleanup(connection.close)
        for _ in range(10):
            for connection in connections:
                connection.send(request("incr", "n") * 5 + request("append", "text", "x") + request("incrbyfloat", "f", "0.5"))
            for connection in connections:
                for _ in range(7):
                    self.assertNotEqual(connection.reply()[:1], b"-")
        self.assertEqual(connections[0].ask("get", "n"), b"$4\r\n1000\r\n")
        self.assertEqual(connections[0].ask("strlen", "text"), b":200\r\n")
        self.assertEqual(connections[0].ask("get", "f"), b"$3\r\n100\r\n")

    def test_a_watched_key_that_changed_ends_the_transaction(self):
        for change in (["set", "k", "2"], ["expire", "k", "100"], ["del", "k"], ["flushall"], ["append", "k", "x"]):
            watcher, other = self.connect(), self.connect()
            for pair in (other,):
                self.same(pair, "set", "k", "1")
            self.same(watcher, "watch", "k")
            self.same(other, *change)
            self.same(watcher, "multi")
            self.same(watcher, "set", "done", "1")
            self.same(watcher, "exec")
            self.same(watcher, "get", "done")


if __name__ == "__main__":
    unittest.main()
