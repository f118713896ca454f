"""bandb load: what it reads, what it stores, and what it does in trouble."""

import struct
import sys
import unittest

import wire
from client_fixture import ClientTest, Terminal
from programs import CLI, cli


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
        done = cli(server.address, "load", "--window", "1", "-", input=b"a\nb\nc\n")
        self.assertEqual((done.returncode, len(seen)), (0, 3))

    def test_a_refused_line_is_reported_and_the_others_are_loaded(self):
        table = wire.Table()

        def answer(number, message_id, payload):
            if payload.endswith(b"bad"):
                return wire.error(wire.INVALID_ARGUMENT, b"not liked")
            return table(number, message_id, payload)

        server = self.serve(answer)
        done = cli(server.address, "load", "-", input=b"good\nbad\ngood\n")
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
        done = cli(server.address, "load", "--retry-for", "0.2", "-", input=b"a\nb\nc\nd\n")
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"--skip 2", done.stderr)
        again = self.serve(wire.Table())
        done = cli(again.address, "load", "--skip", "2", "-", input=b"a\nb\nc\nd\n")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(again.answer.values, {b"line:000000000003": b"c", b"line:000000000004": b"d"})

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

    def test_the_requests_are_those_of_the_protocol(self):
        server = self.serve(wire.Table())
        cli(server.address, "load", "-", input=b"v\n")
        self.assertEqual(server.requests, [(wire.PUT, struct.pack("<II", 17, 1) + b"line:000000000001v")])


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
