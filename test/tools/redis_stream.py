"""Commands of Redis at random, as redis_test.py sends them to redis-server and to BanDB."""

import random


class Stream:
    """Commands at random, on few keys, with many mistakes."""

    NUMBERS = ["0", "1", "-1", "7", "10", "-12", "100", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
               "01", "1.5", "abc", "", " 1", "1 ", "+1", "-0", "3.0e3"]
    VALUES = ["", "a", "hello", "10", "-5", "3.25", "9223372036854775807", "x" * 300, b"\x00\xff\r\n", "12abc", "1e2", "0.1"]
    OTHERS = ["role", "acl whoami", "acl nosuch", "script exists a b", "script flush", "script flush async", "script flush x", "script nosuch",
              "script exists", "function flush", "function flush sync", "function flush x", "function flush sync more", "function list",
              "function list withcode", "function list libraryname", "function list libraryname x", "function list x", "function nosuch",
              "client getredir", "client trackinginfo", "client caching yes", "client tracking off", "client tracking x", "client unblock 0",
              "client unblock x", "client unblock 0 error", "client unblock 0 x", "client unblock 0 error more", "config set save", "config set nosuch 1",
              "config set maxmemory 0", "config set MAXMEMORY 0 maxmemory 0", "config set databases 1", "config set nosuch 1 databases 1",
              "config set databases 16 nosuch 1", "config set maxmemory 0 maxmemory-policy noeviction", "command list x", "command list filterby x",
              "command list filterby x y", "command list filterby module x", "command list filterby aclcat x", "command list filterby pattern GET",
              "command list filterby pattern client|i?", "command list filterby pattern nosuch*", "command getkeys object encoding k",
              "command getkeys memory usage k", "command getkeys lcs a b", "command info get|key", "command info nosuch"]
    FLOATS = ["0.1", "-0.5", "3", "1e3", "abc", "inf", "nan", "-1.0e-2", "", "5.0e300", " 1", "123456789.123456789"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def key(self):
        return self.random.choice(["a", "b", "c", "d", "e", "k1", "k2", "", b"\xff\x00"])

    def value(self):
        return self.random.choice(self.VALUES)

    def number(self):
        return self.random.choice(self.NUMBERS)

    def seconds(self):
        """A time to live that no test outlasts, or a mistake."""
        return self.random.choice(["1000", "5000", "100000", "0", "-1", "abc", "9223372036854775807", "1.5", ""])

    def moment(self, millis):
        second = self.random.choice([4000000000, 4000000500, 5000000000])
        return self.random.choice([str(second * (1000 if millis else 1)), "1", "0", "-5", "x", "9223372036854775807"])

    def database(self):
        return self.random.choice(["0", "0", "x", "1000000", "", "-1", "2147483648", "99999999999999999999"])

    def lcs_options(self):
        options = []
        for _ in range(self.random.choice([0, 0, 1, 1, 2, 3])):
            options.append(self.word("len", "idx", "minmatchlen", "withmatchlen", "foo"))
            if options[-1].lower() == "minmatchlen" and self.random.random() < 0.9:
                options.append(self.random.choice(["0", "1", "2", "4", "-1", "x"]))
        return options

    def bit_range(self):
        ends = [self.random.choice(["0", "1", "5", "9", "40", "-1", "-3", "-20", "9223372036854775807", "-9223372036854775808", "x"])
                for _ in range(self.random.choice([0, 0, 1, 2, 2, 2]))]
        units = [[], [], ["byte"], ["BIT"], ["foo"], ["bit", "more"]]
        return ends + (self.random.choice(units) if len(ends) == 2 else [])

    def word(self, *words):
        word = self.random.choice(words)
        return "".join(self.random.choice([c.lower(), c.upper()]) for c in word)

    def set_options(self, *words):
        options = []
        for _ in range(self.random.choice([0, 0, 1, 1, 2, 3])):
            option = self.word(*words)
            options.append(option)
            if option.lower() in ("exat", "pxat"):
                options.append(self.moment(option.lower() == "pxat"))
            elif option.lower() in ("ex", "px") and self.random.random() < 0.95:
                options.append(self.seconds())
        return options

    def expire(self):
        name = self.random.choice(["expire", "pexpire", "expireat", "pexpireat"])
        when = self.moment(name == "pexpireat") if name.endswith("at") else self.seconds()
        # A time in milliseconds must not pass while the test runs.
        if name == "pexpire" and when in ("1000", "5000"):
            when = "100000"
        flags = [self.word("nx", "xx", "gt", "lt", "no") for _ in range(self.random.choice([0, 0, 0, 1, 1, 2]))]
        return [name, self.key(), when, *flags]

    def command(self):
        key, value, number = self.key, self.value, self.number
        set_words = ("nx", "xx", "get", "ex", "px", "exat", "pxat", "keepttl", "persist", "foo")
        makers = [
            lambda: ["set", key(), value()],
            lambda: ["set", key(), self.random.choice(["1", "5", "-7"])],
            lambda: ["set", key(), value(), *self.no_short(self.set_options(*set_words))],
            lambda: ["get", key()],
            lambda: ["getex", key(), *self.no_short(self.set_options("ex", "px", "exat", "pxat", "persist", "keepttl", "nx"))],
            lambda: ["getdel", key()],
            lambda: ["getset", key(), value()],
            lambda: ["setnx", key(), value()],
            lambda: ["setex", key(), self.seconds(), value()],
            lambda: ["psetex", key(), self.random.choice(["100000", "0", "-1", "x"]), value()],
            lambda: ["mget", *[key() for _ in range(self.random.randrange(1, 5))]],
            lambda: ["mset", *[f() for _ in range(self.random.randrange(1, 4)) for f in (key, value)]],
            lambda: ["mset", key(), value(), key()],
            lambda: ["msetnx", *[f() for _ in range(self.random.randrange(1, 3)) for f in (key, value)]],
            lambda: ["msetnx", key(), value(), key()],
            lambda: ["append", key(), value()],
            lambda: ["strlen", key()],
            lambda: [self.random.choice(["getrange", "substr"]), key(), number(), number()],
            lambda: ["setrange", key(), self.random.choice(["0", "1", "5", "20", "-1", "x", "536870912"]), value()],
            lambda: [self.random.choice(["incr", "decr"]), key()],
            lambda: [self.random.choice(["incrby", "decrby"]), key(), number()],
            lambda: ["incrbyfloat", key(), self.random.choice(self.FLOATS)],
            lambda: [self.random.choice(["del", "unlink", "exists", "touch"]), *[key() for _ in range(self.random.randrange(1, 4))]],
            lambda: ["type", key()],
            lambda: [self.random.choice(["rename", "renamenx"]), key(), key()],
            lambda: ["copy", key(), key(), *self.random.choice([[], [], ["replace"], ["db", "0"], ["db", "x"], ["foo"], ["db"]])],
            lambda: [self.random.choice(["expiretime", "persist"]), key()],
            self.expire,
            lambda: ["dbsize"],
            lambda: ["ping", *self.random.choice([[], ["hi"], ["a", "b"]])],
            lambda: ["echo", value()],
            lambda: ["select", self.database()],
            lambda: ["move", key(), self.database()],
            lambda: ["copy", key(), key(), "db", self.database()],
            lambda: ["swapdb", self.database(), self.database()],
            lambda: ["lcs", key(), key(), *self.lcs_options()],
            lambda: ["setbit", key(), self.random.choice(["0", "7", "9", "100", "-1", "x", "4294967296"]), self.random.choice(["0", "1", "2", "x"])],
            lambda: ["getbit", key(), self.random.choice(["0", "7", "9", "100", "-1", "x", "4294967296"])],
            lambda: ["bitcount", key(), *self.bit_range()],
            lambda: ["bitpos", key(), self.random.choice(["0", "1", "1", "2", "x"]), *self.bit_range()],
            lambda: ["bitop", self.word("and", "or", "xor", "not", "foo"), key(), *[key() for _ in range(self.random.choice([1, 1, 2, 3]))]],
            lambda: ["object", "freq", key()],
            lambda: ["object", self.random.choice(["nosuch", "encoding"]), key(), "more"],
            lambda: ["memory", "usage", key(), *self.random.choice([["samples", "-1"], ["samples", "x"], ["samples"], ["foo", "1"]])],
            lambda: ["wait", self.random.choice(["0", "x", "1.5"]), self.random.choice(["0", "100", "x", "-1"])],
            lambda: self.random.choice(self.OTHERS).split(),
            lambda: [self.random.choice(["get", "set", "incr", "ttl", "nosuchcommand", "", "getrange", "GeT"])],
            lambda: ["nosuch", "with", "x" * 200, value(), "more"],
            lambda: ["command", "count", "x"],
            lambda: [self.random.choice(["multi", "exec", "discard", "unwatch"])],
            lambda: ["multi"], lambda: ["exec"],
            lambda: ["watch", key(), key()],
            lambda: ["auth", *self.random.choice([["x"], ["default", "x"], ["nobody", "x"], ["a", "b", "c"]])],
            lambda: ["hello", *self.random.choice([["4"], ["x"], ["2", "foo"], ["2", "setname", "a b"]])],
            lambda: ["client", self.random.choice(["getname", "nosuch"])],
            lambda: ["client", "setname", self.random.choice(["x", "", "a b", "name"])],
            lambda: ["flushall", self.random.choice(["sync", "x"])] if self.random.random() < 0.1 else ["dbsize"],
            lambda: ["reset"] if self.random.random() < 0.2 else ["ping"],
        ]
        return self.random.choice(makers)()

    @staticmethod
    def no_short(options):
        """px 1000 and px 5000 might pass while the test runs; and what expires in the past DBSIZE counts for a while, in Redis."""
        safe = []
        for i, option in enumerate(options):
            before = options[i - 1].lower() if i > 0 else ""
            if before == "px" and option in ("1000", "5000"):
                option = "100000"
            if before in ("exat", "pxat") and option == "1":
                option = "0"
            safe.append(option)
        return safe
