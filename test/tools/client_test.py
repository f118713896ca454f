"""bandb against a server that answers as a test says: results, exit codes, sessions."""

import sys
import unittest

import wire
from client_fixture import ClientTest, Terminal
from programs import CLI, cli, run


class OneCommand(ClientTest):
    def test_put_get_and_delete_do_what_the_seed_shows(self):
        server = self.serve(wire.Table())
        self.check(cli(server.address, "put", "name", "Alice"), 0, b"OK\n")
        self.check(cli(server.address, "get", "name"), 0, b'"Alice"\n')
        self.check(cli(server.address, "delete", "name"), 0, b"OK\n")
        self.check(cli(server.address, "get", "name"), 1, b"", b"(not found)\n")

    def test_values_may_hold_spaces_and_dashes(self):
        server = self.serve(wire.Table())
        self.check(cli(server.address, "put", "k", "a b", "--odd", "-v"), 0, b"OK\n")
        self.check(cli(server.address, "get", "k"), 0, b'"a b --odd -v"\n')
        self.check(cli(server.address, "put", "k", "-v"), 0, b"OK\n")
        self.check(cli(server.address, "get", "k"), 0, b'"-v"\n')

    def test_an_option_of_the_program_after_the_key_is_not_stored(self):
        server = self.serve(wire.Table())
        done = cli("127.0.0.1:1", "put", "k", "v", "--addr", server.address)
        self.assertEqual((done.returncode, done.stdout), (2, b""))
        self.assertIn(b"--addr comes before the command", done.stderr)
        self.check(cli(server.address, "put", "--", "k", "v", "--addr"), 0, b"OK\n")
        self.assertEqual(server.answer.values, {b"k": b"v --addr"})

    def test_a_value_may_come_from_standard_input(self):
        server = self.serve(wire.Table())
        value = bytes(range(256)) * 1000 + b"\n"
        self.check(cli(server.address, "put", "k", "-", input=value), 0, b"OK\n")
        self.assertEqual(server.answer.values, {b"k": value})
        self.check(cli(server.address, "get", "--raw", "k"), 0, value)

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
        for arguments in (["help"], ["--help"], ["load", "--help"], ["put", "--help"], ["get", "-h"], ["delete", "--help"],
                          ["help", "scan"], ["help", "load"], ["config", "--help"]):
            done = cli("127.0.0.1:1", *arguments)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"Usage", done.stdout)
        self.assertIn(b"put [--ttl DURATION] KEY VALUE", cli("127.0.0.1:1", "put", "--help").stdout)
        everything = cli("127.0.0.1:1", "help").stdout
        for what in (b"[COMMAND ...]", b"Exit codes: 0 done", b"Examples:", b"  scan ", b"  config show ", b"  load "):
            self.assertIn(what, everything)
        for what in (b"Exit codes: 0 all", b"Examples:"):
            self.assertIn(what, cli("127.0.0.1:1", "load", "--help").stdout)
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

    def test_the_code_of_a_hook_is_shown(self):
        server = self.serve(lambda *_: wire.error(41000, b"not on Sundays"))
        self.check(cli(server.address, "put", "k", "v"), 3, b"", b"(error) code 41000 of a hook: not on Sundays\n")
        self.check(cli(server.address, "cas", "k", "v", "w"), 3, b"", b"(error) code 41000 of a hook: not on Sundays\n")

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
        self.check(cli(server.address, input=lines), 2, b'OK\n"Alice"\nOK\n"two words"\nOK\n"x\\x00y"\nOK\n',
                   b'(error) unknown command "nonsense"; help lists what there is\n(error) usage: get [--raw] KEY\n'
                   b'(not found)\n(not found)\n')
        self.assertEqual(server.connections, 1)

    def test_the_session_goes_on_over_a_new_connection(self):
        table = wire.Table()
        server = self.serve(lambda number, *request: None if number == 1 else table(number, *request))
        done = cli(server.address, input=b"put a 1\nget a\nget a\n")
        self.assertEqual((done.returncode, done.stdout), (3, b'OK\n"1"\n'))
        self.assertRegex(done.stderr, rb'\A\(error\) UNAVAILABLE[^\n]*\n\Z')

    def test_the_exit_code_of_a_script_is_the_highest_of_its_commands(self):
        server = self.serve(wire.Table())
        for script, code in ((b"put a 1\nget a\n", 0), (b"get b\nput a 1\n", 1), (b"get b\nput\nput a 1\n", 2), (b"", 0)):
            self.assertEqual((script, cli(server.address, input=script).returncode), (script, code))

    def test_help_and_quit_are_known_in_any_case(self):
        server = self.serve(wire.Table())
        done = cli(server.address, input=b"HELP\nhelp PUT\nQuit\nput a 1\n")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"Usage: bandb put", done.stdout)
        self.assertEqual(server.answer.values, {})

    def test_quotes_that_are_not_closed_are_told_and_nothing_is_stored(self):
        server = self.serve(wire.Table())
        done = cli(server.address, input=b'put a "C:\\dir"\nput b "unclosed\nput c "x" "y"\n')
        self.assertEqual((done.returncode, done.stdout, done.stderr.count(b"(error)")), (2, b"", 3))
        self.assertEqual(server.answer.values, {})

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
            # The first reply and the third are followed by one that nobody asked for, as when a server says that it ends.
            reply = table(number, *request)
            return reply + wire.error(262, b"shutting down") if number in (0, 2) else closing if number == 4 else reply

        server = self.serve(answer)
        done = cli(server.address, input=b"put a 1\nget a\nget a\nget a\nget a\nget a\n")
        self.assertEqual(done.stdout, b'OK\n"1"\n"1"\n"1"\n"1"\n')
        self.assertEqual(done.stderr, b'(error) INVALID_ARGUMENT: too large\n')
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


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
