"""Clusters of bandb_server whose surroundings fail: disks are full, networks are cut, clocks are set, processes are killed.

Clients record what they see meanwhile, and their history must be linearizable.
"""

import contextlib
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import unittest

import wire
from cluster_fixture import Trio
from programs import CLI, DEADLINE_SECONDS, ProgramTest, await_voters, cli, member_list, wait_until
from recorder import Recorder
from surroundings import Network, SmallDisk, WallClock

MIB = 1 << 20
UNKNOWN, EXHAUSTED = 2, 8


class FaultTest(ProgramTest):
    def record(self, trio):
        recorder = Recorder(trio.addresses())
        self.addCleanup(recorder.stop)
        recorder.await_progress()
        return recorder

    def small_disks(self, names, size):
        disks = {}
        for name in names:
            disks[name] = SmallDisk(self.scratch / name, size)
            self.addCleanup(disks[name].close)
        return disks

    def trouble_of(self, trio, name):
        """What the leader says keeps this node from being well; None if nobody knows now."""
        found = [member["trouble"] for member in member_list(trio[trio.leader()].address) if member["name"] == name]
        return found[0] if found else None

    @staticmethod
    def filler(number):
        """A value that takes as much room on a disk."""
        return random.Random(number).randbytes(MIB // 2)

    def write(self, address, first, count):
        """Puts values one by one; the codes of errors by their number, 0 if there was none."""
        connection = wire.connect(address)
        codes = []
        for i in range(first, first + count):
            connection.send(wire.put(b"filler:%06d" % i, self.filler(i)))
            reply = connection.read_frame()
            codes.append(0 if reply[0] == wire.OK else struct.unpack_from("<H", reply[1], 1)[0])
        connection.close()
        return codes

    def check_fillers(self, address, numbers):
        keys = [b"filler:%06d" % i for i in numbers]
        wrong = [i for i, value in zip(numbers, wire.get_many(address, keys, window=4)) if value != self.filler(i)]
        self.assertEqual(wrong, [], f"{address} has lost them, or has others")


class Disks(FaultTest):
    SIZE = 160 * MIB

    def trio(self, names):
        disks = self.small_disks(names, self.SIZE)
        trio = Trio(self, options={name: {"within": disk.within} for name, disk in disks.items()})
        return trio, disks

    def test_with_a_follower_whose_disk_is_full_the_others_go_on_and_it_comes_back(self):
        trio, disks = self.trio("c")
        trio.lead("a")
        recorder = self.record(trio)
        disks["c"].fill()
        numbers = range(80)
        self.assertEqual(set(self.write(trio["a"].address, 0, len(numbers))), {0})
        recorder.await_progress()
        wait_until(lambda: self.trouble_of(trio, "c") not in (None, ""), "the leader says what is wrong with c")
        self.assertIsNone(trio["c"].process.poll(), trio["c"].error_text())
        disks["c"].make_room()
        trio.await_well()
        recorder.finish(self, trio.addresses())
        for name in "abc":
            self.check_fillers(trio[name].address, numbers)

    def test_a_leader_whose_disk_is_full_gives_way_to_one_with_room(self):
        trio, disks = self.trio("a")
        trio.lead("a")
        recorder = self.record(trio)
        disks["a"].fill()
        # What it cannot take any more fails, and says so.
        codes = []
        while EXHAUSTED not in codes and trio.leader() == "a":
            codes += self.write(trio["a"].address, len(codes), 1)
            self.assertLess(len(codes), 1000)
        # Of a write that a leader had when it gave way nobody may know.
        self.assertLessEqual(set(codes), {0, UNKNOWN, EXHAUSTED}, codes)
        wait_until(lambda: trio.leader() != "a", "another one leads")
        recorder.await_progress()
        first = len(codes)
        codes += self.write(trio["b"].address, first, 20)
        self.assertEqual(set(codes[first:]), {0})
        self.assertIsNone(trio["a"].process.poll(), trio["a"].error_text())
        disks["a"].make_room()
        trio.await_well()
        recorder.finish(self, trio.addresses())
        numbers = [i for i, code in enumerate(codes) if code == 0]
        for name in "abc":
            self.check_fillers(trio[name].address, numbers)

    def test_where_all_disks_are_full_writes_are_refused_reads_go_on_and_room_is_enough(self):
        trio, disks = self.trio("abc")
        recorder = self.record(trio)
        for disk in disks.values():
            disk.fill()
        codes = []
        while EXHAUSTED not in codes:
            codes += self.write(trio[trio.leader()].address, len(codes), 1)
            self.assertLess(len(codes), 1000)
        # What a leader has begun when the disks of the others are found full stays open until there is room.
        self.assertLessEqual(set(codes), {0, UNKNOWN, EXHAUSTED}, codes)
        (value,) = wire.get_many(trio[trio.leader()].address, [b"filler:000000"])
        self.assertEqual(value, self.filler(0))
        for name in "abc":
            done = cli(trio[name].address, "put", "k", "v")
            self.assertEqual(done.returncode, 3)
            self.assertIn(b"RESOURCE_EXHAUSTED", done.stderr)
            self.assertIsNone(trio[name].process.poll(), trio[name].error_text())
        # A process that is started meanwhile may find no room to begin with, and says so.
        trio["b"].kill()
        trio["b"].begin()
        said = trio["b"].first_line()
        for disk in disks.values():
            disk.make_room()
        if said == b"":
            self.assertEqual(trio["b"].process.wait(DEADLINE_SECONDS), 1)
            trio["b"].process.stdout.close()
            self.assertIn("nothing is lost", trio["b"].error_text())
            trio["b"].start()
        recorder.await_progress()
        trio.await_well()
        recorder.finish(self, trio.addresses())
        for name in "abc":
            self.check_fillers(trio[name].address, [i for i, code in enumerate(codes) if code == 0])

    def test_a_disk_without_room_for_a_copy_of_the_database_keeps_the_node_waiting_and_no_longer(self):
        trio, disks = self.trio("c")
        trio.lead("a")
        numbers = range(100)
        trio["c"].kill()
        # More than the logs keep.
        self.assertEqual(set(self.write(trio["a"].address, 0, len(numbers))), {0})
        recorder = self.record(trio)
        disks["c"].fill(leave=30 * MIB)
        trio["c"].start()
        wait_until(lambda: "failed" in (self.trouble_of(trio, "c") or ""), "the leader says that the copy has failed")
        self.assertIsNone(trio["c"].process.poll(), trio["c"].error_text())
        recorder.await_progress()
        disks["c"].make_room()
        trio.await_well()
        recorder.finish(self, trio.addresses())
        self.check_fillers(trio["c"].address, numbers)


class Descriptors(FaultTest):
    @contextlib.contextmanager
    def none_for(self, node):
        """The process opens and accepts nothing meanwhile."""
        before = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (0, before[1]))
        yield
        self.assertIsNone(node.process.poll(), node.error_text())
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, before)

    def test_a_node_that_gets_no_descriptor_lives_on_and_is_well_once_it_does(self):
        trio = Trio(self)
        trio.lead("a")
        recorder = self.record(trio)
        codes = []
        for name in "ca":
            with self.none_for(trio[name]):
                # Logs are to go on in another file, and tables to be written; a leader that cannot says so, and gives way.
                codes += self.write(trio["b"].address, len(codes), 40)
                trio["b"].kill()
                trio["b"].start()
                recorder.await_progress()
            trio.await_well()
        self.assertLessEqual(set(codes), {0, EXHAUSTED}, codes)
        recorder.finish(self, trio.addresses())
        for name in "abc":
            self.check_fillers(trio[name].address, [i for i, code in enumerate(codes) if code == 0])

    def test_a_copy_of_the_database_that_meets_no_descriptor_comes_later(self):
        trio = Trio(self)
        trio.lead("a")
        numbers = range(60)
        trio["c"].kill()
        self.assertEqual(set(self.write(trio["a"].address, 0, len(numbers))), {0})
        recorder = self.record(trio)
        trio["c"].start()
        with self.none_for(trio["c"]):
            recorder.await_progress(50)
        with self.none_for(trio["a"]):
            recorder.await_progress(50)
        trio.await_well()
        recorder.finish(self, trio.addresses())
        self.check_fillers(trio["c"].address, numbers)


