"""bandb_server as a process: its flags and exit codes, its life, and the protocol as the original client speaks it."""

import json
import pathlib
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import unittest

import wire
from programs import DEADLINE_SECONDS, SERVER, ProgramTest, Server, cli, run, skipped_by, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Life(ProgramTest):
    def test_it_serves_the_client(self):
        server = self.server()
        self.assertEqual(cli(server.address, "put", "name", "Alice").stdout, b"OK\n")
        self.assertEqual(cli(server.address, "get", "name").stdout, b'"Alice"\n')
        self.assertEqual(cli(server.address, "delete", "name").stdout, b"OK\n")
        self.assertEqual(cli(server.address, "get", "name").returncode, 1)

    def test_a_name_may_have_several_addresses(self):
        server = self.server()
        port = server.address.rsplit(":", 1)[1]
        self.assertEqual(cli(f"localhost:{port}", "put", "k", "v").stdout, b"OK\n")

    def test_sigterm_and_sigint_end_it_with_0_and_the_data_stays(self):
        server = self.server()
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertEqual(cli(server.address, "put", "signal", str(number)).returncode, 0)
            self.assertEqual(server.terminate(number), 0, server.error_text())
            server.start()
            self.assertEqual(cli(server.address, "get", "signal").stdout, b'"%d"\n' % number)

    def test_an_open_connection_does_not_keep_it_from_ending(self):
        server = self.server()
        connection = wire.connect(server.address)
        connection.send(wire.put(b"k", b"v"))
        self.assertEqual(connection.read_frame(), (wire.OK, b"\0"))
        connection.send(wire.get(b"k")[:5])  # half a frame that will never be whole
        self.assertEqual(server.terminate(), 0, server.error_text())
        connection.close()

    def test_what_was_acknowledged_survives_sigkill(self):
        server = self.server()
        for generation in range(5):
            connection = wire.connect(server.address)
            keys = [b"%d:%d" % (generation, i) for i in range(300)]
            connection.send(b"".join(wire.put(key, b"value of " + key) for key in keys))
            for _ in keys:
                self.assertEqual(connection.read_frame(), (wire.OK, b"\0"))
            server.kill()
            connection.close()
            server.start()
            everything = [b"%d:%d" % (g, i) for g in range(generation + 1) for i in range(300)]
            self.assertEqual(list(wire.get_many(server.address, everything)), [b"value of " + k for k in everything])

    @skipped_by("follower", "only a standalone server has it")
    def test_a_relaxed_durability_is_announced(self):
        for durability in ("os", "sync"):
            config = self.write(f"{durability}.toml", f'[server]\ndurability = "{durability}"\n')
            server = self.server("--config", config)
            self.assertEqual(cli(server.address, "put", "k", "v").returncode, 0)
            self.assertEqual(server.terminate(), 0)
            said = server.error_text().count("acknowledged writes survive")
            self.assertEqual(said, 1 if durability == "os" else 0, server.error_text())

    def test_a_second_server_on_the_directory_is_refused(self):
        server = self.server()
        done = run(SERVER, "--data", server.data, "--listen", "127.0.0.1:0")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"FAILED_PRECONDITION", done.stderr)

    def test_a_port_in_use_is_refused(self):
        server = self.server()
        done = run(SERVER, "--data", str(self.scratch / "other"), "--listen", server.address)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(server.address.encode(), done.stderr)

    @skipped_by("follower", "only a standalone server has that durability")
    def test_connections_leave_the_database_its_files(self):
        # Of 64 files the tables of this database take up to 32, and clients that do nothing would like all the others.
        config = self.write("small.toml", '[server]\ndurability = "os"\n[storage]\nwrite_buffer = "64 KiB"\n'
                            'table = "64 KiB"\nlevel_base = "64 KiB"\n')
        server = self.server("--config", config, preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        writer = wire.connect(server.address)
        writer.send(wire.put(b"first", b""))
        self.assertEqual(writer.read_frame(), (wire.OK, b"\0"))
        idle = [wire.connect(server.address) for _ in range(100)]
        for number in range(5000):
            writer.send(wire.put(b"%d" % (number * 7919 % 5000), b"%d" % number * 40))
            message_id, payload = writer.read_frame()
            # A write that would wait for a flush is overloaded, and may come again.
            self.assertTrue(message_id == wire.OK or payload[1:3] == b"\x00\x01", payload)
        self.assertNotIn("writes stopped", server.error_text())
        for connection in [*idle, writer]:
            connection.close()
        self.assertEqual(server.terminate(), 0, server.error_text())
        self.assertIn("leave room for", server.error_text())

    def test_the_limit_of_files_is_raised_as_far_as_the_system_allows(self):
        server = self.server(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 2000)))
        soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        self.assertEqual((soft, hard), (2000, 2000))

    def test_a_directory_that_cannot_be_made_is_refused(self):
        file = self.write("file", "not a directory")
        done = run(SERVER, "--data", file + "/data", "--listen", "127.0.0.1:0")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"cannot open", done.stderr)


