"""bandb against a server that answers as a test says: results, exit codes, and what load does in trouble."""

import os
import pty
import selectors
import struct
import sys
import time
import unittest

import wire
from programs import CLI, DEADLINE_SECONDS, ProgramTest, cli, run, wait_until


class ClientTest(ProgramTest):
    def serve(self, answer):
        server = wire.ScriptedServer(answer)
        self.addCleanup(server.close)
        return server

    def check(self, done, code, output=b"", errors=b""):
        self.assertEqual((done.returncode, done.stdout, done.stderr), (code, output, errors))


class OneCommand(ClientTest):
    def test_put_get_and_delete_do_what_the_seed_shows(self):
        server = self.serve(wire.Table())
        self.check(cli(server.address, "put", "name", "Alice"), 0, b"OK\n")
        self.check(cli(server.address, "get", "name"), 0, b'"Alice"\n')
        self.check(cli(server.address, "delete", "name"), 0, b"OK\n")
        self.check(cli(server.address, "get", "name"), 1, b"", b"(not found)\n")

    def test_values_may_hold_spaces_and_dashes(self):
        server = self.serve(wire.Table())
        self.check(cli(server.address, "put", "k", "a b", "--addr", "-c"), 0, b"OK\n")
        self.check(cli(server.address, "get", "k"), 0, b'"a b --addr -c"\n')

    def test_bytes_that_are_not_printable_are_escaped_and_raw_shows_them_as_they_are(self):
        table = wire.Table()
        table.values[b"k"] = b'\x00\x1b[2J"\\\n\xff\xc3\xa9\xe2\x80\xae'
        server = self.serve(table)
        shown = b'"\\x00\\x1b[2J\\"\\\\\\n\\xff\xc3\xa9\\xe2\\x80\\xae"\n'
        self.check(cli(server.address, "get", "k"), 0, shown)
        self.check(cli(server.address, "--raw", "get", "k"), 0, table.values[b"k"])

    def test_usage_errors_exit_with_2(self):
        for arguments in (["bogus"], ["put", "k"], ["get"], ["get", "a", "b"], ["delete"], ["load"], ["--bogus"]):
            done = cli("127.0.0.1:1", *arguments)
            self.assertEqual((arguments, done.returncode, done.stdout), (arguments, 2, b""))
        self.assertEqual(cli("127.0.0.1:1", "load", str(self.scratch / "absent")).returncode, 2)

    def test_help_exits_with_0(self):
        for arguments in (["help"], ["--help"], ["load", "--help"], ["put", "--help"], ["get", "-h"], ["delete", "--help"]):
            done = cli("127.0.0.1:1", *arguments)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"Usage", done.stdout)
        self.assertRegex(run(CLI, "--version").stdout, rb"\Abandb \d+\.\d+\.\d+\n\Z")

    def test_behind_two_dashes_a_key_may_look_like_an_option(self):
        server = self.serve(wire.Table())
        self.check(cli(server.address, "put", "--", "--help", "me"), 0, b"OK\n")
        self.check(cli(server.address, "get", "--", "--help"), 0, b'"me"\n')
        self.check(cli(server.address, "delete", "--", "--help"), 0, b"OK\n")

    def test_commands_may_be_shouted(self):
        server = self.serve(wire.Table())
        self.check(cli(server.address, "PUT", "k", "v"), 0, b"OK\n")
        self.check(cli(server.address, input=b"Get k\nDELETE k\n"), 0, b'"v"\nOK\n')

    def test_what_is_no_address_is_a_usage_error(self):
        for address in ("127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "nonsense"):
            done = cli(address, "get", "k")
            self.assertEqual((done.returncode, done.stdout), (2, b""))
            self.assertIn(address.encode(), done.stderr)

    def test_server_errors_exit_with_3_and_say_what_the_server_said(self):
        server = self.serve(lambda *_: wire.error(wire.INVALID_ARGUMENT, b"key too long"))
        self.check(cli(server.address, "put", "k", "v"), 3, b"", b"(error) INVALID_ARGUMENT: key too long\n")

    def test_no_server_exits_with_3(self):
        done = cli("127.0.0.1:1", "get", "k")
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"127.0.0.1:1", done.stderr)

    def test_a_server_that_closes_or_talks_nonsense_exits_with_3(self):
        for reply in (None, b"HTTP/1.1 400 Bad Request\r\n\r\n", wire.frame(wire.OK, b""), wire.frame(77, b"\0")):
            server = self.serve(lambda *_, reply=reply: reply)
            self.assertEqual(cli(server.address, "get", "k").returncode, 3)