class Networks(FaultTest):
    def trio(self):
        network = Network()
        self.addCleanup(network.close)
        trio = Trio(self, "server.store_timeout=3s", network=network)
        return trio, network

    def test_a_leader_that_is_cut_off_is_followed_by_another_and_shows_nothing_old(self):
        trio, network = self.trio()
        recorder = self.record(trio)
        for _ in range(2):
            leader = trio.leader()
            network.isolate(leader, "abc")
            wait_until(lambda: any(trio.status(name).get("role") == "leader" for name in "abc" if name != leader),
                       "another one leads")
            recorder.await_progress()
            network.heal()
            trio.await_well()
            recorder.await_progress()
        recorder.finish(self, trio.addresses())

    def test_in_a_network_that_is_cut_one_way_writes_go_on(self):
        trio, network = self.trio()
        recorder = self.record(trio)
        for deaf in (True, False):
            for whole in (True, False):
                leader = trio.leader()
                others = [name for name in "abc" if name != leader]
                for other in others if whole else others[:1]:
                    network.cut(*((other, leader) if deaf else (leader, other)))
                recorder.await_progress()
                network.heal()
                trio.await_well()
                recorder.await_progress()
        recorder.finish(self, trio.addresses())

    def test_two_nodes_that_do_not_hear_each_other_and_a_third_that_hears_both_go_on(self):
        trio, network = self.trio()
        recorder = self.record(trio)
        for leads in "ac":
            trio.lead(leads)
            network.cut("a", "b")
            network.cut("b", "a")
            recorder.await_progress(50)
            network.heal()
            trio.await_well()
        # In a ring each hears one other alone, and no two of them agree.
        for pair in ("ab", "bc", "ca"):
            network.cut(*pair)
        network.heal()
        trio.await_well()
        recorder.await_progress()
        recorder.finish(self, trio.addresses())


    def test_a_new_node_is_let_in_however_long_it_takes_to_copy_the_database(self):
        trio, network = self.trio()
        trio.lead("a")
        numbers = range(60)
        # More than the logs keep.
        self.assertEqual(set(self.write(trio["a"].address, 0, len(numbers))), {0})
        network.bulk_bytes_per_second = 5 * MIB
        node = trio.add("d", f"cluster.join={trio['a'].peer_address}")
        await_voters(trio[trio.leader()].address, 4)
        self.check_fillers(node.address, numbers)
        # It was begun once, and not again and again.
        self.assertEqual(node.error_text().count("opened, "), 2, node.error_text())

    def test_who_waits_for_a_copy_of_the_database_ends_when_told_to(self):
        trio, network = self.trio()
        trio.lead("a")
        self.assertEqual(set(self.write(trio["a"].address, 0, 60)), {0})
        # Enough for letting it in, which all have to agree on, and far too little for the copy.
        network.bulk_bytes_per_second = 64 << 10
        node = trio.add("d", f"cluster.join={trio['a'].peer_address}", start=False)
        wait_until(lambda: "leads" in node.error_text(), "it was called")
        self.assertEqual(node.terminate(), 0, node.error_text())
        self.assertIn("stopped before this node had a copy of the data", node.error_text())
        network.bulk_bytes_per_second = None
        node.start()
        await_voters(trio[trio.leader()].address, 4)


