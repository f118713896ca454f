"""Clusters of bandb_server: how they begin and grow, what an operator does, and what clients see while nodes come and go."""

import json
import shutil
import signal
import socket
import struct
import sys
import threading
import time
import unittest

import wire
from cluster_fixture import ELECTION_SECONDS, Client, Node, Trio, Workload, free_addresses
from programs import CLI, DEADLINE_SECONDS, SERVER, ProgramTest, Server, await_voters, cli, member_list, run, wait_until


OPENSSL = shutil.which("openssl")


class Configuration(ProgramTest):
    def refused(self, settings, text):
        flags = [word for setting in settings for word in ("--set", setting)]
        done = run(SERVER, "--data", str(self.scratch / "data"), *flags)
        self.assertEqual((done.returncode, done.stdout), (2, b""), done.stderr)
        self.assertIn(text, done.stderr.decode())
        self.assertFalse((self.scratch / "data").exists())

    def test_what_makes_no_cluster_is_refused_before_anything_is_made(self):
        peers, clients = "127.0.0.1:7400", "server.listen=127.0.0.1:8080"
        for settings, text in [
                (["cluster.listen=127.0.0.1:8080", clients], "cluster.listen is the address of server.listen, too"),
                ([f"cluster.listen={peers}", "cluster.advertise=127.0.0.1:8080", clients], "the address of server.listen, too"),
                (["cluster.listen=0.0.0.0:7400", "cluster.advertise=127.0.0.1:7400"],
                 "other machines can reach, and peers are not authenticated"),
                (["cluster.listen=0.0.0.0:7400", "cluster.insecure=true"], "cluster.advertise has to say which one"),
                ([f"cluster.listen={peers}", "cluster.tls_ca=ca.crt", "cluster.tls_key=node.key"],
                 "cluster.tls_cert is missing, and cluster.tls_ca is not: TLS between nodes needs all three files"),
                ([f"cluster.listen={peers}", "cluster.tls_crl=node.crl"], "cluster.tls_crl is of no use without cluster.tls_ca"),
                ([f"cluster.listen={peers}", "cluster.advertise=no-such-host.invalid:7400"],
                 "cluster.advertise is 'no-such-host.invalid:7400'"),
                (["cluster.listen=no-such-host.invalid:7400"], "cluster.listen is 'no-such-host.invalid:7400'"),
                ([f"cluster.listen={peers}", "cluster.advertise=127.0.0.1:0"], "whose port others cannot dial"),
                ([f"cluster.listen={peers}", f"cluster.join={peers}"], "cluster.join names this node itself"),
                ([f"cluster.listen={peers}", "cluster.join=localhost:7400"], "localhost:7400, which is this node itself"),
                ([f"cluster.listen={peers}", "cluster.join=127.0.0.1:8080", clients], "itself listens for clients"),
                ([f"cluster.listen={peers}", "cluster.join=127.0.0.1:1,127.0.0.1:1"], "names 127.0.0.1:1 twice"),
                ([f"cluster.listen={peers}", "cluster.join=127.0.0.1:1", "cluster.bootstrap=true"], "asks to be let into one"),
                (["cluster.join=127.0.0.1:1"], "others have to reach a node that joins"),
                ([f"cluster.listen={peers}", "server.mode=standalone"], 'server.mode is "standalone"'),
                ([f"cluster.listen={peers}", "server.durability=os"], "survives power loss")]:
            with self.subTest(text):
                self.refused(settings, text)

    def test_a_port_for_peers_that_is_taken_is_refused(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = "127.0.0.1:%d" % other.getsockname()[1]
            done = run(SERVER, "--data", str(self.scratch / "data"), "--listen", "127.0.0.1:0",
                       "--set", f"cluster.listen={taken}", "--set", "cluster.bootstrap=true")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(taken, done.stderr.decode())


class Directories(ProgramTest):
    def begin(self, *settings):
        flags = [word for setting in settings for word in ("--set", setting)]
        return run(SERVER, "--data", str(self.scratch / "data"), "--listen", "127.0.0.1:0", *flags)

    def serve(self, *settings):
        flags = [word for setting in settings for word in ("--set", setting)]
        server = Server(self.scratch / "data", *flags)
        self.addCleanup(server.close)
        return server

    def test_a_plain_database_is_taken_over_once_and_there_is_no_way_back(self):
        server = self.serve("server.mode=standalone")
        self.assertEqual(cli(server.address, "put", "name", "Alice").returncode, 0)
        done = cli(server.address, "status")
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"this server is standalone", done.stderr)
        server.kill()
        server = self.serve()
        self.assertIn("the standalone database is taken over", server.error_text())
        self.assertEqual(cli(server.address, "get", "name").stdout, b'"Alice"\n')
        self.assertEqual(cli(server.address, "put", "name", "Bob").returncode, 0)
        self.assertEqual(server.terminate(), 0, server.error_text())
        done = self.begin("server.mode=standalone")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"the way back is bandb export, or a backup", done.stderr)
        again = self.serve()
        self.assertNotIn("taken over", again.error_text())
        self.assertEqual(cli(again.address, "get", "name").stdout, b'"Bob"\n')
        self.assertEqual(again.terminate(), 0)
        # The way back.
        out = str(self.scratch / "export")
        self.assertEqual(run(CLI, "export", "--data", again.data, "--out", out).returncode, 0)
        self.assertEqual(run(CLI, "import", "--data", str(self.scratch / "plain"), out).returncode, 0)
        plain = Server(self.scratch / "plain", "--set", "server.mode=standalone")
        self.addCleanup(plain.close)
        self.assertEqual(cli(plain.address, "get", "name").stdout, b'"Bob"\n')

    def test_a_directory_without_a_node_needs_to_be_told_what_to_become(self):
        done = self.begin("cluster.listen=127.0.0.1:0")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"whether a cluster is to be begun (bootstrap) or joined (join)", done.stderr)
        done = self.begin("storage.create_if_missing=false")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"there is no database, and storage.create_if_missing is false", done.stderr)

    def test_a_database_cannot_be_brought_into_another_cluster(self):
        server = self.serve("server.mode=standalone")
        self.assertEqual(server.terminate(), 0)
        done = self.begin("cluster.listen=127.0.0.1:0", "cluster.join=127.0.0.1:1")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"begin a cluster with it (bootstrap), or join with an empty directory", done.stderr)

    def test_a_node_knows_what_it_is_and_heeds_no_bootstrap_or_join(self):
        server = self.serve("cluster.listen=127.0.0.1:0", "cluster.bootstrap=true", "cluster.name=a")
        self.assertEqual(cli(server.address, "put", "k", "v").returncode, 0)
        (before,) = member_list(server.address)
        self.assertEqual(server.terminate(), 0)
        for how in ("cluster.bootstrap=true", "cluster.join=127.0.0.1:1"):
            server = self.serve("cluster.listen=127.0.0.1:0", how, "cluster.name=a")
            self.assertEqual(cli(server.address, "get", "k").stdout, b'"v"\n')
            (member,) = member_list(server.address)
            self.assertEqual((member["id"], member["name"], member["kind"]), (before["id"], "a", "voter"))
            self.assertEqual(server.terminate(), 0)

    def test_who_waits_to_be_let_in_ends_when_told_to(self):
        (nobody,) = free_addresses(1)
        node = Node(self.scratch, "lonely", f"cluster.join={nobody}", start=False)
        self.addCleanup(node.close)
        wait_until(lambda: "not let in yet" in node.error_text(), "it has asked")
        self.assertEqual(node.terminate(), 0, node.error_text())
        self.assertIn("stopped before a cluster let this node in", node.error_text())


