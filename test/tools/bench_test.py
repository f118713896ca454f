"""bandb_bench: every mode of `net` against a real server measures something whose figures add up; `db` prints each line as
it is measured, then the table."""

import os
import re
import shutil
import subprocess
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


class ClusterBench(ProgramTest):
    def test_both_systems_are_measured_in_the_same_shape(self):
        systems = ["bandb"] + (["etcd"] if shutil.which("etcd") and os.environ.get("BANDB_HAVE_GRPC") == "ON" else [])
        flags = [flag for system in systems for flag in ("--system", system)]
        done = run(BENCH, "cluster", "--dir", str(self.scratch), "--port", str(10_000 + os.getpid() % 1000 * 20), *flags,
                   "--in-flight", "1", "16", "--depth", "4", "--duration", "0.3", "--warmup", "0.1", "--keys", "100")
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.stdout)
        pattern = r"^(\w+) +(\d+) in flight on +(\d+) connections +(put|get) +\d+ requests +(\d+) QPS .* p50 [\d.]+ .* p99 [\d.]+"
        lines = re.findall(pattern, done.stdout.decode(), re.MULTILINE)
        self.assertEqual([line[:4] for line in lines], [(system, in_flight, connections, operation) for system in systems
                                                        for in_flight, connections in (("1", "1"), ("16", "4"))
                                                        for operation in ("put", "get")])
        self.assertTrue(all(int(line[4]) > 0 for line in lines), lines)
        self.assertNotIn(b"not found", done.stdout)
        self.assertEqual(os.listdir(self.scratch), [])


class ChangesBench(ProgramTest):
    def measure(self, *arguments):
        done = run(BENCH, "changes", "--puts", "2000", "--synced", "20", "--rounds", "1", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.stdout)
        return done.stdout.decode()

    def test_embedded(self):
        directory = str(self.scratch / "db")
        figures = self.measure("--dir", directory)
        self.assertRegex(figures, r"(?m)^read back +[1-9]\d* changes a second, of 4000$")
        self.assertRegex(figures, r"(?m)^after a synced put +p50 \d+ us, p99 \d+ us$")
        self.assertFalse(os.path.exists(directory))

    def test_over_the_wire(self):
        directory = str(self.scratch / "db")
        server = self.standalone_server("--set", "storage.changes_keep_bytes=64 MiB")
        for where in (["--wire", "--dir", directory], ["--addr", server.address]):
            figures = self.measure(*where)
            self.assertRegex(figures, r"(?m)^puts +[1-9]\d* a second$")
            self.assertRegex(figures, r"(?m)^read back +[1-9]\d* changes a second, of 2000$")
            self.assertRegex(figures, r"(?m)^after a put +p50 \d+ us, p99 \d+ us$")
        self.assertFalse(os.path.exists(directory))
        self.assertEqual(run(BENCH, "changes", "--addr", "127.0.0.1:1").returncode, 3)


class BackupBench(ProgramTest):
    def test_each_figure_is_measured_and_nothing_is_left(self):
        directory = str(self.scratch / "backup")
        arguments = ("backup", "--keys", "3000", "--puts", "2000", "--rounds", "1", "--changed", "10", "--dir", directory)
        done = run(BENCH, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.stdout)
        figures = done.stdout.decode()
        sizes = {}
        for what in ("create", "create again", "verify", "restore"):
            line = re.search(rf"(?m)^{what} +[\d.]+ MB/s, (\d+) bytes$", figures)
            self.assertIsNotNone(line, figures)
            sizes[what] = int(line.group(1))
        self.assertLess(sizes["create again"], sizes["create"])
        self.assertGreater(sizes["verify"], sizes["create"])
        self.assertEqual(sizes["verify"], sizes["restore"])
        self.assertRegex(figures, r"(?m)^new tables +[\d.]+ bytes copied for each of [1-9]\d*$")
        self.assertRegex(figures, r"(?m)^puts alone +[1-9]\d* a second$")
        self.assertRegex(figures, r"(?m)^puts, one backup +\d+ a second, [+-][\d.]+ %$")
        self.assertFalse(os.path.exists(directory))
        os.mkdir(directory)
        self.assertEqual(run(BENCH, *arguments).returncode, 3)
        self.assertTrue(os.path.exists(directory))


class ExportBench(ProgramTest):
    def test_each_figure_is_measured_and_nothing_is_left(self):
        directory = str(self.scratch / "export")
        done = run(BENCH, "export", "--keys", "3001", "--rounds", "1", "--dir", directory)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.stdout)
        figures = done.stdout.decode()
        for what in ("export, raw", "export, jsonl", "batches", "import, raw"):
            self.assertRegex(figures, rf"(?m)^{what} +[1-9]\d* entries a second(, \d+ % of that)?$")
        self.assertFalse(os.path.exists(directory))
        os.mkdir(directory)
        self.assertEqual(run(BENCH, "export", "--dir", directory).returncode, 3)


class DbBench(ProgramTest):
    line = re.compile(r"^(\w+) +(\w+) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) *(\S*)$", re.MULTILINE)

    def start(self, *arguments):
        directory = str(self.scratch)
        with open(os.path.join(directory, "kept"), "w") as mine:
            mine.write("of the user")
        bench = subprocess.Popen([BENCH, "db", "--dir", directory, "--store", "bandb", "--keys", "2000", "--reads", "500",
                                  *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(bench.stdout.close)
        self.addCleanup(bench.stderr.close)
        self.addCleanup(bench.wait)
        self.addCleanup(bench.kill)
        return bench, directory

    def test_each_line_comes_as_it_is_measured_and_the_table_at_the_end(self):
        bench, directory = self.start("--workload", "readrandom", "--rounds", "2")
        output, errors = bench.communicate(timeout=100)
        self.assertEqual((bench.returncode, errors), (0, b""))
        measured, table = output.decode().split("medians of the rounds:")
        lines = self.line.findall(measured)
        # fillrandom is run for what the others read.
        self.assertEqual([(line[0], line[7]) for line in lines],
                         [("fillrandom", "1"), ("readrandom", "1"), ("fillrandom", "2"), ("readrandom", "2")])
        self.assertEqual([line[:2] for line in self.line.findall(table)], [("readrandom", "bandb")])
        rate = int(self.line.findall(table)[0][2])
        self.assertIn(rate, [int(lines[1][2]), int(lines[3][2])])
        self.assertEqual(os.listdir(directory), ["kept"])

    def test_a_line_can_be_read_before_the_next_workload_is_done(self):
        # The second workload would take hours: the first line must come through the pipe long before.
        bench, _ = self.start("--workload", "fillsync", "--synced", "900000000", "--rounds", "1")
        for line in iter(bench.stdout.readline, b""):
            if self.line.match(line.decode()):
                break
        self.assertTrue(line.startswith(b"fillrandom "), line)
        self.assertIsNone(bench.poll())


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
