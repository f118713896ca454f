"""A follower was away while much was written, and comes back: how soon it has all, and what clients of the leader notice.

Not a test of every build, since it measures. BANDB_CATCH_UP_MIB is how much is written meanwhile, by default 1024.
"""

import os
import re
import statistics
import sys
import time
import unittest

import wire
from cluster_fixture import Trio
from programs import BENCH, ProgramTest, member_list, run, wait_until

MIB = int(os.environ.get("BANDB_CATCH_UP_MIB", "1024"))
MEASURED_SECONDS = 5
# Of the leader's p99 while it catches up, to that of before.
FACTOR_MAX = 3


class CatchUp(ProgramTest):
    def p99_millis(self, address):
        done = run(BENCH, "net", "--addr", address, "--mode", "put", "--connections", "8", "--warmup", "0.5", "--duration",
                   str(MEASURED_SECONDS))
        self.assertEqual(done.returncode, 0, done)
        return float(re.search(r"^put .* p99 ([\d.]+) ", done.stdout.decode(), re.MULTILINE)[1])

    def fill(self, address):
        connection = wire.connect(address)
        for begin in range(0, MIB, 4):
            connection.send(b"".join(wire.put(b"filler:%d" % (begin + i), os.urandom(1 << 20)) for i in range(4)))
            for _ in range(4):
                self.assertEqual(connection.read_frame()[0], wire.OK)
        connection.close()

    def test_the_leader_goes_on_while_a_follower_catches_up(self):
        trio = Trio(self)
        trio.lead("a")
        leader = trio["a"].address
        normal = statistics.median(self.p99_millis(leader) for _ in range(3))
        trio["c"].kill()
        self.fill(leader)
        began = time.monotonic()
        trio["c"].begin()
        during = []

        def is_well():
            return any(one["name"] == "c" and one["trouble"] == "" for one in member_list(leader))
        # At first it is not known yet that it is there again.
        wait_until(lambda: not is_well(), "c is missed")
        while not is_well():
            during.append(self.p99_millis(leader))
        took = time.monotonic() - began
        trio["c"].await_address()
        (last,) = wire.get_many(trio["c"].address, [b"filler:%d" % ((MIB - 1) // 4 * 4 + 3)])
        self.assertEqual(len(last), 1 << 20)
        print(f"{MIB} MiB in at most {took:.1f} s, {MIB / took:.0f} MiB/s; the leader's p99: {normal:.2f} ms before, "
              f"{', '.join(f'{one:.2f}' for one in during)} ms meanwhile")
        self.assertEqual(trio.leader(), "a")
        self.assertLessEqual(max(during), FACTOR_MAX * normal)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