class Operators(ProgramTest):
    def test_members_are_listed_replaced_and_removed(self):
        trio = Trio(self)
        address = trio["b"].address
        await_voters(address, 3)
        members = {member["name"]: member for member in member_list(address)}
        self.assertEqual(sorted(members), ["a", "b", "c"])
        for name, member in members.items():
            self.assertEqual((member["kind"], member["peer_address"], member["client_address"], member["self"]),
                             ("voter", trio[name].peer_address, trio[name].client_address, name == "b"))
        lines = cli(address, "member", "list").stdout.decode().splitlines()
        self.assertRegex(lines[0], r"\ANAME +ID +KIND +PEERS +CLIENTS +TROUBLE\Z")
        for line in lines[1:]:
            member = members[line.split()[0]]
            self.assertEqual(line.split(), [member["name"], member["id"], "voter", member["peer_address"],
                                            member["client_address"], "-"])
        status = trio.status("b")
        self.assertEqual((status["health"], status["leader_name"], len(status["members"])), ("ok", trio.leader(), 3))
        self.assertIn(f"leader   {trio.leader()}\n", cli(address, "status").stdout.decode())

        # Refused while the node that leads does not think it fit.
        trio.lead("c")
        self.assertEqual(trio.leader(), "c")
        for words, text in [(["member", "remove", "nobody"], b"nobody: no such member"),
                            (["member", "add", "a"], b"already a member"), (["transfer", "nobody"], b"nobody: no such member")]:
            done = cli(address, *words)
            self.assertEqual((done.returncode, done.stdout), (3, b""))
            self.assertIn(text, done.stderr)
        for words in (["member"], ["member", "list", "x"], ["member", "remove"], ["member", "remove", "a", "b"],
                      ["member", "replace", "a"], ["member", "remove", "--json", "a"], ["transfer", "a", "b"], ["status", "x"]):
            self.assertEqual(cli(address, *words).returncode, 2, words)

        self.assertEqual(cli(address, "put", "k", "v").returncode, 0)
        trio["a"].kill()
        trio.add("d", f"cluster.join={trio['b'].peer_address}", "cluster.replaces=a")
        wait_until(lambda: {m["name"]: m["kind"] for m in member_list(address)} ==
                   {"b": "voter", "c": "voter", "d": "voter"}, "d has taken the place of a")
        self.assertEqual(cli(trio["d"].address, "get", "k").stdout, b'"v"\n')
        done = cli(address, "member", "remove", "c")
        self.assertEqual((done.returncode, done.stdout), (0, b"c is removed\n"), done.stderr)
        wait_until(lambda: cli(trio["c"].address, "put", "k", "w").returncode == 3, "c serves no more")
        self.assertEqual(cli(trio["d"].address, "put", "k", "w").returncode, 0)

    def test_a_learner_votes_when_it_is_told_to(self):
        trio = Trio(self)
        address = trio["a"].address
        trio.add("d", f"cluster.join={trio['a'].peer_address}", "cluster.join_as_learner=true")
        kinds = lambda: {member["name"]: member["kind"] for member in member_list(address)}
        self.assertEqual(kinds()["d"], "learner")
        self.assertEqual(cli(address, "put", "k", "v").returncode, 0)
        self.assertEqual(cli(trio["d"].address, "get", "k").stdout, b'"v"\n')
        done = cli(trio["d"].address, "member", "replace", "b", "d")
        self.assertEqual((done.returncode, done.stdout), (0, b"d takes the place of b, once it has caught up\n"), done.stderr)
        wait_until(lambda: kinds() == {"a": "voter", "c": "voter", "d": "voter"}, "d has taken the place of b")

    def test_a_member_that_listens_to_nobody_is_refused(self):
        trio = Trio(self)
        self.assertEqual(trio["c"].terminate(), 0, trio["c"].error_text())
        done = run(SERVER, "--data", trio["c"].data, "--listen", "127.0.0.1:0")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"this node is one of 3 members: listen has to say where the others reach it", done.stderr)
        done = run(CLI, "export", "--data", trio["c"].data, "--out", str(self.scratch / "export"))
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"ask a running server of the cluster", done.stderr)


