"""What an application does with redis-py: redis_py_client.py PORT prints what it saw, a line each."""

import sys
import threading

import redis


def say(what, value):
    print(f"{what}: {value!r}")


def refused(what, call):
    """Of a call that fails: the library's class of error, and the server's text."""
    try:
        say(what, call())
    except redis.RedisError as error:
        say(what, (type(error).__name__, str(error)))


def transfer(client, giver, taker, amount):
    """The loop of WATCH that redis-py wraps: runs again where somebody else changed what it has read."""
    def move(pipe):
        left, there = int(pipe.get(giver)), int(pipe.get(taker))
        pipe.multi()
        pipe.set(giver, left - amount)
        pipe.set(taker, there + amount)
    client.transaction(move, giver, taker)


def main(port):
    client = redis.Redis(port=port, client_name="application")
    text = redis.Redis(port=port, decode_responses=True, health_check_interval=1)
    client.flushall()
    say("ping", client.ping())
    say("echo", client.echo("héllo"))
    say("name", client.client_getname())

    say("set", [client.set("k", b"\x00\xff\r\n"), client.get("k"), client.set("k", "v", nx=True), client.set("k", "w", get=True)])
    say("text", [text.set("t", "grüße"), text.get("t"), text.get("absent")])
    say("mapping", client.mset({"a": 1, "b": "2", "c": 3.5}))
    say("many", client.mget("a", "b", "nothing", "c"))
    say("msetnx", client.msetnx({"a": 1, "new": 2}))
    say("counters", [client.incr("n"), client.incrby("n", 41), client.decr("n", 2), client.incrbyfloat("f", 0.5)])
    say("pieces", [client.append("s", "hello "), client.append("s", "world"), client.getrange("s", 0, 4),
                   client.setrange("s", 6, "there"), client.strlen("s"), client["s"]])
    refused("no number", lambda: client.incr("s"))
    say("keys", [client.exists("a", "b", "zz"), client.type("a"), client.rename("a", "aa"), client.copy("aa", "a"),
                 client.delete("aa", "zz"), "a" in client])
    say("expiry", [client.set("e", "1", ex=1000), 990 < client.ttl("e") <= 1000, client.persist("e"), client.ttl("e"),
                   client.expireat("e", 4_000_000_000), client.expiretime("e"), client.getex("e", persist=True),
                   client.pttl("e"), client.ttl("zz"), client.getdel("e"), client.get("e")])
    del client["b"]
    refused("a key that is not there", lambda: client.rename("b", "c"))
    for i in range(500):
        client.set(f"scan:{i:03}", i)
    say("scan", [sorted(client.scan_iter("scan:*", count=17)) == [b"scan:%03d" % i for i in range(500)],
                 sorted(text.keys("[ab]*")), len(list(client.scan_iter()))])
    say("size", client.dbsize())
    together(client, port)
    ends(client, text, port)


def together(client, port):
    """Pipelines, transactions, and many threads."""
    with client.pipeline(transaction=False) as pipe:
        for i in range(300):
            pipe.set(f"scan:{i:03}", "x").get(f"scan:{i:03}")
        answers = pipe.execute()
    say("pipeline", [len(answers), answers[:4], answers[-2:]])
    with client.pipeline() as pipe:
        pipe.set("in", 1).incr("in").get("in").incr("s")
        answers = pipe.execute(raise_on_error=False)
    say("transaction", [answers[:3], type(answers[3]).__name__, str(answers[3]), client.get("in")])
    client.mset({"left": 1000, "right": 0})
    movers = [threading.Thread(target=lambda: [transfer(client, "left", "right", 1) for _ in range(25)]) for _ in range(8)]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join()
    say("transfers", client.mget("left", "right"))
    with client.pipeline() as pipe:
        pipe.watch("left")
        client.set("left", "changed")
        pipe.multi()
        pipe.set("left", "mine")
        refused("watched", pipe.execute)

    pool = redis.BlockingConnectionPool(port=port, max_connections=5, timeout=60)
    shared = redis.Redis(connection_pool=pool)
    threads = [threading.Thread(target=lambda: [shared.incr("shared") for _ in range(50)]) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say("pool", shared.get("shared"))


def ends(client, text, port):
    """Refusals, connections that end, and what the server tells of itself."""
    refused("a wrong password", redis.Redis(port=port, password="wrong").ping)
    # The server ends a connection: the next call finds another one.
    quitter = redis.Redis(port=port, single_connection_client=False)
    ident = quitter.client_id()
    say("killed", client.client_kill_filter(_id=ident))
    say("after that", quitter.ping())
    say("info", [text.info("server")["redis_mode"], text.info("persistence")["loading"]])
    say("server", [isinstance(client.time()[0], int), text.config_get("maxmemory-policy"), client.command_count() > 60])
    client.flushdb()
    say("empty", [client.dbsize(), client.randomkey(), client.keys()])


main(int(sys.argv[1]))
