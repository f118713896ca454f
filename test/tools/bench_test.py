"""bandb_bench net against a real server: every mode measures something, and its figures add up."""

import re
import sys
import unittest

from programs import BENCH, ProgramTest, run


class NetBench(ProgramTest):
    def measure(self, *arguments):
        server = self.server()
        done = run(BENCH, "net", "--addr", server.address, "--duration", "0.3", "--warmup", "0.1", "--connections", "4",
                   "--keys", "200", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, b""), server.error_text())
        figures = {}
        pattern = r"^(put|get) +(\d+) requests +(\d+) QPS +average ([\d.]+) ms +p50 ([\d.]+) +p95 ([\d.]+) +" \
                  r"p99 ([\d.]+) +max ([\d.]+)$"
        for match in re.finditer(pattern, done.stdout.decode(), re.MULTILINE):
            numbers = [float(text) for text in match.groups()[1:]]
            figures[match.group(1)] = numbers
            requests, rate, average, p50, p95, p99, longest = numbers
            self.assertGreater(requests, 0)
            self.assertGreater(rate, 0)
            self.assertLessEqual(average, longest)
            self.assertLessEqual([p50, p95, p99], [p95, p99, longest])
        self.assertNotIn(b"not found", done.stdout)
        return figures

    def test_put(self):
        self.assertEqual(set(self.measure("--mode", "put")), {"put"})

    def test_get_finds_every_key(self):
        self.assertEqual(set(self.measure("--mode", "get", "--depth", "8")), {"get"})

    def test_mixed(self):
        self.assertEqual(set(self.measure("--read-ratio", "0.8")), {"put", "get"})

    def test_no_server_exits_with_3_and_nonsense_with_2(self):
        self.assertEqual(run(BENCH, "net", "--addr", "127.0.0.1:1").returncode, 3)
        for arguments in ([], ["net", "--mode", "x"], ["net", "--keys", "1000", "--key-size", "2"]):
            self.assertEqual(run(BENCH, *arguments).returncode, 2)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