@unittest.skipUnless(OPENSSL, "there is no openssl to make certificates with")
class Certificates(ProgramTest):
    def openssl(self, *arguments):
        done = run(OPENSSL, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)

    def authority(self, name):
        key, certificate = self.scratch / f"{name}.key", self.scratch / f"{name}.crt"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
                     f"/CN={name}", "-keyout", key, "-out", certificate)
        return certificate

    def issue(self, name, authority):
        """Makes, or replaces, NAME.crt and NAME.key."""
        key, certificate, request = (self.scratch / f"{name}.{end}" for end in ("key", "crt", "csr"))
        extensions = self.scratch / "extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1\n")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                     "-keyout", key, "-out", request)
        self.openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority.with_suffix(".key"), "-CAcreateserial",
                     "-days", "1", "-extfile", extensions, "-out", certificate)
        key.chmod(0o600)

    def settings(self, name):
        return (f"cluster.tls_ca={self.scratch / 'ca.crt'}", f"cluster.tls_cert={self.scratch / name}.crt",
                f"cluster.tls_key={self.scratch / name}.key")

    def test_nodes_that_know_each_other_by_certificates(self):
        authority = self.authority("ca")
        self.issue("node", authority)
        trio = Trio(self, *self.settings("node"))
        self.assertEqual(cli(trio["b"].address, "put", "k", "v").returncode, 0)
        self.assertEqual(cli(trio["c"].address, "get", "k").stdout, b'"v"\n')

        # One that has none is not let in, and ends when it is told to.
        join = f"cluster.join={trio['a'].peer_address}"
        plain = trio.add("plain", join, start=False)
        wait_until(lambda: "TLS failed: the peer speaks TLS, and this side does not" in plain.error_text(), "it knows why")
        self.assertEqual(plain.terminate(), 0, plain.error_text())

        # Nor is one whose certificate does not name what it has to.
        node = trio["c"]
        strict = trio.add("strict", join, *self.settings("node"), "cluster.tls_names=.db.example", start=False)
        wait_until(lambda: "hostname mismatch" in strict.error_text(), "it believes nobody")
        self.assertEqual(strict.terminate(), 0, strict.error_text())

        # One that has that of another authority is let in once the files are others.
        self.issue("late", self.authority("other"))
        late = trio.add("late", join, *self.settings("late"), start=False)
        wait_until(lambda: "TLS failed: the peer refuses" in late.error_text(), "it knows why")
        self.issue("late", authority)
        late.await_address()
        self.assertEqual(cli(late.address, "get", "k").stdout, b'"v"\n')

        # Half of what belongs together is refused, and nothing changes.
        node = trio["c"]
        whole = (self.scratch / "node.key").read_text()
        (self.scratch / "node.key").write_text((self.scratch / "late.key").read_text())
        node.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reload refused" in node.error_text(), "it refuses")
        self.assertIn("node.key: not the key of", node.error_text())
        (self.scratch / "node.key").write_text(whole)
        node.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded the certificate for other nodes" in node.error_text(), "it reloads")
        self.assertEqual(cli(node.address, "put", "k", "w").returncode, 0)
        self.assertEqual(cli(late.address, "get", "k").stdout, b'"w"\n')

    def test_files_that_are_none_are_told_at_the_start(self):
        (self.scratch / "ca.crt").write_text("no certificate")
        self.issue("node", self.authority("other"))
        done = run(SERVER, "--data", str(self.scratch / "data"), "--listen", "127.0.0.1:0",
                   *[word for setting in ("cluster.listen=127.0.0.1:0", "cluster.bootstrap=true", *self.settings("node"))
                     for word in ("--set", setting)])
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"no TLS between nodes: INVALID_ARGUMENT: ", done.stderr)
        self.assertIn(b"ca.crt: no certificate in PEM", done.stderr)