class Session(ClientTest):
    def test_a_piped_session_runs_command_after_command(self):
        server = self.serve(wire.Table())
        lines = b'put name Alice\nget name\n\nput k  two words \nget k\nput "a b" "x\\x00y"\nget "a b"\n' \
                b'nonsense\nget\nget none\ndelete name\nget name\nexit\nget k\n'
        self.check(cli(server.address, input=lines), 0,
                   b'OK\n"Alice"\nOK\n"two words"\nOK\n"x\\x00y"\n'
                   b'(error) unknown command "nonsense"; help lists what there is\n(error) usage: get KEY\n'
                   b'(not found)\nOK\n(not found)\n')
        self.assertEqual(server.connections, 1)

    def test_the_session_goes_on_over_a_new_connection(self):
        table = wire.Table()
        server = self.serve(lambda number, *request: None if number == 1 else table(number, *request))
        done = cli(server.address, input=b"put a 1\nget a\nget a\n")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, rb'\AOK\n\(error\) UNAVAILABLE[^\n]*\n"1"\n\Z')

    def test_a_write_that_got_no_reply_may_have_been_done(self):
        table = wire.Table()
        server = self.serve(lambda number, *request: None if number < 3 else table(number, *request))
        for arguments, code in ((["put", "a", "1"], b"UNKNOWN"), (["delete", "a"], b"UNKNOWN"), (["get", "a"], b"UNAVAILABLE")):
            done = cli(server.address, *arguments)
            self.assertEqual((done.returncode, done.stderr[:len(b"(error) ") + len(code) + 1]), (3, b"(error) " + code + b":"))

    def test_the_session_notices_that_the_server_was_away_or_closes(self):
        table = wire.Table()
        closing = wire.error(257, b"too large")

        def answer(number, *request):
            # Behind the first reply and the third stands one that nobody asked for, as when a server says that it ends.
            reply = table(number, *request)
            return reply + wire.error(262, b"shutting down") if number in (0, 2) else closing if number == 4 else reply

        server = self.serve(answer)
        done = cli(server.address, input=b"put a 1\nget a\nget a\nget a\nget a\nget a\n")
        self.assertEqual(done.stdout, b'OK\n"1"\n"1"\n"1"\n(error) INVALID_ARGUMENT: too large\n"1"\n')
        self.assertEqual(server.connections, 4)

    def test_at_a_terminal_there_is_a_prompt_with_editing_and_history(self):
        server = self.serve(wire.Table())
        command = [CLI, "--addr", server.address, "--history", str(self.scratch / "history")]
        terminal = Terminal(command)
        terminal.at_prompt(b"put name Alicf\x7fe\n")  # a typing error and backspace
        terminal.expect(b"OK\r\n")
        terminal.at_prompt(b"get name\n")
        terminal.expect(b'"Alice"\r\n')
        terminal.at_prompt(b"\x1b[A\n")  # arrow up: the command before
        terminal.expect(b'"Alice"\r\n')
        terminal.at_prompt("put letters Größe, 日本\n".encode())
        terminal.expect(b"OK\r\n")
        self.assertEqual(server.answer.values[b"letters"], "Größe, 日本".encode())
        terminal.at_prompt(b"get name\n")
        terminal.expect(b'"Alice"\r\n')
        terminal.at_prompt(b"\x03")
        self.assertNotEqual(terminal.wait(), 0)
        again = Terminal(command)
        again.at_prompt(b"\x1b[A\n")  # what the session before typed, though it was interrupted
        again.expect(b'"Alice"\r\n')
        again.at_prompt(b"\x04")  # the end of the input
        self.assertEqual(again.wait(), 0)

    def test_a_terminal_without_a_locale_loses_no_letters(self):
        server = self.serve(wire.Table())
        command = ["/usr/bin/env", "-i", "TERM=xterm", CLI, "--addr", server.address, "--history", str(self.scratch)]
        terminal = Terminal(command)  # a history that is no file is none
        terminal.at_prompt("put k é\n".encode())
        terminal.expect(b"OK\r\n")
        self.assertEqual(server.answer.values, {b"k": "é".encode()})
        terminal.at_prompt(b"quit\n")
        self.assertEqual(terminal.wait(), 0)


class Terminal:
    """A program at a pseudo-terminal."""

    def __init__(self, command):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(command[0], command)
        self.seen = b""

    def at_prompt(self, keys):
        """Types when the editor listens: what is typed earlier meets a terminal that gives keys another meaning."""
        self.expect(b"> ")
        os.write(self.descriptor, keys)

    def expect(self, text):
        end = time.monotonic() + DEADLINE_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.descriptor, selectors.EVENT_READ)
            while text not in self.seen:
                if not selector.select(end - time.monotonic()):
                    raise AssertionError(f"expected {text!r}, saw {self.seen!r}")
                try:
                    self.seen += os.read(self.descriptor, 4096)
                except OSError as error:
                    raise AssertionError(f"expected {text!r}, saw {self.seen!r} and the end") from error
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def wait(self):
        ended = []

        def has_ended():
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            ended.append(status)
            return pid != 0

        wait_until(has_ended, "the program has ended")
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(ended[-1])


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