class Clocks(FaultTest):
    def test_wall_clocks_that_are_set_bring_nothing_back_and_stop_nothing(self):
        clocks = {name: WallClock(self.scratch / f"clock-{name}") for name in "abc"}
        trio = Trio(self, options={name: {"environment": clock.environment} for name, clock in clocks.items()})
        trio.lead("a")
        recorder = self.record(trio)
        hour = 3600

        def put(name, key, ttl=None):
            words = ["put", *([] if ttl is None else ["--ttl", ttl]), key, "value"]
            self.assertEqual(cli(trio[name].address, *words).returncode, 0)

        def is_there(name, key):
            done = cli(trio[name].address, "get", key)
            self.assertIn(done.returncode, (0, 1), done.stderr)
            return done.returncode == 0
        put("b", "lasting")
        put("b", "short", "1h")
        put("c", "long", "100h")
        # A follower's clock is nobody's business.
        clocks["b"].set(50 * hour)
        recorder.await_progress()
        self.assertTrue(all(is_there(name, "short") for name in "abc"))
        # The leader's is.
        clocks["a"].set(2 * hour)
        wait_until(lambda: not any(is_there(name, "short") for name in "abc"), "an hour has passed for all")
        clocks["a"].set(-10 * hour)
        recorder.await_progress()
        # Those who lead next have other clocks; what is gone stays gone.
        for name in ("c", "b", "a"):
            trio.lead(name)
            recorder.await_progress()
            self.assertFalse(any(is_there(at, "short") for at in "abc"))
            self.assertTrue(all(is_there(at, key) for at in "abc" for key in ("lasting", "long")))
        clocks["a"].set(101 * hour)
        wait_until(lambda: not any(is_there(name, "long") for name in "abc"), "a hundred hours have passed for all")
        for name in "abc":
            trio[name].kill()
            clocks[name].set(-1000 * hour)
            trio[name].start()
            trio.await_well()
        self.assertFalse(any(is_there(name, key) for name in "abc" for key in ("short", "long")))
        self.assertTrue(all(is_there(name, "lasting") for name in "abc"))
        # Nothing expires until they are there again, or are accepted as they are.
        self.assertEqual(cli(trio["b"].address, "clock", "accept").returncode, 0)
        put("c", "brief", "1s")
        wait_until(lambda: not any(is_there(name, "brief") for name in "abc"), "a second has passed for all")
        self.assertFalse(any(is_there(name, key) for name in "abc" for key in ("short", "long")))
        recorder.await_progress()
        recorder.finish(self, trio.addresses())


