"""The broker's URL: one clear sentence for each mistake, and the password never shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas.transports import BrokerUrlError, Topology, parse_url, redact
from sagas.transports.amqp.vendor import check_parameters


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://localhost", "amqp://localhost:5672/"),
        ("amqp://u:secret@h/", "amqp://u:***@h:5672/"),
        ("amqps://u:secret@h/v", "amqps://u:***@h:5671/v"),
        ("amqp://u:secret@h:5673/%2f", "amqp://u:***@h:5673/"),
        ("amqp://u:se@cret@h:5673/v%20w", "amqp://u:***@h:5673/v w"),
    ],
)
def test_parse_url__shown_without_the_password(url: str, shown: str) -> None:
    assert str(parse_url(url)) == shown


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "the scheme is neither amqp nor amqps"),
        ("http://u:secret@h", "the scheme is neither amqp nor amqps"),
        ("amqp://", "there is no host"),
        ("amqp://u:sec#ret@h/v", "the host and port can not be read"),
        ("amqp://u:sec/ret@h/v", "the host and port can not be read"),
        ("amqp://u:secret@h/v#x", "there is a bare '#'"),
        ("amqp://u:secret@h:port/", "the host and port can not be read"),
        ("amqp://u:secret@h:70000/", "the host and port can not be read"),
        ("amqp://u:secret@[::1/", "the host and port can not be read"),
        ("amqp://user:secret", "the host and port can not be read"),
        ("amqp://u@h/", "there is a user but no password"),
        ("amqp://u:secret@h//", "the vhost has a '/', which is written %2f"),
        ("amqp://u:secret@h/a/b", "the vhost has a '/', which is written %2f"),
    ],
)
def test_parse_url__says_what_is_wrong_and_what_was_expected(url: str, problem: str) -> None:
    with pytest.raises(BrokerUrlError) as caught:
        parse_url(url)

    text = str(caught.value)
    assert problem in text
    assert "expected amqp://user:password@host:5672/vhost" in text
    assert "secret" not in text
    assert "ret@" not in text
    assert "\n" not in text


@pytest.mark.parametrize("options", ["?heartbeat=soon", "?nonsense=1", "?heartbeat=1&heartbeat=2", "?tcp_options={"])
def test_check_parameters__wrong_options(options: str) -> None:
    with pytest.raises(BrokerUrlError, match=r"the options of amqp://u:.*@h:5672/v after '.' are wrong") as caught:
        check_parameters(f"amqp://u:secret@h/v{options}")

    assert "secret" not in str(caught.value)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=8, max_size=20))
def test_redact__no_password_survives(password: str) -> None:
    assert password not in redact(f"amqp://user:{password}@host.example:5672/v")


def test_redact__leaves_other_text_alone() -> None:
    assert redact("connection to amqp://host:5672/v refused") == "connection to amqp://host:5672/v refused"


def test_topology__its_repr_does_not_show_the_url() -> None:
    assert "secret" not in repr(Topology(url="amqp://u:secret@h/"))