class Reads(ProgramTest):
    def test_every_node_sees_what_another_has_acknowledged_at_once_whatever_the_protocol(self):
        redis = free_addresses(3)
        trio = Trio(self)
        for name, address in zip("abc", redis):
            self.assertEqual(trio[name].terminate(), 0)
            trio[name].arguments += ("--set", f"redis.listen={address}")
            trio[name].first_line = lambda node=trio[name], read=trio[name].first_line: self.after_redis(node, read)
            trio[name].start()
        trio.await_well()

        def ask(stream, *words):
            stream.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            return stream.recv(1 << 16)
        streams = [socket.create_connection(tuple(address.rsplit(":", 1)), timeout=60) for address in redis]
        plain = [wire.connect(trio[name].address) for name in "abc"]
        for i in range(100):
            value = b"%d" % i
            bulk = b"$%d\r\n%s\r\n" % (len(value), value)
            self.assertEqual(ask(streams[i % 3], b"SET", b"k", value), b"+OK\r\n")
            self.assertEqual(ask(streams[(i + 1) % 3], b"GET", b"k"), bulk)
            self.assertEqual(ask(streams[(i + 2) % 3], b"MGET", b"k", b"k"), b"*2\r\n" + bulk + bulk)
            plain[i % 3].send(wire.get(b"k"))
            self.assertEqual(wire.value_of(*plain[i % 3].read_frame()), value)
        for stream in [*streams, *plain]:
            stream.close()

    @staticmethod
    def after_redis(node, read):
        line = read()
        # What follows came with it, and is in the buffer of the pipe.
        return node.process.stdout.readline() if line.startswith(b"redis on") else line

    def test_without_a_majority_a_node_says_so_in_time_and_ends_in_order(self):
        trio = Trio(self)
        self.assertEqual(cli(trio["a"].address, "put", "k", "v").returncode, 0)
        trio["b"].kill()
        trio["c"].kill()
        for words in (["get", "k"], ["put", "k", "w"], ["scan"]):
            done = cli(trio["a"].address, *words)
            self.assertEqual((done.returncode, done.stdout), (3, b""), done.stderr)
            self.assertRegex(done.stderr, rb"\A\(error\) (DEADLINE_EXCEEDED|UNKNOWN): ")
        # A client that may be of the original is told nothing that it takes for "no such key".
        original, modern = wire.connect(trio["a"].address), wire.connect(trio["a"].address)
        modern.send(wire.frame(16, struct.pack("<HHQI", 1, 1, 0, 0)))
        self.assertIsNotNone(modern.read_frame())
        original.send(wire.get(b"k"))
        modern.send(wire.get(b"k"))
        self.assertIsNone(original.read_frame())
        message_id, payload = modern.read_frame()
        self.assertEqual((message_id, payload[:3]), (wire.ERROR, b"\x01\x04\x00"))
        original.close()
        modern.close()
        self.assertEqual(cli(trio["a"].address, "status").returncode, 0)
        self.assertEqual(trio["a"].terminate(), 0, trio["a"].error_text())