class Ending(ProgramTest):
    def hoarder(self, server):
        """A client that asks for more than the connection holds and takes nothing of it."""
        connection = wire.connect(server.address)
        connection.send(wire.put(b"large", b"x" * (8 << 20)))
        self.assertEqual(connection.read_frame(), (wire.OK, b"\0"))
        connection.send(wire.get(b"large") * 4)
        # The server has begun to answer, so that it has requests of this client to drain.
        self.assertNotEqual(connection.stream.recv(1), b"")
        self.addCleanup(connection.close)

    def test_a_drain_that_cuts_clients_which_do_not_read_is_in_order_and_says_how_many(self):
        config = self.write("server.toml", '[server]\ndrain_timeout = "500 ms"\nunread_timeout = "1 h"\n')
        server = self.server("--config", config)
        for _ in range(3):
            self.hoarder(server)
        self.assertEqual(server.terminate(), 0, server.error_text())
        self.assertIn("closed 3 connections whose clients did not take their replies", server.error_text())
        self.assertIn("INFO closed\n", server.error_text())

    def test_the_second_signal_ends_it_at_once(self):
        config = self.write("server.toml", '[server]\ndrain_timeout = "1 h"\nunread_timeout = "1 h"\n')
        for first, second in ((signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)):
            server = self.server("--config", config)
            self.hoarder(server)
            server.process.send_signal(first)
            wait_until(lambda: "draining" in server.error_text(), "it drains")
            self.assertEqual(server.terminate(second), 1)
            self.assertIn("stopping at once", server.error_text())
            server.start()
            self.assertEqual(len(list(wire.get_many(server.address, [b"large"]))[0]), 8 << 20)
            self.assertEqual(server.terminate(), 0)

    def test_what_begins_and_ends_is_said_once(self):
        server = self.server()
        self.assertEqual(server.terminate(), 0)
        for what in ("draining", "closed"):
            self.assertEqual(server.error_text().count(what), 1, server.error_text())

    def test_sighup_reloads_what_it_can_and_tells_what_it_cannot(self):
        config = self.write("server.toml", '[log]\nlevel = "info"\n')
        server = self.server("--config", config)
        self.write("server.toml", '[server]\nloops = 2\n[log]\nlevel = "debug"\n')
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "need a restart" in server.error_text(), "it has reloaded")
        self.assertIn('reloaded: log.level = "debug"', server.error_text())
        self.assertIn("need a restart to change: server.loops = 2", server.error_text())
        self.write("server.toml", "[log\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reload refused: " in server.error_text(), "it has refused")
        self.assertEqual(cli(server.address, "put", "k", "v").returncode, 0)
        self.assertEqual(server.terminate(), 0, server.error_text())

    def test_it_tells_the_manager_of_services_how_it_is(self):
        path = self.scratch / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.settimeout(DEADLINE_SECONDS)
            server = self.server(environment={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1000"})

            def told():
                """What it says next, but for signs of life."""
                while (lines := manager.recv(4096).decode().splitlines()) == ["WATCHDOG=1"]:
                    pass
                return lines

            ready = ["READY=1", f"STATUS=listening on {server.address}"]
            self.assertEqual(told(), ready)
            # It lives on.
            self.assertEqual([manager.recv(4096) for _ in range(3)], [b"WATCHDOG=1\n"] * 3)
            server.process.send_signal(signal.SIGHUP)
            reloading, since = told()
            self.assertEqual(reloading, "RELOADING=1")
            self.assertRegex(since, r"\AMONOTONIC_USEC=\d+\Z")
            self.assertEqual(told(), ready)
            self.assertEqual(server.terminate(), 0, server.error_text())
            self.assertEqual(told(), ["STOPPING=1", "STATUS=ending"])
        # One that is gone holds nothing up, and what is no socket is none.
        for gone in (str(path), "vsock:2:1234", "@" + "x" * 200):
            server = self.server(environment={"NOTIFY_SOCKET": gone})
            self.assertEqual(server.terminate(), 0, server.error_text())

    def test_sigusr1_opens_the_log_again_and_ends_nothing(self):
        log, moved = self.scratch / "server.log", self.scratch / "server.log.1"
        config = self.write("server.toml", f'[log]\nfile = "{log}"\nformat = "json"\n')
        server = self.server("--config", config)
        wait_until(lambda: log.exists() and log.read_text(), "it has logged")
        log.rename(moved)
        server.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: log.exists() and "reopened" in log.read_text(), "it has reopened")
        self.assertEqual(server.terminate(), 0, server.error_text())
        lines = [json.loads(line) for line in (moved.read_text() + log.read_text()).splitlines()]
        self.assertEqual(lines[-1]["message"], "closed")
        self.assertEqual({tuple(line) for line in lines}, {("time", "level", "message")})
        plain = self.server()
        plain.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: "reopened" in plain.error_text(), "it has taken the signal")
        self.assertEqual(cli(plain.address, "put", "k", "v").returncode, 0)

    def test_signals_count_while_a_node_waits_to_be_let_in(self):
        log, moved = self.scratch / "server.log", self.scratch / "server.log.1"
        settings = [f"log.file={log}", "cluster.listen=127.0.0.1:0", "cluster.join=127.0.0.1:1"]
        flags = [word for setting in settings for word in ("--set", setting)]
        with subprocess.Popen([SERVER, "--data", str(self.scratch / "node"), "--listen", "127.0.0.1:0", *flags]) as node:
            try:
                wait_until(log.exists, "it has begun")
                log.rename(moved)
                node.send_signal(signal.SIGUSR1)
                wait_until(lambda: log.exists() and "reopened" in log.read_text(), "it has reopened")
                node.send_signal(signal.SIGTERM)
                self.assertEqual(node.wait(DEADLINE_SECONDS), 0)
            finally:
                node.kill()

    def test_two_listeners_of_one_address_are_a_mistake(self):
        for server, other, section in [("127.0.0.1:7100", "127.0.0.1:7100", "redis"), ("127.0.0.1:7100", "0.0.0.0:7100", "redis"),
                                       ("localhost:7100", "127.0.0.1:7100", "admin")]:
            config = self.write("server.toml", f'[server]\nlisten = "{server}"\n[{section}]\nlisten = "{other}"\n')
            done = run(SERVER, "--check-config", "--config", config)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f"{section}.listen is the address of server.listen, too", done.stderr.decode())
        config = self.write("server.toml", '[server]\nlisten = "127.0.0.1:0"\n[redis]\nlisten = "127.0.0.1:0"\n')
        self.assertEqual(run(SERVER, "--check-config", "--config", config).returncode, 0)

    def test_a_limit_on_the_size_of_files_refuses_writes_and_ends_nothing(self):
        limit = 2 << 20
        server = self.standalone_server(preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        connection = wire.connect(server.address)
        connection.send(wire.put(b"first", b"value"))
        self.assertEqual(connection.read_frame(), (wire.OK, b"\0"))
        reply = wire.OK
        while reply == wire.OK:
            connection.send(wire.put(b"k", b"x" * 100_000))
            reply, _ = connection.read_frame()
        connection.send(wire.get(b"first"))
        self.assertEqual(wire.value_of(*connection.read_frame()), b"value")
        connection.close()
        self.assertIn(server.terminate(), (0, 1), server.error_text())

    def test_a_server_that_has_lost_its_directory_says_so_and_stops(self):
        server = self.server()
        self.assertEqual(cli(server.address, "put", "k", "v").returncode, 0)
        (self.scratch / "data").rename(self.scratch / "elsewhere")
        self.assertEqual(server.process.wait(DEADLINE_SECONDS), 3)
        server.process.stdout.close()
        self.assertIn("data is gone", server.error_text())
        (self.scratch / "elsewhere").rename(self.scratch / "data")
        server.start()
        self.assertEqual(cli(server.address, "get", "k").stdout, b'"v"\n')
        # Another directory in its place is no better.
        (self.scratch / "data").rename(self.scratch / "elsewhere")
        shutil.copytree(self.scratch / "elsewhere", self.scratch / "data")
        self.assertEqual(server.process.wait(DEADLINE_SECONDS), 3)
        server.process.stdout.close()
        self.assertIn("was replaced by another", server.error_text())

    def test_a_database_that_cannot_be_closed_makes_the_exit_code_1(self):
        config = self.write("server.toml", '[storage]\nwrite_buffer = "64 KiB"\n')
        server = self.standalone_server("--config", config)
        groups = self.scratch / "data" / "groups"
        # The server holds on to a directory that is only renamed; in one that is removed it can make no file.
        shutil.copytree(groups, self.scratch / "groups")
        shutil.rmtree(groups)
        connection = wire.connect(server.address)
        code = 0
        while code in (0, wire.OVERLOADED):
            connection.send(wire.put(b"k", b"x" * 10_000))
            reply, payload = connection.read_frame()
            code = 0 if reply == wire.OK else struct.unpack_from("<H", payload, 1)[0]
        connection.close()
        (self.scratch / "groups").rename(groups)
        self.assertEqual(server.terminate(), 1, server.error_text())
        self.assertIn("closing the database: INTERNAL", server.error_text())
        server.start()
        self.assertEqual(server.terminate(), 0, server.error_text())


class Flags(ProgramTest):
    def check(self, text, *arguments):
        return run(SERVER, "--config", self.write("server.toml", text), "--check-config", *arguments)

    def test_help_and_version(self):
        self.assertRegex(run(SERVER, "--version").stdout, rb"\d+\.\d+\.\d+")
        done = run(SERVER, "--help")
        self.assertEqual(done.returncode, 0)
        for what in (b"--config", b"--listen", b"--data", b"--check-config", b"--show-config", b"--version", b"Exit codes: 0 ",
                     b"Examples:"):
            self.assertIn(what, done.stdout)

    def test_the_configuration_that_is_shown_is_the_one_that_is_used(self):
        done = run(SERVER, "--config", self.write("server.toml", "[server]\nloops = 3\n"), "--data", "/x", "--show-config")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"\nloops = 3\n", done.stdout)
        self.assertIn(b'\ndata = "/x"\n', done.stdout)
        again = run(SERVER, "--config", self.write("shown.toml", done.stdout), "--show-config")
        self.assertEqual(again.stdout, done.stdout)

    def test_unknown_flags_and_words_exit_with_2(self):
        for arguments in (["--bogus"], ["word"], ["--listen"]):
            done = run(SERVER, *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, b""))

    def test_empty_arguments_exit_with_2(self):
        for flag in ("--config", "--listen", "--data"):
            done = run(SERVER, "--check-config", flag, "")
            self.assertEqual((done.returncode, done.stdout), (2, b""))
            self.assertIn(flag.encode(), done.stderr)

    def test_a_good_configuration_is_called_good(self):
        done = self.check('[server]\nlisten = "127.0.0.1:0"\n[storage]\nwrite_buffer = "8 MiB"\n')
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"configuration OK\n", b""))

    def test_mistakes_are_refused_with_file_line_and_the_nearest_name(self):
        done = self.check('[server]\nlisen = "127.0.0.1:0"\nkeepalive = 5\n\n[storage]\nwrite_buffer = 64\n')
        self.assertEqual((done.returncode, done.stdout), (2, b""))
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 3, lines)
        self.assertRegex(lines[0], r"server\.toml:2: there is no server\.lisen; did you mean listen\?")
        self.assertRegex(lines[1], r"server\.toml:3: server\.keepalive takes a duration with its unit")
        self.assertRegex(lines[2], r"server\.toml:6: storage\.write_buffer takes a size with its unit")

    def test_what_is_out_of_range_is_refused(self):
        done = self.check("[server]\nloops = 0\n[storage]\nbackground_threads = 1000\n")
        self.assertEqual(done.returncode, 2)
        lines = done.stderr.decode().splitlines()
        self.assertRegex(lines[0], r"server\.toml:2: server\.loops is 0, not between 1 and 64")
        self.assertRegex(lines[1], r"server\.toml:4: storage\.background_threads is 1000, not between 1 and 64")

    def test_what_is_no_address_is_refused_before_anything_is_touched(self):
        for listen in ("127.0.0.1", "127.0.0.1:65536", "127.0.0.1:x", "::1:80", "nonsense"):
            done = self.check("", "--listen", listen)
            self.assertEqual((done.returncode, done.stdout), (2, b""))
            self.assertIn(listen.encode(), done.stderr)
            done = run(SERVER, "--listen", listen, "--data", str(self.scratch / "data"))
            self.assertEqual((done.returncode, (self.scratch / "data").exists()), (2, False))

    def test_a_host_that_does_not_exist_is_refused_before_a_database_is_made(self):
        for listen in ("no-such-host.invalid:80", "256.0.0.1:80"):
            done = run(SERVER, "--listen", listen, "--data", str(self.scratch / "data"))
            self.assertEqual((done.returncode, done.stdout), (2, b""))
            self.assertIn(b"server.listen is '" + listen.encode() + b"': ", done.stderr)
            self.assertFalse((self.scratch / "data").exists())
            done = self.check(f'[server]\nlisten = "{listen}"\n')
            self.assertEqual((done.returncode, done.stdout), (2, b""))
            self.assertRegex(done.stderr.decode(), r"server\.toml:2: server\.listen is '")

    def test_mistakes_of_all_kinds_are_told_at_once(self):
        done = self.check("[server]\nloops = 0\nlisen = 1\nkeepalive = 5\n")
        self.assertEqual([line.split(": ")[0].split(":")[-1] for line in done.stderr.decode().splitlines()], ["2", "3", "4"])

    def test_a_key_of_very_many_parts_is_a_mistake_and_no_crash(self):
        done = self.check("a" + ".a" * 100_000 + " = 1\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"server.toml:1: a key of more than 9 parts", done.stderr)

    def test_a_file_that_is_no_toml_or_absent_is_refused(self):
        done = self.check("[server\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"server.toml:1:", done.stderr)
        done = run(SERVER, "--config", str(self.scratch / "absent.toml"))
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"absent.toml", done.stderr)

    def test_flags_override_the_file(self):
        config = self.write("server.toml", '[server]\nlisten = "256.0.0.1:1"\n[storage]\ndata = "/dev/null/x"\n')
        server = self.server("--config", config)  # with --listen and --data of its own
        self.assertEqual(cli(server.address, "put", "a", "b").returncode, 0)


class Reference(ProgramTest):
    def test_the_reference_lists_every_key_and_its_example_is_a_good_configuration(self):
        source = (ROOT / "tools/bandb_server/settings.cc").read_text()
        keys = {".".join(match) for match in re.findall(r'\(\s*"(server|storage|log|cluster)", "(\w+)"', source)}
        keys |= {"cluster." + key for key in re.findall(r'\btext\("(\w+)"', source)}
        self.assertGreater(len(keys), 25)
        document = (ROOT / "docs/operations.md").read_text()
        self.assertEqual(set(re.findall(r"^\| `((?:server|storage|log|cluster)\.\w+)`", document, re.MULTILINE)), keys)

    def test_the_example_of_the_reference_is_good(self):
        document = (ROOT / "docs/operations.md").read_text()
        (example,) = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
        done = run(SERVER, "--config", self.write("server.toml", example), "--check-config")
        self.assertEqual((done.returncode, done.stderr), (0, b""))


class Protocol(ProgramTest):
    def setUp(self):
        super().setUp()
        self.process = self.server()
        self.connection = wire.connect(self.process.address)
        self.addCleanup(self.connection.close)

    def expect_error(self):
        message_id, payload = self.connection.read_frame()
        self.assertEqual((message_id, payload[:1]), (wire.ERROR, b"\x01"))
        code, length = struct.unpack_from("<HI", payload, 1)
        self.assertEqual(len(payload), 7 + length)
        return code

    def test_replies_are_those_of_the_original(self):
        self.connection.send(wire.put(b"name", b"Alice") + wire.get(b"name") + wire.delete(b"name") +
                             wire.delete(b"name") + wire.get(b"name"))
        self.assertEqual(self.connection.read_frame(), (wire.OK, b"\x00"))
        self.assertEqual(self.connection.read_frame(), (wire.OK, b"\x00\x05\x00\x00\x00Alice"))
        self.assertEqual(self.connection.read_frame(), (wire.OK, b"\x00"))
        self.assertEqual(self.connection.read_frame(), (wire.OK, b"\x00"))
        self.assertEqual(self.expect_error(), wire.NOT_FOUND)

    def test_a_frame_may_arrive_byte_by_byte(self):
        for byte in wire.put(b"k", b"v") + wire.get(b"k"):
            self.connection.send(bytes([byte]))
        self.assertEqual(self.connection.read_frame(), (wire.OK, b"\x00"))
        self.assertEqual(self.connection.read_frame(), (wire.OK, b"\x00\x01\x00\x00\x00v"))

    def test_empty_keys_and_values_and_all_bytes(self):
        every_byte = bytes(range(256))
        self.connection.send(wire.put(b"", every_byte) + wire.put(every_byte, b"") + wire.get(b"") + wire.get(every_byte))
        replies = [self.connection.read_frame() for _ in range(4)]
        self.assertEqual(replies[2], (wire.OK, b"\x00\x00\x01\x00\x00" + every_byte))
        self.assertEqual(replies[3], (wire.OK, b"\x00\x00\x00\x00\x00"))

    def test_malformed_payloads_and_unknown_ids_get_errors_and_the_connection_stays(self):
        bad = [wire.frame(wire.PUT, b""), wire.frame(wire.PUT, struct.pack("<II", 1, 1) + b"k"),
               wire.frame(wire.PUT, struct.pack("<II", 1, 1) + b"kv+"), wire.frame(wire.GET, struct.pack("<I", 9) + b"k"),
               wire.frame(wire.PUT, struct.pack("<II", 0xffffffff, 0xffffffff)), wire.frame(wire.DELETE, b"\0\0"),
               wire.frame(0, b""), wire.frame(4, b"\0"), wire.frame(12345, b"x")]
        self.connection.send(b"".join(bad) + wire.put(b"k", b"v"))
        for _ in bad:
            self.expect_error()
        self.assertEqual(self.connection.read_frame(), (wire.OK, b"\x00"))

    def test_an_oversized_frame_gets_an_error_and_the_connection_is_closed(self):
        self.connection.send(struct.pack("<II", 0x7fffffff, wire.PUT))
        self.expect_error()
        self.assertIsNone(self.connection.read_frame())

    def test_noise_and_other_protocols_do_no_harm(self):
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"*1\r\n$4\r\nPING\r\n", b"\xff" * 100, b"\0" * 7):
            other = wire.connect(self.process.address)
            other.send(noise)
            other.close()
        self.connection.send(wire.put(b"k", b"v"))
        self.assertEqual(self.connection.read_frame(), (wire.OK, b"\x00"))

    def test_a_hundred_connections_at_once(self):
        connections = [wire.connect(self.process.address) for _ in range(100)]
        for i, connection in enumerate(connections):
            connection.send(wire.put(b"%d" % i, b"of %d" % i) + wire.get(b"%d" % i))
        for i, connection in enumerate(connections):
            self.assertEqual(connection.read_frame(), (wire.OK, b"\x00"))
            value = b"of %d" % i
            self.assertEqual(connection.read_frame(), (wire.OK, b"\x00" + struct.pack("<I", len(value)) + value))
            connection.close()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
