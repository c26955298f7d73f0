from hypothesis import given
from hypothesis import strategies as st

from imgbake_oci.registry.challenge import Challenge, parse


def test_challenges_are_read() -> None:
    bearer = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'
    assert parse([bearer]) == [
        Challenge(
            "bearer",
            {
                "realm": "https://auth.docker.io/token",
                "service": "registry.docker.io",
                "scope": "repository:a/b:pull,push",
            },
        )
    ]


def test_several_challenges_may_share_a_header() -> None:
    header = r'Negotiate, Negotiate YWJj=, BASIC Realm = "with \"quotes\"" , charset=UTF-8, Bearer realm=x'
    assert parse([header, "Digest"]) == [
        Challenge("negotiate", {}),
        Challenge("negotiate", {}),
        Challenge("basic", {"realm": 'with "quotes"', "charset": "UTF-8"}),
        Challenge("bearer", {"realm": "x"}),
        Challenge("digest", {}),
    ]


@given(st.text(alphabet='Bearer realm="x",\\= \t', max_size=60))
def test_no_header_is_too_odd(header: str) -> None:
    assert all(challenge.scheme for challenge in parse([header]))
