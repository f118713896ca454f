#!/usr/bin/env python3
"""Plants each known bug into the storage engine, in turn, and looks which of its tests finds it, and how soon.

  hunt.py [--bin DIR] [--mutant N] [--jobs N] [--known] [--list]

The bugs are planted by mutants.patch, as BANDB_STORAGE_MUTANT(n) beside the lines that avoid them, in a copy of
lib/storage; the tests are those of this folder, linked with that copy. Each bug is hunted by one program after the other,
the quick ones first, until a test fails, dies or hangs. --known: only those of which a test is noted below that finds them,
and by that test before all others.

A bug that nothing finds is a hole in the tests: it wants a test, and not another number. One without a note has not been
hunted to its end yet.

Exit code: 0 if all were caught, 1 if one survived, 2 for wrong usage.
"""

import argparse
import concurrent.futures
import dataclasses
import html
import os
import pathlib
import re
import subprocess
import sys
import time


@dataclasses.dataclass(frozen=True)
class Bug:
    number: int
    what: str
    # The test that found it last: the program, the case, and for the model the seed.
    program: str = ""
    case: str = ""
    seed: str = ""


BUGS = [
    Bug(1, "what waits for a sync is answered before it",
        "storage", "after a sync that failed, all who wait and all who come are told that the outcome is unknown"),
    Bug(2, "the name of a new log is not synced",
        "storage_rig", "after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised"),
    Bug(3, "only the present log is synced, and not those before it",
        "storage", "whoever waits is served by one sync, which makes all logs and their names durable"),
    Bug(4, "what was appended during a sync counts as synced",
        "storage", "what is appended while a sync runs does not count as synced by it"),
    Bug(5, "a log is appended to before its header is synced",
        "storage", "a log that cannot be begun leaves the one before it as it was"),
    Bug(6, "a log is not ended when the next one is begun",
        "storage_rig", "after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised"),
    Bug(7, "the seal of a log is not synced, and its length is recorded",
        "storage", "sealing makes everything durable, the seal last"),
    Bug(8, "a sync that failed is asked for again, and then believed"),
    Bug(9, "after a switch writes go on into the log before",
        "storage", "whoever waits is served by one sync, which makes all logs and their names durable"),
    Bug(10, "a group is synced only if its first write asks for it",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(11, "a batch is logged in two records",
        "storage_rig", "after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised"),
    Bug(12, "times to live are logged as they came, and not as times",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(13, "no room is reserved before a record is appended",
        "db", "a log for which there is no room refuses the write, and takes the next one once there is some"),
    Bug(14, "the last sequence is published before the memtable holds it",
        "db_threads", "sixteen threads write, read, scan, flush and compact, and every read sees whole batches"),
    Bug(15, "a condition that could not be read counts as absent",
        "db", "a table that cannot be opened again, or read, is an error with file and offset at every read"),
    Bug(16, "a write under conditions joins a group, which are not looked at",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(17, "readers are not told of the memtable that was frozen",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(18, "recovery stops one record early before a torn tail",
        "storage_rig", "after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised"),
    Bug(19, "recovery does not note how much of a torn log counted",
        "db", "a log that was dropped does not come back when its removal was lost"),
    Bug(20, "a hole between two logs is not looked for",
        "storage_rig", "after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised"),
    Bug(21, "recovery gives numbers of files that lie about to new ones",
        "db", "what a process that died left behind goes, its numbers are not used again, and files of others stay"),
    Bug(22, "what a recovery found in a log is not made durable",
        "storage_rig", "after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised"),
    Bug(23, "what is not needed is removed before the new manifest counts",
        "db", "an Open that finds the disk full at any call says so, and loses nothing, whatever comes after"),
    Bug(24, "time begins again with the clock when a database is opened",
        "db", "it stays away after the database was closed, too"),
    Bug(25, "damage in synced bytes of a log counts as its torn tail",
        "storage", "a flipped byte in what had been synced is corruption, and behind it a torn tail"),
    Bug(26, "records after damage in a log do not tell what was synced",
        "storage", "a flipped byte in what had been synced is corruption, and behind it a torn tail"),
    Bug(27, "the name of an identity is not made durable at the next open",
        "db_threads", "a creation that ended just before it was durable is made durable by the next Open"),
    Bug(28, "a flush of several memtables notes the last sequence of the first",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(29, "a flush does not ask for snapshots",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(30, "a flush lets go of the logs of memtables that it does not hold",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(31, "logs are removed before the edit of the flush is durable",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(32, "a log that is kept for readers is not synced before its flush",
        "feed", "logs are kept within their room, through openings, and let go with the option"),
    Bug(33, "a flush of a replica notes how far it is now",
        "db_model", "a replica answers like a sorted map, whatever is done to it and however it ends"),
    Bug(34, "the name of a table is not synced before the edit that adds it",
        "storage_rig", "after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised"),
    Bug(35, "tables are removed before the edit that drops them is durable",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(36, "an edit is lost when the manifest is replaced after it",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(37, "the old manifest is removed before CURRENT names the new one",
        "db", "when nobody knows which manifest counts, writes stop, and the next open finds everything"),
    Bug(38, "a table is removed while readers still hold it",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(39, "the first edit of a manifest is not synced",
        "storage", "a crash at any call while a new manifest is begun leaves the old one or the new one"),
    Bug(40, "edits of a manifest are not synced",
        "storage_rig", "after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised"),
    Bug(41, "the name of a manifest is not synced before CURRENT has it",
        "storage", "a crash at any call while a new manifest is begun leaves the old one or the new one"),
    Bug(42, "CURRENT is renamed, and the folder not synced",
        "storage_rig", "after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised"),
    Bug(43, "CURRENT is renamed before its bytes are synced",
        "storage", "a crash at any call while a new manifest is begun leaves the old one or the new one"),
    Bug(44, "a new manifest forgets the clock that was accepted",
        "storage", "a manifest that is read again holds the state that it began with, and all edits"),
    Bug(45, "a new manifest forgets where logs end",
        "storage", "a manifest that is read again holds the state that it began with, and all edits"),
    Bug(46, "a table is not synced before the edit that adds it",
        "storage_rig", "after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised"),
    Bug(47, "a range delete is cut off where an output ends",
        "storage", "after a merge every reader finds what he found before, in tables that do not overlap"),
    Bug(48, "a range delete is dropped if no level below has its first key",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(49, "the level under the output is not asked for what a delete hides",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(50, "range deletes are dropped where no entry is left of an output",
        "db_model", "a replica answers like a sorted map, whatever is done to it and however it ends"),
    Bug(51, "versions of one key are cut into two tables",
        "storage", "after a merge every reader finds what he found before, in tables that do not overlap"),
    Bug(52, "a snapshot does not see the version of its own sequence",
        "storage", "whoever reads at a live snapshot or later sees the same after a merge, and what lies below stays hidden"),
    Bug(53, "a delete is dropped although a snapshot holds what it hides",
        "storage", "whoever reads at a live snapshot or later sees the same after a merge, and what lies below stays hidden"),
    Bug(54, "a range delete drops what a snapshot before it sees",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(55, "a range delete is dropped although a snapshot holds what it hides",
        "storage", "whoever reads at a live snapshot or later sees the same after a merge, and what lies below stays hidden"),
    Bug(56, "a merge goes by whole seconds when it drops what has expired",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(57, "an expired value is dropped although it hides an older one",
        "storage", "whoever reads at a live snapshot or later sees the same after a merge, and what lies below stays hidden"),
    Bug(58, "a merge drops what has expired since a snapshot was taken",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(59, "a merge within level 0 drops deletes",
        "db", "a delete over a damaged table of level 0 stays, though it is merged with newer tables"),
    Bug(60, "a compaction forgets the range deletes of the level that it goes into",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(61, "a compaction of level 0 leaves its oldest table there",
        "storage", "level 0 is compacted whole into the base level, with what overlaps it there"),
    Bug(62, "a manual compaction of level 0 takes only tables in its range",
        "storage", "on demand a range of a level is compacted, all of level 0, and nothing where nothing is"),
    Bug(63, "the first key of a partition is in the filter of the one before",
        "storage_threads", "a small table is one partition, and a large one many, of which each has its filter"),
    Bug(64, "a filter has only the first version of a key, wherever the next lies",
        "storage", "a table answers every question as the list of its entries does"),
    Bug(65, "the checksum of a block says nothing of its place",
        "storage", "a table that is not compressed is written as the first release of its format wrote it, byte for byte"),
    Bug(66, "blocks that a compaction reads are not checked",
        "storage", "damage ahead ends a walk with an error, with all before it told"),
    Bug(67, "a walk keeps its block when it enters the next partition",
        "storage", "a cursor that turns round anywhere stands where a list would"),
    Bug(68, "a table is not compared with what the manifest says of it",
        "db", "tables that are not what the state says are found out before it is installed"),
    Bug(69, "backward, a walk ends in the gap between two tables",
        "storage", "a level walks like one sorted list, over tables that hold no entries too"),
    Bug(70, "sources that had ended are left out when a walk turns round",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(71, "keys without the common prefix are merged by the wrong bytes",
        "storage", "a merge puts keys in order whatever they share, and however long they are"),
    Bug(73, "range deletes of frozen memtables are not heeded by gets",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(74, "a get asks no more than eight tables",
        "db", "a get asks every table that may hold its key, however many there are"),
    Bug(75, "a pinned value does not keep its memtable",
        "db_model", "a database answers like a sorted map, whatever is done to it and however it ends"),
    Bug(76, "reads of a snapshot go by the present time",
        "db", "a key that is renewed in time is in every snapshot, at any time of its taking"),
    Bug(77, "range deletes of a memtable are lost when they are merged",
        "storage", "the range deletes of a memtable cover what a search of all of them finds, at every moment"),
    Bug(78, "a log is let go though a cursor stands in it",
        "storage", "logs of before the time that they are kept for go, but for those that a cursor needs"),
    Bug(79, "the last token of an epoch is that of the one before",
        "feed", "openings that write nothing leave nothing behind, and tokens go on over them"),
    Bug(80, "the change feed gives what is not durable",
        "feed", "what power loss could take back is given only to those who ask for it"),
    Bug(81, "the first log of a flush is not kept in the manifest",
        "feed", "logs are kept within their room, through openings, and let go with the option"),
    Bug(82, "the name of a checkpoint is not synced",
        "db_threads", "a checkpoint in folders that had to be made survives power loss, with a slash at its end or without"),
    Bug(83, "a command does not see the range delete of one before in its entry",
        "storage", "writes of the entry that were done count for the conditions of those after them"),
    Bug(84, "a table that a replica was sent is not synced"),
    Bug(85, "a snapshot that is taken while tables are forgotten loses what it sees of them",
        "styles", "a snapshot that is taken while its tables are being forgotten keeps seeing the same"),
    Bug(86, "what the system has written is forgotten with the rest",
        "styles", "cursors of the change feed are not forgotten"),
    Bug(87, "tables of level 0 are forgotten before older ones below",
        "styles", "what is forgotten brings no older value to light, and nothing that was deleted"),
    Bug(88, "a tiered merge leaves out the runs between the first and the last",
        "styles", "runs of about one size are merged into the lowest level above the next older one"),
    Bug(89, "a value that the filter removes goes without a trace, whatever lies below",
        "styles", "a removed value hides an older one that lies below what is merged"),
    Bug(90, "a compaction that is paused takes its next step",
        "styles", "a database closes with its compactions paused, and opens with them going on"),
    Bug(91, "tables that are joined are as old as the join",
        "styles", "small tables that are joined are as old as the newest of them"),
    Bug(92, "what is ingested goes below level 0, whatever is there",
        "ingest", "tables go as far down as nothing is in their way, and those that level 0 has a part of stay there"),
    Bug(93, "what is ingested goes where a compaction writes",
        "storage", "no compaction begins to write where tables are about to be put, and none goes where one writes"),
    Bug(94, "logs of before an ingest are kept for the change feed",
        "ingest", "a reader that goes on from before an ingest is told that what comes next is gone, whatever it had read"),
    Bug(95, "readers of the change feed look for what was ingested in the log after it",
        "ingest", "a reader that goes on from before an ingest is told that what comes next is gone, whatever it had read"),
    Bug(96, "logs of before an ingest are removed before it is durable",
        "ingest", "logs that were kept are let go once the ingest is durable, and not before"),
    Bug(97, "what is ingested gets its name after the edit that adds it",
        "storage_rig", "after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised"),
    Bug(98, "tables of an ingest that were written once more stay on the disk",
        "ingest", "an ingest that a later one has overtaken comes after it nevertheless"),
    Bug(99, "a walk of a snapshot passes over what later range deletes hide",
        "db", "a walk over what one range delete emptied passes next to none of it, wherever the delete lies"),
    Bug(100, "a log that is not held at an open is not made durable",
        "db", "a log that is too large to be held at an open is made durable all the same, and judged like any other"),
]

# In the order in which they are tried, each with the seconds after which it hangs.
PROGRAMS = {"storage": 120, "storage_threads": 120, "styles": 120, "feed": 120, "ingest": 120, "db": 300, "db_threads": 300, "replica_rig": 300,
            "db_model": 300, "storage_rig": 900}


@dataclasses.dataclass(frozen=True)
class Found:
    program: str
    case: str
    how: str


def run(folder, bug, program, case="", seed=""):
    """What failed, or None."""
    environment = dict(os.environ, BANDB_STORAGE_MUTANT=str(bug.number))
    if seed:
        environment["BANDB_MODEL_SEEDS"] = seed
    # In a case's name a comma would separate two.
    command = [str(folder / f"bandb_{program}_mutants"), "--abort", "--reporter", "xml"]
    if case:
        command.append(case.replace(",", "\\,"))
    try:
        ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             timeout=PROGRAMS[program], check=False)
        output, how = ran.stdout, {0: "", 1: "failed"}.get(ran.returncode, "failed" if ran.returncode > 0 else "died")
    except subprocess.TimeoutExpired as hung:
        output, how = hung.stdout or b"", "hung"
    if not how:
        return None
    cases = re.findall(r'<TestCase name="([^"]*)"', output.decode(errors="replace"))
    if case and not cases:
        sys.exit(f"bandb_{program}_mutants has no case \"{case}\"")
    return Found(program, html.unescape(cases[-1]) if cases else "", how)


def hunt(folder, bug, known):
    """The line to print, and whether it was caught."""
    began = time.monotonic()
    found = None
    if known:
        found = run(folder, bug, bug.program, bug.case, bug.seed)
    for program in PROGRAMS:
        found = found or run(folder, bug, program)
    seconds = time.monotonic() - began
    line = f"{bug.number:>3}  {'caught  ' if found else 'SURVIVED'}  {seconds:>6.1f} s  {bug.what}"
    if found:
        line += f"\n{'':>26}{found.how} in {found.program}: {found.case}"
    return line, found is not None


def main(arguments):
    parser = argparse.ArgumentParser(prog="hunt.py", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/dev/bin"), help="where the tests are")
    parser.add_argument("--mutant", type=int, action="append", help="plant only this bug; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="hunts at a time")
    parser.add_argument("--known", action="store_true", help="only bugs that a noted test finds, by that test first")
    parser.add_argument("--list", action="store_true", help="list the bugs and run nothing")
    options = parser.parse_args(arguments)
    wanted = [bug for bug in BUGS if (not options.mutant or bug.number in options.mutant) and
              (bug.program or not options.known)]
    if not wanted:
        print(f"there is no planted bug {options.mutant}; --list shows them", file=sys.stderr)
        return 2
    if options.list:
        for bug in wanted:
            print(f"{bug.number:>3}  {bug.what}")
        return 0
    caught = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(hunt, options.bin, bug, options.known)
                                                     for bug in wanted]):
            line, is_caught = done.result()
            caught += is_caught
            print(line, flush=True)
    print(f"{caught} of {len(wanted)} planted bugs caught")
    return 0 if caught == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