class Faults(ProgramTest):
    def test_a_killed_leader_takes_nothing_with_it_and_writes_go_on(self):
        trio = Trio(self)
        load = Workload(trio.addresses())
        self.addCleanup(load.stop)
        for _ in range(2):
            load.await_progress()
            leader = trio.leader()
            killed = time.monotonic()
            trio[leader].kill()
            timeouts = (load.await_progress() - killed) / ELECTION_SECONDS
            self.assertLess(timeouts, 20, "too many election timeouts until writes went on")
            trio[leader].start()
            trio.await_well()
        load.finish(self, trio.addresses())

    def test_a_leader_that_stood_still_is_followed_by_another_and_shows_nothing_old(self):
        trio = Trio(self)
        load = Workload(trio.addresses())
        self.addCleanup(load.stop)
        load.await_progress()
        leader = trio.leader()
        process = trio[leader].process
        process.send_signal(signal.SIGSTOP)
        self.addCleanup(process.send_signal, signal.SIGCONT)
        load.await_progress()
        process.send_signal(signal.SIGCONT)
        trio.await_well()
        load.await_progress()
        load.finish(self, trio.addresses())

    def test_nodes_started_again_one_by_one_lose_no_request_of_clients_that_repeat_theirs(self):
        trio = Trio(self)
        load = Workload(trio.addresses())
        self.addCleanup(load.stop)
        for name in "abc":
            load.await_progress()
            self.assertEqual(trio[name].terminate(), 0, trio[name].error_text())
            trio[name].start()
            trio.await_well()
        load.await_progress()
        load.finish(self, trio.addresses())

    def test_a_node_that_was_away_and_one_that_is_new_catch_up_while_writes_go_on(self):
        trio = Trio(self)
        trio.lead("a")
        trio["c"].kill()
        load = Workload([trio["a"].address, trio["b"].address])
        self.addCleanup(load.stop)
        filler = Client([trio["a"].address])
        # More than the log keeps, so that they are given a copy of the database.
        for i in range(64):
            self.assertEqual(filler.ask(wire.put(b"filler:%d" % i, b"x" * (1 << 19)))[0], wire.OK)
        filler.close()
        trio["c"].start()
        trio.add("d", f"cluster.join={trio['b'].peer_address}")
        await_voters(trio["a"].address, 4)
        load.await_progress()
        load.finish(self, trio.addresses())
        for name in "cd":
            (value,) = wire.get_many(trio[name].address, [b"filler:63"])
            self.assertEqual(value, b"x" * (1 << 19))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
