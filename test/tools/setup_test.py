"""tools/setup.sh on systems that are not this one: a fake package manager before the real one tells what it would do."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from programs import ProgramTest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETUP = ROOT / "tools" / "setup.sh"


class Setup(ProgramTest):
    def system(self, os_release, installed, user_id=0, sudo=True):
        """Writes a system: what it is, which packages it has, who is there."""
        self.fakes = self.scratch / "bin"
        self.fakes.mkdir()
        self.write("os-release", os_release)
        self.log = self.scratch / "log"
        self.fake("dpkg-query", "".join(f"echo '{name} installed'\n" for name in installed))
        self.fake("apt-get", f'echo "apt-get $*" >>{self.log}\n')
        self.fake("id", f"echo {user_id}\n")
        if sudo:
            self.fake("sudo", f'echo sudo >>{self.log}\n"$@"\n')
        for tool in ("bash", "sed", "sort", "grep", "cat", "head", "env", "dirname", "mktemp", "mkdir", "mv", "rm"):
            (self.fakes / tool).symlink_to(next(path for path in (pathlib.Path("/usr/bin") / tool,
                                                                  pathlib.Path("/bin") / tool) if path.exists()))

    def fake(self, name, body):
        path = self.fakes / name
        path.write_text("#!/bin/sh\n" + body)
        path.chmod(0o755)

    def setup(self, purpose):
        environment = {"PATH": str(self.fakes), "BANDB_OS_RELEASE": str(self.scratch / "os-release"),
                       "BANDB_NPM": str(self.scratch / "npm")}
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", f". {SETUP}; bandb_setup {purpose}"], env=environment,
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def commands(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def packages(self, purpose):
        text = subprocess.run(["bash", "-c", f". {SETUP}; bandb_packages"], capture_output=True, text=True,
                              check=True).stdout
        return [line.split()[1] for line in text.splitlines() if purpose == "test" or line.startswith("run")]

    def test_missing_packages_are_named_with_a_reason_and_installed(self):
        present = [name for name in self.packages("run") if name not in ("cmake", "libfmt-dev")]
        self.system('ID=debian\nVERSION_ID="12"\n', present)
        code, output, errors = self.setup("run")
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("  cmake: configures the build\n  libfmt-dev: formats messages\n", output)
        self.assertEqual(self.commands(), ["apt-get update -q",
                                           "apt-get install -q -y --no-install-recommends cmake libfmt-dev"])

    def test_when_nothing_is_missing_nothing_is_done_or_said(self):
        self.system('ID=ubuntu\nVERSION_ID="24.04"\n', self.packages("test"))
        self.assertEqual(self.setup("test"), (0, "", ""))
        self.assertEqual(self.commands(), [])

    def test_ubuntu_has_no_package_of_the_browser(self):
        self.system('ID=ubuntu\nVERSION_ID="24.04"\n', [name for name in self.packages("test") if name != "chromium"])
        self.assertEqual(self.setup("test"), (0, "", ""))
        self.assertEqual(self.commands(), [])

    def test_the_tests_need_more_than_running(self):
        self.system('ID=debian\nVERSION_ID="13"\n', self.packages("run"))
        self.assertEqual(self.setup("run"), (0, "", ""))
        code, output, _ = self.setup("test")
        self.assertEqual(code, 0)
        self.assertIn("  catch2: ", output)
        self.assertNotIn("  cmake: ", output)

    def test_the_packages_need_what_their_description_promises(self):
        self.system('ID=debian\nVERSION_ID="12"\n', self.packages("run"))
        code, output, _ = self.setup("package")
        self.assertEqual(code, 0)
        self.assertIn("  libgrpc++-dev: ", output)
        self.assertIn("  protobuf-compiler-grpc: ", output)
        self.assertNotIn("  catch2: ", output)
        script = (pathlib.Path(SETUP).parent / "package.sh").read_text()
        self.assertIn("bandb_setup package\n", script)

    def test_npm_from_elsewhere_will_do_and_installs_once(self):
        self.system('ID=debian\nVERSION_ID="12"\n', [name for name in self.packages("test") if name != "npm"])
        self.fake("node", "")
        self.fake("npm", f'echo "npm $*" >>{self.log}\n')
        code, output, errors = self.setup("test")
        self.assertEqual((code, errors, output.count("\n")), (0, "", 1))
        self.assertIn("for the tests: hyparquet@", output)
        (command,) = self.commands()
        self.assertRegex(command, "^npm install .*--ignore-scripts .*hyparquet@")
        self.assertEqual(self.setup("test"), (0, "", ""))
        self.assertEqual(len(self.commands()), 1)

    def test_without_packages_of_npm_the_tests_go_on(self):
        self.system('ID=debian\nVERSION_ID="12"\n', self.packages("test"))
        self.fake("node", "")
        self.fake("npm", "exit 1\n")
        code, _, errors = self.setup("test")
        self.assertEqual(code, 0)
        self.assertRegex(errors, "^npm install hyparquet.* failed\n$")
        self.assertEqual(list((self.scratch / "npm").iterdir()), [])

    def test_who_is_not_root_uses_sudo(self):
        self.system('ID=debian\nVERSION_ID="12"\n', [], user_id=1000)
        self.assertEqual(self.setup("run")[0], 0)
        self.assertEqual(self.commands()[:2], ["sudo", "apt-get update -q"])

    def test_without_sudo_it_fails_with_one_sentence(self):
        self.system('ID=debian\nVERSION_ID="12"\n', [], user_id=1000, sudo=False)
        code, _, errors = self.setup("run")
        self.assertEqual((code, errors.count("\n")), (1, 1))
        self.assertIn("there is no sudo: run as root 'apt-get install g++ cmake", errors)
        self.assertEqual(self.commands(), [])

    def test_a_failing_package_manager_is_reported(self):
        self.system('ID=debian\nVERSION_ID="12"\n', [])
        self.fake("apt-get", "echo 'no network' >&2; exit 100\n")
        code, _, errors = self.setup("run")
        self.assertEqual(code, 1)
        self.assertIn("bandb: apt-get update failed", errors)

    def test_unknown_and_old_systems_are_refused_with_one_sentence(self):
        for release, what in (("ID=fedora\n", "this system is fedora"), ("", "of no known kind"),
                              ('ID=debian\nVERSION_ID="11"\n', "this is debian 11"),
                              ('ID=ubuntu\nVERSION_ID="22.04"\n', "this is ubuntu 22.04")):
            with self.subTest(release=release):
                self.setUp()
                self.system(release, [])
                code, output, errors = self.setup("run")
                self.assertEqual((code, output, errors.count("\n")), (1, "", 1))
                self.assertIn(what, errors)
                self.assertEqual(self.commands(), [])

    def test_the_scripts_stop_there(self):
        for script in ("run.sh", "test.sh"):
            environment = {**os.environ, "BANDB_OS_RELEASE": str(self.scratch / "absent")}
            done = subprocess.run([str(ROOT / "tools" / script)], env=environment, capture_output=True, text=True,
                                  check=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1))


class Stages(ProgramTest):
    """tools/test.sh, with a compiler and a test runner that say what the test wants."""

    def setUp(self):
        super().setUp()
        self.fakes = self.scratch / "bin"
        self.fakes.mkdir()
        (self.scratch / "tools").mkdir()
        (self.scratch / "tools" / "setup.sh").write_text("bandb_setup() { :; }\nbandb_fail() { echo $* >&2; exit 1; }\n")
        shutil.copy(ROOT / "tools" / "test.sh", self.scratch / "tools")
        self.log = self.scratch / "log"
        self.fake("cmake", "")
        self.fake("ctest", "echo '100% tests passed, 0 tests failed out of 7'")

    def fake(self, name, body):
        path = self.fakes / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.log}\n{body}\n')
        path.chmod(0o755)

    def run_script(self, *arguments):
        environment = {**os.environ, "PATH": f"{self.fakes}:{os.environ['PATH']}"}
        done = subprocess.run([str(self.scratch / "tools" / "test.sh"), *arguments], env=environment,
                              capture_output=True, text=True, check=False)
        last = done.stdout.splitlines()[-1] if done.stdout else ""
        return done.returncode, last, self.log.read_text() if self.log.exists() else ""

    def test_all_stages_are_built_tested_and_counted(self):
        code, last, log = self.run_script()
        self.assertEqual((code, last), (0, "21 passed, 0 failed"))
        stages = (("dev", "all", ""), ("clang-asan", "bandb_unit_tests bandb_fuzz_replays", " -L unit|fuzz"),
                  ("tsan", "bandb_threaded_tests", " -L threads"))
        for preset, targets, labels in stages:
            self.assertIn(f"cmake --build --preset {preset} --target {targets}\n", log)
            self.assertRegex(log, f"ctest --preset {preset} .*{re.escape(labels)}\n")

    def test_quick_and_patterns_run_dev_alone(self):
        for arguments in (["--quick"], ["-R", "kv"], ["--stage", "dev"]):
            self.assertEqual(self.run_script(*arguments)[:2], (0, "7 passed, 0 failed"))
        self.assertIn("-R kv", self.log.read_text())
        self.assertNotIn("tsan", self.log.read_text())

    def test_a_failing_test_fails_the_script(self):
        self.fake("ctest", "echo '71% tests passed, 2 tests failed out of 7'; exit 8")
        self.assertEqual(self.run_script("--quick")[:2], (1, "5 passed, 2 failed"))

    def test_a_build_that_fails_and_a_runner_that_dies_fail_the_script(self):
        self.fake("ctest", "exit 8")
        self.assertEqual(self.run_script("--quick")[:2], (1, "0 passed, 1 failed"))
        self.fake("cmake", "echo 'x.cc:1: error: no'; exit 1")
        self.assertEqual(self.run_script("--quick")[:2], (1, "0 passed, 1 failed"))

    def test_what_it_does_not_know_is_refused(self):
        self.assertEqual(self.run_script("--bogus")[0], 1)
        self.assertEqual(self.run_script("--stage", "bogus")[0], 1)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