class Loads(FaultTest):
    """BANDB_LOAD_LINES in the environment: how many lines each of the two brings."""

    LINES = int(os.environ.get("BANDB_LOAD_LINES", "20000"))
    KILLS = 3

    def load(self, trio, through, *words):
        """Has lines loaded through one node, while others are killed when they lead; that one, too, if it does."""
        load = subprocess.Popen([CLI, "--addr", trio[through].address, "load", "--retry-for", "100s", *words, "-"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for stream in (load.stdin, load.stdout, load.stderr):
            self.addCleanup(stream.close)
        self.addCleanup(load.wait)
        self.addCleanup(load.kill)
        return load

    def test_no_line_is_lost_and_none_overtakes_another_while_leaders_are_killed(self):
        trio = Trio(self)
        # Each key comes again and again, and its last line counts.
        keys = 997
        loads = {name: self.load(trio, name, "--delimiter", "=", "--window", "64") for name in "ab"}
        part = self.LINES // (self.KILLS + 1)
        written = 0

        def feed(upto):
            nonlocal written
            for name, load in loads.items():
                lines = (f"{name}{i % keys}={i}\n" for i in range(written, upto))
                load.stdin.write("".join(lines).encode())
                load.stdin.flush()
            written = upto

        for _ in range(self.KILLS):
            feed(written + part)
            leader = trio.leader()
            trio[leader].kill()
            trio[leader].start()
            trio.await_well()
        feed(self.LINES)
        for load in loads.values():
            load.stdin.close()
            self.assertEqual(load.wait(DEADLINE_SECONDS + self.LINES / 1000), 0, load.stderr.read())
        for name in "abc":
            for of in "ab":
                last = [max(range(key, self.LINES, keys)) for key in range(keys)]
                values = list(wire.get_many(trio[name].address, [b"%s%d" % (of.encode(), key) for key in range(keys)]))
                self.assertEqual(values, [b"%d" % i for i in last], f"what {of} has loaded, as {name} has it")


class Storm(FaultTest):
    """Whatever comes: BANDB_STORM_ROUNDS and BANDB_STORM_SEED in the environment make it longer, and another one."""

    ROUNDS = int(os.environ.get("BANDB_STORM_ROUNDS", "6"))
    SEED = int(os.environ.get("BANDB_STORM_SEED", "1"))

    def test_processes_die_and_stand_still_while_networks_are_cut_and_clocks_set(self):
        chance = random.Random(self.SEED)
        network = Network()
        self.addCleanup(network.close)
        clocks = {name: WallClock(self.scratch / f"clock-{name}") for name in "abc"}
        trio = Trio(self, "server.store_timeout=3s", network=network,
                    options={name: {"environment": clock.environment} for name, clock in clocks.items()})
        recorder = self.record(trio)
        for _ in range(self.ROUNDS):
            leader = trio.leader()
            follower = chance.choice([name for name in "abc" if name != leader])
            victim = chance.choice([leader, leader, follower])
            clocks[chance.choice("abc")].set(chance.randrange(-10_000, 10_000))
            trouble = chance.choice(["kill", "kill all", "stop", "cut", "one way"])
            if trouble == "stop":
                trio[victim].process.send_signal(signal.SIGSTOP)
            elif trouble == "cut":
                network.isolate(victim, "abc")
            elif trouble == "one way":
                network.cut(*chance.choice([(leader, follower), (follower, leader)]))
            else:
                dead = "abc" if trouble == "kill all" else victim
                for name in dead:
                    trio[name].kill()
                for name in dead:
                    trio[name].begin()
                for name in dead:
                    trio[name].await_address()
            recorder.await_progress()
            trio[victim].process.send_signal(signal.SIGCONT)
            network.heal()
            trio.await_well()
        recorder.await_progress()
        recorder.finish(self, trio.addresses())


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
