"""What the tests of clusters of bandb_server share: three nodes as processes, and clients that record what they saw."""

import pathlib
import random
import socket
import struct
import threading
import time

import wire
from programs import DEADLINE_SECONDS, Server, await_voters, cli, json, member_list, wait_until

# Of the nodes in these tests; what clients wait for is counted in it.
ELECTION_SECONDS = 1.0


# Descriptors that hold the ports that this program chose against other tests on this machine, until it ends.
HELD_PORTS = []


def free_port():
    """A port on which nobody listens, and that the system gives to no connection that leaves: those have a range."""
    lowest_given = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, max(lowest_given, 20_000))
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(f"\0bandb-test-port-{port}")
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            holder.close()
            continue
        HELD_PORTS.append(holder.detach())
        return port


def free_addresses(count):
    """Addresses on which nobody listens, all of them different."""
    return [f"127.0.0.1:{free_port()}" for _ in range(count)]


# The code of a condition that does not hold.
ABORTED = 10


class Node(Server):
    """A server that is a node; its addresses stay what they are. Others reach it over the network, if one is given."""

    def __init__(self, folder, name, *settings, start=True, network=None, **options):
        self.name = name
        self.client_address, self.listens = free_addresses(2)
        self.peer_address = self.listens if network is None else network.before(name, self.listens)
        flags = [word for setting in (f"cluster.listen={self.listens}", f"cluster.advertise={self.peer_address}",
                                      f"cluster.name={name}", "cluster.log_file=8 MiB", "cluster.log_retained=8 MiB",
                                      "storage.write_buffer=8 MiB", *settings) for word in ("--set", setting)]
        self.starts_now = start
        super().__init__(folder / name, *flags, **options)

    def start(self):
        self.listen = self.client_address
        self.begin()
        if self.starts_now:
            self.await_address()
        self.starts_now = True


class Trio:
    """Three voters a, b and c, over a network, if one is given. `options`: of nodes, by their names."""

    kind = Node

    def __init__(self, test, *settings, network=None, options=None):
        self.folder = test.scratch
        self.test = test
        self.network = network
        self.nodes = {}
        options = options or {}
        self.add("a", "cluster.bootstrap=true", *settings, **options.get("a", {}))
        for name in ("b", "c"):
            self.add(name, f"cluster.join={self.nodes['a'].peer_address}", *settings, **options.get(name, {}))
        await_voters(self.nodes["a"].address, 3)
        if network is not None:
            for name in self.nodes:
                network.know(int(self.status(name)["node_id"]), name)

    def __getitem__(self, name):
        return self.nodes[name]

    def add(self, name, *settings, **options):
        self.nodes[name] = self.kind(self.folder, name, *settings, network=self.network, **options)
        self.test.addCleanup(self.nodes[name].close)
        return self.nodes[name]

    def addresses(self):
        return [node.client_address for node in self.nodes.values()]

    def status(self, name):
        done = cli(self.nodes[name].address, "status", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def leader(self):
        """The name of the node that leads and says so itself."""
        found = []

        def look():
            found[:] = [name for name, node in self.nodes.items()
                        if node.process.poll() is None and self.status(name).get("role") == "leader"]
            return len(found) == 1
        wait_until(look, "one node leads")
        return found[0]

    def lead(self, name):
        """Has this node lead."""
        wait_until(lambda: self.leader() == name or cli(self.nodes[name].address, "transfer", name).returncode == 0,
                   f"{name} leads")

    def await_well(self):
        """Until the leader finds all well."""
        await_voters(self.nodes[self.leader()].address, 3)


class Client:
    """One connection after the other, to one node after the other; each request is repeated until it is answered.

    A request that was given up may still be done, much later: what is repeated must bear that.
    """

    def __init__(self, addresses, first=0):
        self.addresses = addresses
        self.next = first
        self.connection = None
        self.repeated = 0

    def ask(self, frame):
        """The reply of the first node that does what is asked, or says that there is no such key, or a condition fails."""
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                if self.connection is None:
                    host, port = self.addresses[self.next % len(self.addresses)].rsplit(":", 1)
                    self.connection = wire.Connection(socket.create_connection((host, int(port)), timeout=3))
                self.connection.send(frame)
                reply = self.connection.read_frame()
            except OSError:
                reply = None
            if reply is not None and (reply[0] == wire.OK or
                                      struct.unpack_from("<H", reply[1], 1)[0] in (wire.NOT_FOUND, ABORTED)):
                return reply
            if time.monotonic() > end:
                raise AssertionError(f"no node has answered in time; the last reply is {reply!r}")
            self.close()
            self.repeated += 1
            self.next += 1

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


class Workload:
    """Writers that count up a key of their own each, and readers of all keys; what they see must be one history.

    A key has one writer, which repeats a number until it is there: on the condition that the number before it is, so that a
    request that was given up does nothing when a node comes back and carries it out. So a read is linearizable if it sees at least
    what was acknowledged before it began, and what any read before it saw, and at most what was begun before it ended.
    """

    def __init__(self, addresses, writers=4, readers=3):
        self.addresses = addresses
        self.keys = [b"counter:%d" % i for i in range(writers)]
        self.begun = [0] * writers
        self.acknowledged = [0] * writers
        self.seen = [0] * writers
        self.lock = threading.Lock()
        self.stopping = False
        self.failures = []
        self.reads = 0
        self.repeated = 0
        work = [(self.write, i) for i in range(writers)] + [(self.read, i) for i in range(readers)]
        self.threads = [threading.Thread(target=self.run, args=each) for each in work]
        for thread in self.threads:
            thread.start()

    def run(self, work, number):
        client = Client(self.addresses, number)
        try:
            while not self.stopping:
                work(client, number)
        except Exception as error:  # of any kind; the test's thread tells it
            self.failures.append(error)
        client.close()
        with self.lock:
            self.repeated += client.repeated

    def write(self, client, i):
        repeated = client.repeated
        before = b"%d" % self.begun[i] if self.begun[i] else None
        self.begun[i] += 1
        message_id, _ = client.ask(wire.put_after(self.keys[i], before, b"%d" % self.begun[i]))
        # Nobody else writes the key: where the condition failed, an earlier try was done.
        assert message_id == wire.OK or client.repeated > repeated, "a condition failed at the first try"
        with self.lock:
            self.acknowledged[i] = self.begun[i]

    def read(self, client, i):
        i = self.reads % len(self.keys)
        with self.lock:
            least = max(self.acknowledged[i], self.seen[i])
        value = int(wire.value_of(*client.ask(wire.get(self.keys[i]))) or 0)
        most = self.begun[i]
        assert least <= value <= most, f"{self.keys[i]} is {value}: not between {least} and {most}"
        with self.lock:
            self.seen[i] = max(self.seen[i], value)
            self.reads += 1

    def await_progress(self):
        """Until every writer and the readers have got on; returns when that was so."""
        with self.lock:
            before, reads = list(self.acknowledged), self.reads
        wait_until(lambda: self.failures or (self.reads > reads + 10 and
                                             all(now > then + 1 for now, then in zip(self.acknowledged, before))),
                   "it goes on")
        self.check()
        return time.monotonic()

    def check(self):
        if self.failures:
            self.stop()
            raise self.failures[0]

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(DEADLINE_SECONDS)

    def finish(self, test, addresses):
        """Ends it, and looks that every node has what was acknowledged last."""
        self.stop()
        self.check()
        test.assertGreater(self.reads, 0)
        for address in addresses:
            values = [int(value or 0) for value in wire.get_many(address, self.keys)]
            test.assertEqual(values, self.begun, address)
