"""Which servers a session takes: named, found, started, installed, or a word on what to do."""

import pytest

from tests.services import chromium, install, postgres, processes, provision, rabbitmq, vhosts


class Machine:
    """What there is on a machine, in place of the real one; it notes what is done to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reachable: set[str] = set()
        self.installed = {"postgresql", "rabbitmq-server", "chromium", "libatomic1"}
        self.gives_vhosts = True
        self.vhosts = ["/", "somebody-elses"]
        self.root = False
        self.done: list[str] = []
        replace = monkeypatch.setattr
        replace(postgres, "refusal", self._refusal)
        replace(rabbitmq, "refusal", self._refusal)
        replace(postgres, "programs", lambda: "postgresql" in self.installed or None)
        replace(rabbitmq, "programs", lambda: "rabbitmq-server" in self.installed or None)
        replace(chromium, "program", lambda environ: "chromium" if "chromium" in self.installed else "")
        replace(chromium, "driver_lacks", lambda: "" if "libatomic1" in self.installed else "libatomic")
        replace(postgres, "PrivatePostgres", lambda: Private(self, "postgres://private/postgres"))
        replace(rabbitmq, "PrivateRabbitMQ", lambda: Private(self, "amqp://private/%2F"))
        replace(vhosts, "open_vhost", self._open_vhost)
        replace(install, "possible", lambda: self.root)
        replace(install, "install", self._install)
        replace(postgres, "remove_leftovers", lambda url: self.done.append("leftovers"))
        replace(processes, "remove_leftovers", lambda: None)

    def provide(self, *, whole: bool = True, browser: bool = False, **environ: str) -> provision.Services:
        return provision.provide(environ, say=self.done.append, whole=whole, browser=browser)

    def _refusal(self, url: str) -> str:
        return "" if url in self.reachable else "nobody answers"

    def _open_vhost(self, url: str, vhost: str) -> "Maker | None":
        self.vhosts.append(vhost)
        return Maker(self) if self.gives_vhosts else None

    def _install(self, missing: list[str], *, say: object) -> str:
        self.done.append(f"install {' '.join(missing)}")
        self.installed |= {install.PACKAGES[server] for server in missing}
        return ""


class Private:
    def __init__(self, machine: Machine, url: str) -> None:
        self.machine, self.url = machine, url
        machine.done.append(f"start {url}")

    def create_vhost(self, name: str) -> str:
        return name

    def close(self) -> None:
        self.machine.done.append(f"close {self.url}")


class Maker:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def create(self, vhost: str) -> None:
        self.machine.vhosts.append(vhost)

    def known(self) -> list[str]:
        return self.machine.vhosts

    def delete(self, vhost: str) -> None:
        self.machine.done.append(f"delete {vhost}")


POSTGRES = "postgres://postgres@127.0.0.1:5432/postgres"
NAMED = {"DATABASE_URL": "postgres://me@db/shop", "BROKER_URL": "amqp://me@mq/shop"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_provide__named_servers_come_first(machine):
    machine.reachable = {*NAMED.values(), POSTGRES, rabbitmq.STANDARD_URL}

    found = machine.provide(**NAMED)

    assert (found.database_url, found.broker_url) == tuple(NAMED.values())


def test_provide__a_named_database_need_not_exist_yet(machine):
    machine.reachable = {"postgres://me@db/postgres", NAMED["BROKER_URL"]}

    assert machine.provide(**NAMED).database_url == "postgres://me@db/postgres"


@pytest.mark.parametrize("wrong", ["DATABASE_URL", "BROKER_URL"])
def test_provide__a_named_server_that_is_down_is_said_and_not_replaced(machine, wrong):
    machine.reachable = {*NAMED.values(), POSTGRES, rabbitmq.STANDARD_URL} - {NAMED[wrong]}

    with pytest.raises(provision.UnavailableError, match=f"{wrong} names cannot be used for the tests: nobody answers"):
        machine.provide(**NAMED)


def test_provide__sqlite_is_not_what_the_tests_run_on(machine):
    with pytest.raises(provision.UnavailableError, match="does not name a PostgreSQL server"):
        machine.provide(DATABASE_URL="sqlite:///x")


def test_provide__then_the_standard_ports(machine):
    machine.reachable = {POSTGRES, rabbitmq.STANDARD_URL}

    found = machine.provide()

    assert (found.database_url, found.broker_url) == (POSTGRES, rabbitmq.STANDARD_URL)
    assert machine.done == ["leftovers"]


def test_provide__then_private_ones_which_end_with_the_session(machine):
    found = machine.provide()
    found.close()

    assert found.database_url == "postgres://private/postgres"
    assert machine.done[-2:] == ["close amqp://private/%2F", "close postgres://private/postgres"]


def test_provide__one_found_and_one_started(machine):
    machine.reachable = {POSTGRES}

    found = machine.provide()

    assert (found.database_url, found.broker_url) == (POSTGRES, "amqp://private/%2F")


def test_provide__a_found_broker_without_vhosts_gives_way_to_a_private_one(machine):
    machine.reachable = {POSTGRES, rabbitmq.STANDARD_URL}
    machine.installed -= {"rabbitmq-server"}
    machine.gives_vhosts = False

    without_programs = machine.provide(whole=False)
    machine.installed |= {"rabbitmq-server"}
    with_programs = machine.provide(whole=False)

    assert (without_programs.broker_url, without_programs.maker) == (rabbitmq.STANDARD_URL, None)
    assert with_programs.broker_url == "amqp://private/%2F"


def test_provide__a_named_broker_without_vhosts_is_used_with_names_of_our_own(machine):
    machine.reachable = set(NAMED.values())
    machine.gives_vhosts = False

    found = machine.provide(**NAMED)

    assert (found.broker_url, found.maker) == (NAMED["BROKER_URL"], None)


def test_provide__root_installs_only_what_is_missing(machine):
    machine.installed -= {"rabbitmq-server"}
    machine.root = True

    found = machine.provide()

    assert "install RabbitMQ" in machine.done
    assert found.broker_url == "amqp://private/%2F"


def test_provide__the_whole_suite_needs_the_programs_even_beside_running_servers(machine):
    machine.installed = set()
    machine.reachable = {POSTGRES, rabbitmq.STANDARD_URL}

    assert machine.provide(whole=False).broker_url == rabbitmq.STANDARD_URL
    with pytest.raises(provision.UnavailableError, match="PostgreSQL and RabbitMQ and Chromium and libatomic"):
        machine.provide(whole=True)


def test_provide__nobody_but_root_installs_but_is_told_what_to_do_in_three_lines(machine):
    machine.installed = set()

    with pytest.raises(provision.UnavailableError) as caught:
        machine.provide()

    assert str(caught.value).count("\n") == 2
    assert "apt-get install postgresql rabbitmq-server chromium libatomic1\n" in str(caught.value)


@pytest.mark.parametrize(("package", "name"), [("chromium", "Chromium"), ("libatomic1", "libatomic")])
def test_provide__the_browser_and_what_drives_it_are_for_the_tests_that_have_one(machine, package, name):
    machine.installed -= {package}

    machine.provide(whole=False)
    with pytest.raises(provision.UnavailableError, match=f"the programs of {name}.*\n.*apt-get install {package}\n"):
        machine.provide(whole=False, browser=True)
    machine.root = True
    machine.provide(whole=False, browser=True)

    assert f"install {name}" in machine.done


@pytest.mark.parametrize(
    ("complaint", "found"),
    [
        (
            "driver/node: error while loading shared libraries: libatomic.so.1: cannot open shared object file",
            "libatomic",
        ),
        ("driver/node: something else", ""),
        ("", ""),
    ],
)
def test_driver__says_which_library_it_lacks(monkeypatch, tmp_path, complaint, found):
    driver = tmp_path / "node"
    driver.write_text(f"#!/bin/sh\necho '{complaint}' >&2\n")
    driver.chmod(0o755)
    monkeypatch.setattr(chromium, "compute_driver_executable", lambda: (str(driver), "cli.js"))

    assert chromium.driver_lacks() == found


def test_provide__a_named_browser_that_is_none_is_said_and_not_replaced(machine):
    machine.installed -= {"chromium"}
    machine.root = True

    with pytest.raises(provision.UnavailableError, match="CHROMIUM does not name a program"):
        machine.provide(CHROMIUM="/no/such/program")

    assert "install Chromium" not in machine.done


def test_browser__named_or_found(monkeypatch, tmp_path):
    for name in ("mine", "chromium-browser"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert chromium.program({"CHROMIUM": "mine"}) == str(tmp_path / "mine")
    assert chromium.program({"CHROMIUM": "none"}) == ""
    assert chromium.program({}) == str(tmp_path / "chromium-browser")


def test_close__removes_our_vhosts_and_no_others(machine):
    machine.reachable = {POSTGRES, rabbitmq.STANDARD_URL}
    found = machine.provide()

    found.close()

    assert [line for line in machine.done if line.startswith("delete")] == [f"delete {found.vhost(0)}"]
