"""Users and TLS as an operator meets them: bandb user, the files, the flags of bandb, and a server that takes changes over."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
import unittest

from programs import CLI, DEADLINE_SECONDS, SERVER, ProgramTest, Server, cli, run

OPENSSL = shutil.which("openssl")


def environment(**more):
    return {**os.environ, **more}


class TlsServer(Server):
    """One that says first where it serves TLS."""

    def first_line(self):
        while True:
            # Both may have come at once, which a selector would not see.
            line = self.process.stdout.readline()
            if not line.startswith(b"tls on "):
                return line
            self.tls = line.decode().split()[-1]


class UsersTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.users = os.path.join(str(self.scratch), "users.toml")

    def add(self, name, *allows):
        arguments = [part for allow in allows for part in ("--allow", allow)]
        result = run(CLI, "user", "add", name, "--file", self.users, *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, b""), name)
        return result.stdout.decode().strip()

    def start(self, config):
        path = os.path.join(str(self.scratch), "server.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        server = Server(os.path.join(str(self.scratch), "data"), "--config", path)
        self.addCleanup(server.close)
        return server

    def token_file(self, token):
        path = os.path.join(str(self.scratch), "token")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(token + "\n")
        return path

    def expect(self, address, arguments, code, text, **options):
        result = run(CLI, "--addr", address, *arguments, **options)
        self.assertEqual(result.returncode, code, result)
        self.assertIn(text, result.stdout + result.stderr)

    def wait_for(self, server, text):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while text not in server.error_text():
            self.assertLess(time.monotonic(), deadline, server.error_text())
            time.sleep(0.02)

    def test_a_user_is_added_listed_and_revoked(self):
        token = self.add("app", "read,write:orders/")
        self.add("ops", "admin", "read")
        self.assertRegex(token, r"^bandb_[A-Za-z0-9_-]{43}$")
        self.assertEqual(stat.S_IMODE(os.stat(self.users).st_mode), 0o600)
        with open(self.users, encoding="utf-8") as file:
            self.assertNotIn(token, file.read())
        self.assertEqual(run(CLI, "user", "list", "--file", self.users).stdout, b"app read,write:orders/\nops admin read\n")
        again = run(CLI, "user", "add", "app", "--file", self.users)
        self.assertEqual((again.returncode, again.stderr), (2, b"bandb user: there is a user app already\n"))
        wrong = run(CLI, "user", "add", "new", "--file", self.users, "--allow", "reed")
        self.assertEqual(wrong.returncode, 2)
        self.assertEqual(run(CLI, "user", "revoke", "app", "--file", self.users).returncode, 0)
        self.assertEqual(run(CLI, "user", "revoke", "app", "--file", self.users).returncode, 1)
        self.assertEqual(run(CLI, "user", "list", "--file", self.users).stdout, b"ops admin read\n")
        os.chmod(self.users, 0o644)
        readable = run(CLI, "user", "list", "--file", self.users)
        self.assertEqual(readable.returncode, 2)
        self.assertIn(b"chmod 600", readable.stderr)

    @unittest.skipIf(os.getuid() != 0, "only the superuser gives files away")
    def test_a_file_of_the_superuser_is_for_the_group_of_a_directory_that_is_closed_to_others(self):
        folder = self.scratch / "etc"
        folder.mkdir()
        os.chown(folder, -1, 12345)
        link = self.scratch / "link"
        for mode, group, rights in ((0o750, 12345, 0o640), (0o755, os.getegid(), 0o600)):
            os.chmod(folder, mode)
            users = folder / f"users-{mode:o}"
            link.unlink(missing_ok=True)
            link.symlink_to(users)
            for name, file in (("app", users), ("ops", users), ("web", link)):
                self.assertEqual(run(CLI, "user", "add", name, "--file", str(file)).returncode, 0)
                found = users.stat()
                self.assertEqual((found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)), (0, group, rights))
            # What its owner has chosen stays.
            os.chown(users, -1, 0)
            os.chmod(users, 0o600)
            self.assertEqual(run(CLI, "user", "revoke", "app", "--file", str(users)).returncode, 0)
            self.assertEqual((users.stat().st_gid, stat.S_IMODE(users.stat().st_mode)), (0, 0o600))

    def test_changes_at_once_all_arrive(self):
        programs_at_once = [
            subprocess.Popen([CLI, "user", "add", f"u{i}", "--file", self.users, "--allow", "read"], stdout=subprocess.PIPE)
            for i in range(12)]
        for program in programs_at_once:
            self.assertRegex(program.communicate(timeout=DEADLINE_SECONDS)[0], rb"^bandb_")
            self.assertEqual(program.returncode, 0)
        listed = run(CLI, "user", "list", "--file", self.users).stdout.decode().split("\n")
        self.assertEqual(sorted(listed), sorted(["", *(f"u{i} read" for i in range(12))]))

    def test_a_link_leads_to_the_file_that_is_changed(self):
        self.add("app", "read")
        link = os.path.join(str(self.scratch), "link.toml")
        os.symlink("users.toml", link)
        self.assertEqual(run(CLI, "user", "revoke", "app", "--file", link).returncode, 0)
        self.assertTrue(os.path.islink(link))
        self.assertEqual(run(CLI, "user", "list", "--file", self.users).stdout, b"")
        # A file that is not there is no user that is not there.
        self.assertEqual(run(CLI, "user", "revoke", "app", "--file", link).returncode, 1)
        self.assertEqual(run(CLI, "user", "revoke", "app", "--file", link + "x").returncode, 2)
        self.assertFalse(os.path.exists(link + "x"))

    def test_a_server_with_users_serves_them_and_takes_changes_over(self):
        app = self.token_file(self.add("app", "read,write:orders/"))
        ops = self.add("ops", "admin")
        server = self.start(f'[users]\nfile = "{self.users}"\n')
        self.expect(server.address, ["put", "orders/1", "x"], 3, b"UNAUTHENTICATED")
        login = ["--user", "app", "--token-file", app]
        self.expect(server.address, [*login, "put", "orders/1", "x"], 0, b"")
        self.expect(server.address, [*login, "get", "orders/1"], 0, b'"x"')
        self.expect(server.address, [*login, "get", "other"], 3, b"PERMISSION_DENIED")
        self.expect(server.address, [*login, "scan", "--prefix", "orders/"], 0, b"orders/1")
        self.expect(server.address, [*login, "scan"], 3, b"PERMISSION_DENIED")
        self.expect(server.address, [*login, "flush"], 3, b"PERMISSION_DENIED")
        self.expect(server.address, ["flush"], 0, b"flushed", env=environment(BANDB_USER="ops", BANDB_TOKEN=ops))
        self.expect(server.address, ["--user", "app", "get", "a"], 2, b"--user needs a token")
        self.expect(server.address, ["get", "a"], 3, b"UNAUTHENTICATED", env=environment(BANDB_USER="app", BANDB_TOKEN="x"))
        self.wait_for(server, "a wrong login as 'app' from 127.0.0.1:")
        # A file that is half written changes nothing.
        with open(self.users, "r+", encoding="utf-8") as file:
            whole = file.read()
            file.seek(0)
            file.truncate()
            file.write(whole[:-20])
        server.process.send_signal(signal.SIGHUP)
        self.wait_for(server, "reload refused")
        self.expect(server.address, [*login, "get", "orders/1"], 0, b'"x"')
        with open(self.users, "w", encoding="utf-8") as file:
            file.write(whole)
        self.assertEqual(run(CLI, "user", "revoke", "app", "--file", self.users).returncode, 0)
        server.process.send_signal(signal.SIGHUP)
        self.wait_for(server, "reloaded 1 users")
        self.expect(server.address, [*login, "get", "orders/1"], 3, b"UNAUTHENTICATED")
        self.assertEqual(server.terminate(), 0)

    def test_the_slow_log_shows_nobody_a_key_that_is_not_his_to_read(self):
        app, ops, both = self.token_file(self.add("app", "read,write")), self.add("ops", "admin"), self.add("both", "admin", "read:own/")
        server = self.start(f'[users]\nfile = "{self.users}"\n[server]\nslow_log_threshold = "0 s"\n')
        for key in ("own/1", "secret/1"):
            self.expect(server.address, ["--user", "app", "--token-file", app, "put", key, "v"], 0, b"")
        shown = {}
        for name, token in (("ops", ops), ("both", both)):
            done = cli(server.address, "slowlog", "--json", env=environment(BANDB_USER=name, BANDB_TOKEN=token))
            self.assertEqual(done.returncode, 0, done)
            shown[name] = sorted((one["key"], one["key_bytes"]) for one in map(json.loads, done.stdout.decode().splitlines())
                                 if one["operation"] == "put")
        self.assertEqual(shown, {"ops": [("", 0), ("", 0)], "both": [("", 0), ("own/1", 5)]})

    def test_it_is_recorded_who_changed_what(self):
        app, ops = self.token_file(self.add("app", "read,write")), self.add("ops", "admin")
        audit = self.scratch / "audit.log"
        server = self.start(f'[users]\nfile = "{self.users}"\n[log]\naudit_file = "{audit}"\nformat = "json"\n')
        as_ops = environment(BANDB_USER="ops", BANDB_TOKEN=ops)
        self.expect(server.address, ["--user", "app", "--token-file", app, "put", "a", "v"], 0, b"")
        self.expect(server.address, ["get", "a"], 3, b"UNAUTHENTICATED", env=environment(BANDB_USER="app", BANDB_TOKEN="x"))
        self.expect(server.address, ["get", "a"], 3, b"UNAUTHENTICATED", env=environment(BANDB_USER=ops, BANDB_TOKEN="x"))
        self.expect(server.address, ["--user", "app", "--token-file", app, "flush"], 3, b"PERMISSION_DENIED")
        self.expect(server.address, ["flush"], 0, b"flushed", env=as_ops)
        self.expect(server.address, ["compact", "--begin", "a-key", "--limit", "b-key"], 0, b"compacted", env=as_ops)
        self.expect(server.address, ["clients"], 0, b"", env=as_ops)
        self.expect(server.address, ["clients", "kill", "7"], 3, b"", env=as_ops)
        self.assertEqual(run(CLI, "user", "revoke", "app", "--file", self.users).returncode, 0)
        self.add("new", "read")
        server.process.send_signal(signal.SIGHUP)
        self.wait_for(server, "reloaded 2 users")
        self.assertEqual(server.terminate(), 0)
        events = [json.loads(line) for line in audit.read_text().splitlines()]
        told = [(one["event"], one.get("user"), "address" in one, one.get("detail")) for one in events]
        self.assertEqual(told, [("login refused", "app", True, None),
                                ("login refused", None, True, "a token in the place of a name"),
                                ("administration denied", "app", True, "admin"),
                                ("administration", "ops", True, "flush: done"),
                                ("administration", "ops", True, "compact ...: done"),
                                ("administration refused", "ops", True, "clients kill 7: there is no client 7"),
                                ("users changed", None, False, "added new, removed app"),
                                ("configuration reloaded", None, False, "by SIGHUP")])
        self.assertRegex(events[0]["address"], r"^127\.0\.0\.1:\d+$")
        self.assertNotIn("a-key", audit.read_text())
        self.assertNotIn(ops, audit.read_text())
        self.assertEqual(stat.S_IMODE(audit.stat().st_mode) & 0o077, 0)

    def test_a_pipe_is_no_audit_log(self):
        path, audit = os.path.join(str(self.scratch), "pipe.toml"), os.path.join(str(self.scratch), "audit.pipe")
        os.mkfifo(audit)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'[server]\nlisten = "127.0.0.1:0"\n[log]\naudit_file = "{audit}"\n')
        result = run(SERVER, "--data", os.path.join(str(self.scratch), "data"), "--config", path)
        self.assertEqual(result.returncode, 1, result)
        self.assertIn(b"cannot open the audit log", result.stderr)
        self.assertIn(b"not a regular file", result.stderr)

    def test_a_server_does_not_start_where_strangers_could_use_it(self):
        for config, place in (('[server]\nlisten = "0.0.0.0:0"\n', b":2: server.listen is 0.0.0.0:0, which others can reach"),
                              ('[redis]\nlisten = "0.0.0.0:0"\n', b":2: redis.listen is 0.0.0.0:0, which others can reach"),
                              ('[grpc]\nlisten = "[::]:0"\n', b":2: grpc.listen is [::]:0, which others can reach"),
                              ('[server]\ntls_listen = "127.0.0.1:0"\n', b":2: server.tls_listen needs tls.certificate")):
            path = os.path.join(str(self.scratch), "open.toml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(config)
            result = run(SERVER, "--config", path, "--check-config")
            self.assertEqual(result.returncode, 2, result)
            self.assertIn(place, result.stderr)
        with open(path, "w", encoding="utf-8") as file:
            file.write('[server]\nlisten = "0.0.0.0:0"\ninsecure = true\n')
        self.assertEqual(run(SERVER, "--config", path, "--check-config").returncode, 0)

    def certificates(self, *names):
        """Paths by the name of the file: NAME.crt, which signs itself, and NAME.key."""
        paths = {}
        for name in names:
            certificate, key = (os.path.join(str(self.scratch), f"{name}.{end}") for end in ("crt", "key"))
            made = run(OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
                       f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
            self.assertEqual(made.returncode, 0, made)
            os.chmod(key, 0o600)
            paths |= {f"{name}.crt": certificate, f"{name}.key": key}
        return paths

    def start_tls(self, config):
        """A server, and its address for TLS."""
        server = TlsServer(os.path.join(str(self.scratch), "data"), "--config", config)
        self.addCleanup(server.close)
        return server, server.tls

    @unittest.skipUnless(OPENSSL, "there is no openssl to make certificates with")
    def test_bandb_speaks_tls_to_whom_it_believes(self):
        paths = self.certificates("server", "other")
        config = os.path.join(str(self.scratch), "server.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'[server]\ntls_listen = "127.0.0.1:0"\n[tls]\ncertificate = "{paths["server.crt"]}"\n'
                       f'key = "{paths["server.key"]}"\n')
        server, tls = self.start_tls(config)
        believing = ["--tls-ca", paths["server.crt"]]
        self.expect(tls, [*believing, "put", "a", "b"], 0, b"")
        self.expect(tls, [*believing, "get", "a"], 0, b'"b"')
        self.expect(tls, ["--tls-ca", paths["other.crt"], "get", "a"], 3, b"no TLS connection")
        self.expect(tls, ["--tls", "get", "a"], 3, b"no TLS connection")
        self.expect(tls, ["get", "a"], 3, b"")
        self.expect(server.address, [*believing, "get", "a"], 3, b"no TLS connection")
        self.expect(tls, ["--tls-cert", "x", "get", "a"], 2, b"go together")
        self.assertEqual(server.terminate(), 0)

    @unittest.skipUnless(OPENSSL, "there is no openssl to make certificates with")
    def test_a_port_for_tls_that_is_open_to_everybody_is_warned_of(self):
        paths = self.certificates("server")
        config = os.path.join(str(self.scratch), "server.toml")
        for ca, warned in (("", True), (f'client_ca = "{paths["server.crt"]}"\n', False)):
            with open(config, "w", encoding="utf-8") as file:
                file.write('[server]\ntls_listen = "0.0.0.0:0"\ninsecure = true\n[tls]\n'
                           f'certificate = "{paths["server.crt"]}"\nkey = "{paths["server.key"]}"\n{ca}')
            server, _ = self.start_tls(config)
            # The warning comes before what the server says last at its start.
            self.assertEqual("no authentication: anyone who can reach this port" in server.error_text(), warned)
            self.assertEqual(server.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
