"""Installs the build to a scratch prefix, moves it, and builds and runs an outside project against it: by CMake and by
pkg-config. The library folder, include folder and programs must be all that it needs."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = os.environ["BANDB_BUILD"]
COMPILER = os.environ["BANDB_CXX"]
FLAGS = shlex.split(os.environ.get("BANDB_FLAGS", ""))
README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
OUTSIDE = pathlib.Path(__file__).resolve().parent / "outside"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(cls.folder.name)
        run("cmake", "--install", BUILD, "--prefix", str(root / "first"))
        # Nothing may remember where it was installed.
        cls.prefix = root / "moved"
        shutil.move(root / "first", cls.prefix)
        # The project must not see the sources either: it lies elsewhere.
        cls.project = root / "project"
        shutil.copytree(OUTSIDE, cls.project)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_all(self, embedded, served, member, backed_up):
        self.assertEqual(run(str(backed_up), str(self.project / "backed-up")), "1\n")
        shutil.rmtree(self.project / "backed-up")
        self.assertEqual(run(str(member), str(self.project / "data-member")), "Alice\n")
        shutil.rmtree(self.project / "data-member")
        self.assertEqual(run(str(embedded), str(self.project / "data-embedded")), "Alice\n")
        self.assertRegex(run(str(served), str(self.project / "data-served")), r"\A127\.0\.0\.1:\d+\n\Z")
        shutil.rmtree(self.project / "data-embedded")
        shutil.rmtree(self.project / "data-served")

    def test_find_package(self):
        build = self.project / "build"
        run("cmake", "-S", str(self.project), "-B", str(build), "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_CXX_COMPILER={COMPILER}", f"-DCMAKE_CXX_FLAGS={shlex.join(FLAGS)}")
        run("cmake", "--build", str(build))
        self.run_all(*(build / f"outside_{program}" for program in ("embedded", "served", "member", "backed_up")))

    def test_pkg_config(self):
        (libdir,) = {path.parent for path in self.prefix.rglob("bandb.pc")}
        environment = {**os.environ, "PKG_CONFIG_PATH": str(libdir)}
        for program, *packages in (("embedded", "bandb-storage"), ("served", "bandb"), ("member", "bandb-cluster", "bandb-tls"),
                                   ("backed_up", "bandb-backup")):
            flags = shlex.split(run("pkg-config", "--cflags", "--libs", *packages, env=environment))
            run(COMPILER, "-std=c++20", *FLAGS, str(self.project / f"{program}.cc"), *flags, "-o",
                str(self.project / program))
        self.run_all(*(self.project / program for program in ("embedded", "served", "member", "backed_up")))

    def test_bannet_is_there_from_the_sources_and_compiles_nothing_else(self):
        build = self.project / "build-sources"
        sources = OUTSIDE.parent / "sources"
        run("cmake", "-S", str(sources), "-B", str(build), "-G", "Ninja", f"-DBANDB_SOURCES={README.parent}",
            f"-DCMAKE_CXX_COMPILER={COMPILER}", f"-DCMAKE_CXX_FLAGS={shlex.join(FLAGS)}")
        commands = run("ninja", "-C", str(build), "-t", "commands", "echo")
        compiled = set(re.findall(r" -c \S*/(lib/\w+|include|examples|test|tools)/", commands))
        self.assertEqual(compiled, {"lib/base", "lib/net", "examples"})

    def test_a_project_that_fetches_the_sources_stays_as_it_was(self):
        build = self.project / "build-fetched"
        sources = OUTSIDE.parent / "fetched"
        run("cmake", "-S", str(sources), "-B", str(build), "-G", "Ninja", f"-DBANDB_SOURCES={README.parent}",
            f"-DCMAKE_CXX_COMPILER={COMPILER}", f"-DCMAKE_CXX_FLAGS={shlex.join(FLAGS)}", f"-DCMAKE_INSTALL_PREFIX={build}/installed")
        # Libraries alone are built, no test is added, and nothing is installed that the project did not ask for.
        compiled = set(re.findall(r" -c \S*/(lib|examples|test|tools)/", run("ninja", "-C", str(build), "-t", "commands", "all")))
        self.assertEqual(compiled, {"lib"})
        self.assertIn("Total Tests: 0", run("ctest", "--test-dir", str(build), "-N"))
        self.assertEqual(re.findall(r"file\(INSTALL", "".join(path.read_text() for path in build.rglob("cmake_install.cmake"))), [])
        # Its own warnings, as errors, in what it includes.
        run("cmake", "--build", str(build), "--target", "pedantic")

    def test_the_example_of_the_readme_compiles_as_shown_and_works(self):
        (example,) = re.findall(r"```cpp\n(.*?)```", README.read_text(), re.DOTALL)
        source = self.project / "readme.cc"
        source.write_text(example)
        (libdir,) = {path.parent for path in self.prefix.rglob("bandb.pc")}
        flags = shlex.split(run("pkg-config", "--cflags", "--libs", "bandb-storage",
                                env={**os.environ, "PKG_CONFIG_PATH": str(libdir)}))
        program = self.project / "readme"
        run(COMPILER, "-std=c++20", "-Wall", "-Wextra", "-Werror", *FLAGS, str(source), *flags, "-o", str(program))
        self.assertEqual(run(str(program), cwd=self.project), "Alice\n")

    def test_the_programs_run_from_where_they_are_installed(self):
        self.assertRegex(run(str(self.prefix / "bin" / "bandb_server"), "--version"), r"\d+\.\d+\.\d+")
        self.assertIn("Usage", run(str(self.prefix / "bin" / "bandb"), "help"))
        self.assertIn("net", run(str(self.prefix / "bin" / "bandb_bench"), "--help"))
        self.assertIn("repair", run(str(self.prefix / "bin" / "bandb_inspect"), "--help"))

    def test_only_public_headers_are_installed(self):
        headers = {path.relative_to(self.prefix / "include").parts[0] for path in self.prefix.rglob("*.h")}
        self.assertEqual(headers, {"bandb"})


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
