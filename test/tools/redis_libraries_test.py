"""Programs of others that speak to Redis, before redis-server and before BanDB: they must see the same of both."""

import pathlib
import re
import shutil
import unittest

from programs import need, npm_folder, run
from redis_test import BothServers

FOLDER = pathlib.Path(__file__).resolve().parent
# Debian's, for which Debian's packages are: the tests may run by another one.
PYTHON = "/usr/bin/python3"


class Libraries(BothServers):
    def both_print_the_same(self, *command):
        """Of a program that is given a port; returns what it prints."""
        redis, bandb = (run(*command, str(port)) for port in (self.redis_port, self.bandb.redis_port))
        self.assertEqual((redis.returncode, redis.stderr), (0, b""))
        self.assertEqual((bandb.returncode, bandb.stderr), (0, b""))
        self.assertEqual(bandb.stdout, redis.stdout)
        return bandb.stdout.decode()

    def test_redis_py(self):
        need(run(PYTHON, "-c", "import redis").returncode == 0, "python3-redis")
        output = self.both_print_the_same(PYTHON, "-B", str(FOLDER / "redis_py_client.py"))
        self.assertIn("transfers: [b'800', b'200']\n", output)
        self.assertIn("watched: ('WatchError', ", output)

    def test_ioredis_and_node_redis(self):
        output = self.both_print_the_same("node", str(FOLDER / "redis_node_client.mjs"), npm_folder())
        self.assertIn("sum: '100'\n", output)
        self.assertIn("watched: [ 'WatchError', ", output)

    def test_redis_benchmark(self):
        program = shutil.which("redis-benchmark")
        need(program is not None, "redis-benchmark")
        for flags in ([], ["-P", "16"], ["-3", "--threads", "2"]):
            done = run(program, "-p", str(self.bandb.redis_port), "-q", "-n", "4000", "-c", "20", "-r", "1000", "-d", "100",
                       "-t", "ping,set,get,incr,mset", *flags)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertNotRegex(done.stdout + done.stderr, b"(?i)error|warning")
            rates = re.findall(rb"^(?:.*\r)?(\S+)[^\r]*: [\d.]+ requests per second", done.stdout, re.MULTILINE)
            self.assertEqual(len(rates), 6, done.stdout)


if __name__ == "__main__":
    unittest.main()
