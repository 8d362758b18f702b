"""`bin/bootstrap`: what a newcomer may lack is said in one sentence, and what was interrupted is done again.

The Pythons, apt-get and id are stand-ins that note how they are called; the real thing runs at each `make`.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

#: Answers version checks, finds ensurepip where the file `ensurepip` exists, makes a .venv that holds itself.
PYTHON = """#!/bin/sh
echo "python $*" >>"$NOTES"
case "$*" in
    *"import ensurepip"*) [ -e "$PLACE/ensurepip" ] ;;
    *"-m venv .venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *"-m pip install"*) [ ! -e "$PLACE/no-network" ] ;;
    *-V*) echo "Python 3.11.2" ;;
    *"python%d.%d-venv"*) echo "python3.11-venv" ;;
    *) exit 0 ;;
esac
"""
OLD_PYTHON = '#!/bin/sh\ncase "$*" in *-V*) echo "Python 3.9.2" ;; *) exit 1 ;; esac\n'
APT = '#!/bin/sh\necho "apt-get $*" >>"$NOTES"\ncase "$*" in *install*) touch "$PLACE/ensurepip" ;; esac\n'


class Checkout:
    """A copy of what the bootstrap needs, on a machine with only the programs that a test puts there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes = path / "notes"
        self.notes.touch()
        (path / "bin").mkdir()
        shutil.copy(ROOT / "bin" / "bootstrap", path / "bin")
        (path / "requirements.lock").write_text("django==5.2.19 \\\n    --hash=sha256:00\n")
        self._programs = path / "programs"
        self._programs.mkdir()
        for name in ("sh", "cat", "cksum", "cp", "dirname", "grep", "mkdir", "mktemp", "rm", "tail", "touch"):
            (self._programs / name).symlink_to(shutil.which(name) or name)
        self.be_user(1000)

    def put(self, name: str, text: str) -> None:
        program = self._programs / name
        program.write_text(text)
        program.chmod(0o755)

    def be_user(self, uid: int) -> None:
        self.put("id", f"#!/bin/sh\necho {uid}\n")

    def bootstrap(self, **environ: str) -> "subprocess.CompletedProcess[str]":
        env = {"PATH": str(self._programs), "NOTES": str(self.notes), "PLACE": str(self.path), **environ}
        return subprocess.run(
            ["sh", "bin/bootstrap"], cwd=self.path, env=env, capture_output=True, text=True, check=False
        )

    def called(self, words: str) -> int:
        return self.notes.read_text().count(words)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    """With a Python that has all it needs."""
    checkout.put("python3.11", PYTHON)
    (checkout.path / "ensurepip").touch()
    return checkout


def is_one_sentence(done: "subprocess.CompletedProcess[str]") -> bool:
    return done.returncode != 0 and done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


def test_first_run__makes_the_venv_and_installs_with_hashes(ready):
    done = ready.bootstrap()

    assert done.returncode == 0, done.stderr
    assert ready.called("-m venv .venv") == 1
    assert ready.called("--require-hashes --requirement requirements.lock") == 1


def test_second_run__does_nothing(ready):
    ready.bootstrap()

    assert ready.bootstrap().stdout == ""
    assert ready.called("pip install") == 1


def test_changed_lock__is_installed_into_the_same_venv(ready):
    ready.bootstrap()
    (ready.path / "requirements.lock").write_text("django==5.2.20 \\\n    --hash=sha256:01\n")

    ready.bootstrap()

    assert ready.called("pip install") == 2
    assert ready.called("-m venv .venv") == 1


def test_interrupted_install__is_done_again(ready):
    (ready.path / "no-network").touch()
    first = ready.bootstrap()
    (ready.path / "no-network").unlink()

    second = ready.bootstrap()

    assert is_one_sentence(first)
    assert "check the network" in first.stderr
    assert second.returncode == 0
    assert ready.called("pip install") == 2


def test_half_made_venv__is_made_anew(ready):
    half = ready.path / ".venv" / "bin"
    half.mkdir(parents=True)
    (half / "python").symlink_to("/nowhere/python3.11")
    (ready.path / ".venv" / "litter").touch()

    done = ready.bootstrap()

    assert done.returncode == 0, done.stderr
    assert not (ready.path / ".venv" / "litter").exists()


def test_old_python__is_named_with_what_to_do(checkout):
    checkout.put("python3", OLD_PYTHON)

    done = checkout.bootstrap()

    assert is_one_sentence(done)
    assert "Python 3.11 or newer is needed, found: Python 3.9.2" in done.stderr


def test_no_python_at_all__is_said(checkout):
    done = checkout.bootstrap()

    assert is_one_sentence(done)
    assert "found: none" in done.stderr


def test_named_python_that_is_too_old__is_refused_even_if_another_would_do(ready):
    ready.put("python3.9", OLD_PYTHON)

    done = ready.bootstrap(PYTHON="python3.9")

    assert is_one_sentence(done)
    assert "PYTHON=python3.9" in done.stderr


def test_shim_that_does_not_run__is_passed_over(ready):
    ready.put("python3.12", PYTHON)
    ready.put("python3.11", OLD_PYTHON)

    assert ready.bootstrap().returncode == 0


def test_no_ensurepip__a_user_is_told_the_command(checkout):
    checkout.put("python3.11", PYTHON)
    checkout.put("apt-get", APT)

    done = checkout.bootstrap()

    assert is_one_sentence(done)
    assert "sudo apt-get install python3-venv" in done.stderr
    assert checkout.called("apt-get") == 0


def test_no_ensurepip__root_gets_the_package_and_is_told(checkout):
    checkout.put("python3.11", PYTHON)
    checkout.put("apt-get", APT)
    checkout.be_user(0)

    done = checkout.bootstrap()

    assert done.returncode == 0, done.stderr
    assert "installing Debian's python3-venv" in done.stdout
    assert checkout.called("apt-get -qq install -y --no-install-recommends python3-venv") == 1


def test_no_ensurepip__root_without_apt_is_told_what_is_missing(checkout):
    checkout.put("python3.11", PYTHON)
    checkout.be_user(0)

    assert is_one_sentence(checkout.bootstrap())


def test_script__is_what_the_makefile_runs():
    assert "sh bin/bootstrap" in (ROOT / "Makefile").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("exec make test")
