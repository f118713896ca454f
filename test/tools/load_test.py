"""bandb load: what it reads, what it stores, and what it does in trouble."""

import gzip
import os
import signal
import struct
import subprocess
import sys
import threading
import unittest

import wire
from client_fixture import ClientTest, Terminal
from programs import CLI, DEADLINE_SECONDS, cli, let_pass, wait_until


def zstd_frame(data):
    """A frame of zstd (RFC 8878) whose blocks are stored as they are."""
    blocks = [data[at:at + 100_000] for at in range(0, len(data), 100_000)]
    frame = struct.pack("<IBI", 0xfd2fb528, 0xa0, len(data))
    for number, block in enumerate(blocks):
        is_last = number == len(blocks) - 1
        frame += struct.pack("<I", is_last | len(block) << 3)[:3] + block
    return frame


class Load(ClientTest):
    def test_lines_get_keys_of_prefix_and_number(self):
        table = wire.Table()
        server = self.serve(table)
        one, two = self.write("one", "first\nsecond\n\n"), self.write("two", "no end")
        done = cli(server.address, "load", "--prefix", "log:", "--first", "7", one, two)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"loaded 4 lines", done.stdout)
        self.assertEqual(table.values, {b"log:000000000007": b"first", b"log:000000000008": b"second",
                                        b"log:000000000009": b"", b"log:000000000010": b"no end"})

    def test_numbers_that_are_none_exit_with_2(self):
        lines = self.write("lines", "a\n")
        for flag in ("--first", "--skip", "--window"):
            for number in ("-1", "99999999999999999999", "x", ""):
                done = cli("127.0.0.1:1", "load", flag, number, lines)
                self.assertEqual((flag, number, done.returncode, done.stdout), (flag, number, 2, b""))

    def test_a_delimiter_splits_lines_into_key_and_value(self):
        table = wire.Table()
        server = self.serve(table)
        done = cli(server.address, "load", "--delimiter", "::", "-", input=b"a::1\nb::2::3\nnone\n")
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"line 3: no delimiter", done.stderr)
        self.assertEqual(table.values, {b"a": b"1", b"b": b"2::3"})

    def test_what_was_not_acknowledged_is_sent_again_in_order_after_the_connection_broke(self):
        table = wire.Table()

        def answer(number, *request):
            return None if number in (3, 50, 51, 200) else table(number, *request)

        server = self.serve(answer)
        lines = b"".join(b"%d=%d\n" % (i % 10, i) for i in range(300))
        done = cli(server.address, "load", "--delimiter", "=", "-", input=lines)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"loaded 300 lines", done.stdout)
        self.assertIn(b"reconnected 4 times", done.stdout)
        self.assertEqual(table.values, {b"%d" % i: b"%d" % (290 + i) for i in range(10)})

    def test_overload_is_answered_by_sending_again_in_order(self):
        table = wire.Table()

        def answer(number, *request):
            return wire.error(wire.OVERLOADED, b"later") if number % 97 == 5 and number < 300 else table(number, *request)

        server = self.serve(answer)
        lines = b"".join(b"%d=%d\n" % (i % 10, i) for i in range(300))
        done = cli(server.address, "load", "--window", "64", "--delimiter", "=", "-", input=lines)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(table.values, {b"%d" % i: b"%d" % (290 + i) for i in range(10)})

    def test_a_person_who_watches_sees_a_bar_and_a_script_does_not(self):
        server = self.serve(wire.Table())
        file = self.write("lines", "x\n" * 40)
        terminal = Terminal([CLI, "--addr", server.address, "load", file])
        terminal.expect(b"0 lines, 0 lines/s [")
        terminal.expect(b"40 lines, ")
        terminal.expect(b" lines/s [" + 30 * b"#" + b"] 100%\r\n")
        terminal.expect(b"loaded 40 lines")
        self.assertEqual(terminal.wait(), 0)
        script = cli(server.address, "load", file)
        self.assertEqual((script.returncode, script.stderr), (0, b""))

    def test_the_window_bounds_what_is_under_way(self):
        seen = []

        def answer(number, *request):
            seen.append(request)
            return wire.ok()

        server = self.serve(answer)
        done = cli(server.address, "load", "--overwrite", "--window", "1", "-", input=b"a\nb\nc\n")
        self.assertEqual((done.returncode, len(seen)), (0, 3))

    def test_a_refused_line_is_reported_and_the_others_are_loaded(self):
        table = wire.Table()

        def answer(number, message_id, payload):
            if payload.endswith(b"bad"):
                return wire.error(wire.INVALID_ARGUMENT, b"not liked")
            return table(number, message_id, payload)

        server = self.serve(answer)
        done = cli(server.address, "load", "--overwrite", "-", input=b"good\nbad\ngood\n")
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"1 lines were refused; the first: line 2: not liked", done.stderr)
        self.assertEqual(sorted(table.values.values()), [b"good", b"good"])

    def test_it_gives_up_when_the_server_stays_away_and_says_where_to_go_on(self):
        table = wire.Table()

        def answer(number, *request):
            if number == 2:
                server.close()
                return None
            return table(number, *request)

        server = self.serve(answer)
        done = cli(server.address, "load", "--overwrite", "--retry-for", "0.2", "-", input=b"a\nb\nc\nd\n")
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"--skip 2", done.stderr)
        again = self.serve(wire.Table())
        done = cli(again.address, "load", "--skip", "2", "-", input=b"a\nb\nc\nd\n")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(again.answer.values, {b"line:000000000003": b"c", b"line:000000000004": b"d"})

    def test_what_waits_for_its_input_has_not_been_without_progress(self):
        for flags in ((), ("--overwrite",), ("--delimiter", "=")):
            table = wire.Table()
            breaks = []

            def answer(number, *request):
                return None if breaks and breaks.pop() else table(number, *request)

            server = self.serve(answer)
            with subprocess.Popen([CLI, "--addr", server.address, "load", *flags, "--retry-for", "4", "-"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as load:
                self.addCleanup(load.kill)
                load.stdin.write(b"a=1\n")
                load.stdin.flush()
                wait_until(lambda: table.values, "the first line is stored")
                let_pass(4.3)
                breaks.append(True)
                load.stdin.write(b"b=2\n")
                done = load.communicate(timeout=DEADLINE_SECONDS)
            self.assertEqual((load.returncode, done[1]), (0, b""), flags)
            self.assertEqual(len(table.values), 2)

    def test_a_line_that_is_too_long_is_told_by_its_number_and_the_others_are_loaded(self):
        table = wire.Table()
        server = self.serve(table)
        file = self.write("long", b"one\ntwo\n" + b"x" * (65 << 20) + b"\nfour\n")
        done = cli(server.address, "load", file)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"1 lines were refused; the first: line 3: longer than 64 MiB\n", done.stderr)
        self.assertEqual(sorted(table.values.values()), [b"four", b"one", b"two"])
        done = cli(server.address, "load", "--skip", "3", file)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_where_to_go_on_is_never_after_a_line_that_is_not_settled(self):
        # The third line is never acknowledged; that those after it were refused says nothing about it.
        def answer(number, *request):
            if number == 2:
                server.close()
                return None
            return table(number, *request)

        table = wire.Table()
        server = self.serve(answer)
        lines = b"a=1\nb=2\nc=3\nno delimiter\nnone here\nd=4\n"
        done = cli(server.address, "load", "--retry-for", "0.2", "--delimiter", "=", "-", input=lines)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"--skip 2\n", done.stderr)
        again = self.serve(table)
        cli(again.address, "load", "--skip", "2", "--delimiter", "=", "-", input=lines)
        self.assertEqual(table.values, {b"a": b"1", b"b": b"2", b"c": b"3", b"d": b"4"})

    def test_pipes_and_compressed_files_are_read(self):
        lines = b"".join(b"line %d\n" % i for i in range(20000))
        expected = {b"line:%012d" % (i + 1): b"line %d" % i for i in range(20000)}
        files = {"gz": gzip.compress(lines[:100]) + gzip.compress(lines[100:]),
                 "zst": zstd_frame(lines[:100]) + zstd_frame(lines[100:])}
        for name, data in files.items():
            for pipe in (False, True):
                with self.subTest(name=name, pipe=pipe):
                    server = self.serve(wire.Table())
                    file = self.write("file." + name, data)
                    done = cli(server.address, "load", "-" if pipe else file, input=data if pipe else b"")
                    self.assertEqual((done.returncode, done.stderr), (0, b""))
                    self.assertEqual(server.answer.values, expected)
                    done = cli(server.address, "load", "--prefix", "cut:", self.write("cut", data[:-9]))
                    self.assertEqual(done.returncode, 3)
                    self.assertIn(b"ends in the middle of compressed data", done.stderr)
        server = self.serve(wire.Table())
        self.assertEqual(cli(server.address, "load", "--as-is", self.write("x.gz", b"\x1f\x8bx\n")).returncode, 0)
        self.assertEqual(server.answer.values, {b"line:000000000001": b"\x1f\x8bx"})

    def test_a_named_pipe_is_a_file_like_any_other(self):
        server = self.serve(wire.Table())
        pipe = str(self.scratch / "pipe")
        os.mkfifo(pipe)
        load = subprocess.Popen([CLI, "--addr", server.address, "load", pipe], stdout=subprocess.PIPE)
        self.addCleanup(load.kill)
        with open(pipe, "wb") as writer:
            writer.write(b"one\ntwo")
        self.assertIn(b"loaded 2 lines", load.communicate(timeout=DEADLINE_SECONDS)[0])
        self.assertEqual((load.returncode, sorted(server.answer.values.values())), (0, [b"one", b"two"]))
        self.assertEqual(cli(server.address, "load", str(self.scratch)).returncode, 2)

    def test_line_ends_of_two_bytes_are_dropped_when_told(self):
        server = self.serve(wire.Table())
        self.assertEqual(cli(server.address, "load", "--crlf", "-", input=b"a\r\n\r\nb\rc\r\nd").returncode, 0)
        self.assertEqual(list(server.answer.values.values()), [b"a", b"", b"b\rc", b"d"])

    def test_a_delimiter_may_be_an_escape(self):
        server = self.serve(wire.Table())
        self.assertEqual(cli(server.address, "load", "--delimiter", "\\t", "-", input=b"k\tv\tw\n").returncode, 0)
        self.assertEqual(server.answer.values, {b"k": b"v\tw"})
        self.assertEqual(cli(server.address, "load", "--delimiter", "\\q", "-", input=b"").returncode, 2)

    def test_the_keys_of_another_file_are_not_overwritten_unless_told(self):
        server = self.serve(wire.Table())
        # The first line may well be the same.
        one, two = self.write("one", "header\na\nb\n"), self.write("two", "header\nx\n")
        self.assertEqual(cli(server.address, "load", one).returncode, 0)
        before = dict(server.answer.values)
        done = cli(server.address, "load", two)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"line:000000000002 holds another value than line 2: nothing was stored", done.stderr)
        self.assertIn(b"--prefix", done.stderr)
        self.assertEqual(server.answer.values, before)
        # The same file may be loaded again, from wherever, and another one under other keys, or when told.
        self.assertEqual(cli(server.address, "load", one).returncode, 0)
        self.assertEqual(cli(server.address, "load", "--skip", "1", one).returncode, 0)
        self.assertEqual(cli(server.address, "load", "--prefix", "two:", two).returncode, 0)
        self.assertEqual(cli(server.address, "load", "--overwrite", two).returncode, 0)
        self.assertEqual(server.answer.values[b"line:000000000002"], b"x")

    def test_no_key_of_another_file_is_overwritten_however_late_and_however_slowly_its_lines_come(self):
        server = self.serve(wire.Table())
        one = self.write("one", "".join(f"{i}\n" for i in range(3000)))
        self.assertEqual(cli(server.address, "load", one).returncode, 0)
        before = dict(server.answer.values)
        for same in (1, 150, 2900):
            two = self.write("two", "".join(f"{i if i < same else 'x'}\n" for i in range(4000)))
            done = cli(server.address, "load", two)
            self.assertEqual(done.returncode, 3)
            self.assertIn(b"line:%012d holds another value than line %d" % (same + 1, same + 1), done.stderr)
            self.assertEqual(server.answer.values, before)
        # Each line by itself, the next one once the one before was stored.
        load = subprocess.Popen([CLI, "--addr", server.address, "load", "-"], stdin=subprocess.PIPE,
                                stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.addCleanup(load.kill)
        for line in (b"0\n", b"1\n", b"mine\n"):
            seen = len(server.requests)
            load.stdin.write(line)
            load.stdin.flush()
            wait_until(lambda: len(server.requests) > seen, "the line has come")
        load.stdin.close()
        self.assertIn(b"line:000000000003 holds another value than line 3", load.stderr.read())
        self.assertEqual(load.wait(DEADLINE_SECONDS), 3)
        load.stderr.close()
        self.assertEqual(server.answer.values, before)

    def test_where_to_go_on_names_the_lines_before_it_that_were_refused(self):
        table = wire.Table()

        def answer(number, message, payload):
            if b"bad" in payload and message == wire.PUT:
                return wire.error(wire.INVALID_ARGUMENT, b"not this one")
            if b"end" in payload and message == wire.PUT:
                return wire.error(13, b"broken")
            return table(number, message, payload)

        server = self.serve(answer)
        done = cli(server.address, "load", "--overwrite", "--window", "1", "-", input=b"a\nbad\nb\nbad\nend\nbad\n")
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"to go on where it stopped: --skip 4\n"
                      b"refused before that, and not stored: lines 2 4\n", done.stderr)

    def test_an_interrupted_load_says_where_to_go_on(self):
        table = wire.Table()
        third, release = threading.Event(), threading.Event()

        def answer(number, *request):
            if number == 2:
                third.set()
                release.wait(DEADLINE_SECONDS)
                return None
            return table(number, *request)

        server = self.serve(answer)
        self.addCleanup(release.set)
        for number in (signal.SIGINT, signal.SIGTERM):
            server.requests.clear()
            third.clear()
            release.clear()
            load = subprocess.Popen([CLI, "--addr", server.address, "load", "--overwrite", "--window", "1", "-"],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(load.kill)
            load.stdin.write(b"a\nb\nc\nd\n")
            load.stdin.flush()
            self.assertTrue(third.wait(DEADLINE_SECONDS))
            load.send_signal(number)
            self.assertEqual(load.wait(DEADLINE_SECONDS), -number)
            self.assertIn(b"interrupted; to go on: --skip 2\n", load.communicate()[1])
            release.set()
            wait_until(lambda: server.connections == server.closed, "the server has let go")

    def test_a_reply_that_comes_slowly_is_waited_for(self):
        line = b"v" * 150
        server = self.serve(wire.Table())
        waits = threading.Event()

        def talk(connection):
            while (request := connection.read_frame()) is not None:
                if request[0] != wire.GET:
                    connection.send(wire.ok())
                    continue
                # In sum longer than the client waits for the next byte, which is a second here.
                for byte in wire.ok(line):
                    waits.wait(0.01)
                    connection.send(bytes([byte]))

        server.talk = talk
        done = cli(server.address, "load", "--retry-for", "1", "-", input=line)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_a_limit_of_the_server_is_told_with_the_name_of_its_setting(self):
        server = self.serve(lambda *_: wire.error(257, b"the frame exceeds the limit"))
        done = cli(server.address, "load", "--overwrite", "-", input=b"a\n")
        self.assertIn(b"the frame exceeds the limit (server.frame_max in the configuration of the server)", done.stderr)

    def test_the_requests_are_those_of_the_protocol(self):
        server = self.serve(wire.Table())
        cli(server.address, "load", "--overwrite", "-", input=b"v\n")
        self.assertEqual(server.requests, [(wire.PUT, struct.pack("<II", 17, 1) + b"line:000000000001v")])


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
