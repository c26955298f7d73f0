from __future__ import annotations

from imgbake.engine.secrets import Secrets, without_passwords


def test_a_secret_is_put_in_at_the_moment_of_use() -> None:
    assert (
        Secrets({"token": "hunter22"}).reveal("Bearer {{ token }} {{other}}") == "Bearer hunter22 {{other}}"
    )


def test_a_secret_is_masked_plain_quoted_and_in_base64() -> None:
    secrets = Secrets({"token": "hunter 22"})
    assert secrets.mask("hunter 22, hunter%2022, aHVudGVyIDIy") == "***, ***, ***"


def test_each_line_of_a_long_secret_is_masked() -> None:
    assert Secrets({"key": "-----BEGIN-----\nabcdef\n"}).mask("got abcdef") == "got ***"


def test_passwords_in_urls_are_left_out() -> None:
    assert (
        without_passwords("fetch https://bob:s3cret@host/x and ftp://a:b@c")
        == "fetch https://bob@host/x and ftp://a@c"
    )
    assert without_passwords("http://host:8080/x@y") == "http://host:8080/x@y"
