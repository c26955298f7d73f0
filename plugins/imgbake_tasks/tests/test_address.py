from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.errors import StepError
from imgbake_tasks import address
from imgbake_tasks.address import Address
from imgbake_tasks.git_checkout import _absolute


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://host/path", Address("https://host/path")),
        ("https://me@host/path", Address("https://host/path", "me")),
        ("https://me:p%40w@host:1/p@th?a=b@c", Address("https://host:1/p@th?a=b@c", "me", "p@w")),
        ("https://{{ user }}:{{ token }}@host/x", Address("https://host/x", "{{ user }}", "{{ token }}")),
        ("ssh://git@host/x.git", Address("ssh://git@host/x.git")),
        ("ssh://git:secret@host/x.git", Address("ssh://git@host/x.git")),
        ("git@host:x.git", Address("git@host:x.git")),
        ("../relative", Address("../relative")),
        ("{{ hook }}", Address("{{ hook }}")),
    ],
)
def test_parsed(url: str, expected: Address) -> None:
    assert address.parsed(url) == expected


@given(st.text(max_size=40))
def test_a_password_is_never_in_what_is_shown(rest: str) -> None:
    found = address.parsed(f"https://me:PASSWORD@host/{rest}")
    assert "PASSWORD" not in found.plain.removesuffix(rest)
    assert found.password == "PASSWORD"


@given(st.text(max_size=30))
def test_what_is_no_url_is_a_step_error_that_does_not_show_it(text: str) -> None:
    try:
        assert address.split(f"http://{text}", "shown").hostname
    except StepError as error:
        assert error.message == "shown: this is no url with a host"


@pytest.mark.parametrize(
    "url", ["http://[", "http://a:b/", "http://a:99999/", "http://", "nothing", "http://é..x/"]
)
def test_no_url(url: str) -> None:
    with pytest.raises(StepError, match="shown: this is no url with a host"):
        address.split(url, "shown")


@pytest.mark.parametrize(
    ("parent", "url", "expected"),
    [
        ("https://host/org/repo.git", "../other.git", "https://host/org/other.git"),
        ("https://host/org/repo.git", "../../else/other", "https://host/else/other"),
        ("https://host/org/repo/", "./below", "https://host/org/repo/below"),
        ("git@host:org/repo.git", "../other.git", "git@host:org/other.git"),
        ("git@host:repo.git", "../other.git", "git@host:other.git"),
        ("file:///srv/a", "../b", "file:///srv/b"),
        ("https://host/a", "https://elsewhere/b", "https://elsewhere/b"),
    ],
)
def test_the_url_of_a_submodule(parent: str, url: str, expected: str) -> None:
    assert _absolute(parent, url) == expected
