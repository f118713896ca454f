"""Clients of gRPC: the example and the benchmark against a real server, which ends in order; and a build without gRPC says so."""

import os
import re
import socket
import sys
import unittest

from programs import BENCH, BIN, DEADLINE_SECONDS, SERVER, ProgramTest, Server, cli, run

CLIENT = BIN / "grpc_client"
IS_BUILT = os.environ.get("BANDB_HAVE_GRPC", "ON") == "ON"


class GrpcListener(Server):
    """A server that prints where it listens for gRPC before it prints where it listens."""

    def first_line(self):
        line = super().first_line()
        match = re.fullmatch(rb"grpc on (127\.0\.0\.1:\d+)\n", line)
        if match is None:
            return line
        self.grpc = match.group(1).decode()
        # It may have been read already, with the first.
        return self.process.stdout.readline()


@unittest.skipUnless(IS_BUILT, "this build has no gRPC")
class WithGrpc(ProgramTest):
    def setUp(self):
        super().setUp()
        config = self.write("bandb.toml", '[grpc]\nlisten = "127.0.0.1:0"\n')
        self.server = GrpcListener(self.scratch / "data", "--config", config)
        self.addCleanup(self.server.close)

    def test_what_the_example_puts_is_what_other_clients_get(self):
        done = run(str(CLIENT), self.server.grpc)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, b"greeting is hello\na missing key: 5\n", b""))
        self.assertEqual(cli(self.server.address, "get", "greeting").stdout, b'"hello"\n')
        self.assertEqual(self.server.terminate(), 0)

    def test_the_benchmark_puts_and_gets_every_key(self):
        done = run(BENCH, "grpc", "--addr", self.server.grpc, "--clients", "8", "--requests", "400")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        for kind in (b"put", b"get"):
            self.assertRegex(done.stdout, rb"(?m)^%s +400 requests " % kind)
        self.assertNotIn(b"errors", done.stdout)
        self.assertEqual(cli(self.server.address, "get", "0000000000000399").stdout, b'"' + b"v" * 100 + b'"\n')

    def test_connections_that_say_nothing_hold_nobody_up(self):
        port = int(self.server.grpc.rsplit(":", 1)[1])
        idle = [socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS) for _ in range(200)]
        try:
            self.assertEqual(run(str(CLIENT), self.server.grpc).returncode, 0)
            self.assertEqual(self.server.terminate(), 0)
        finally:
            for connection in idle:
                connection.close()

    def test_the_port_is_bound_once(self):
        config = self.write("second.toml", f'[grpc]\nlisten = "{self.server.grpc}"\n')
        done = run(SERVER, "--config", config, "--data", str(self.scratch / "other"), "--listen", "127.0.0.1:0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"cannot listen for clients of gRPC", done.stderr)


@unittest.skipIf(IS_BUILT, "this build has gRPC")
class WithoutGrpc(ProgramTest):
    def test_the_section_is_refused(self):
        config = self.write("bandb.toml", '[grpc]\nlisten = "127.0.0.1:0"\n')
        done = run(SERVER, "--config", config, "--data", str(self.scratch / "data"), "--listen", "127.0.0.1:0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"this build has no gRPC", done.stderr)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
