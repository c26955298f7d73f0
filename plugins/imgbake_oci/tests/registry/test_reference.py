import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.api import BakeError
from imgbake_oci import reference
from imgbake_oci.reference import Reference

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.2", "docker.io/library/nginx:1.2"),
        ("library/nginx", "docker.io/library/nginx:latest"),
        ("bitnami/nginx:1", "docker.io/bitnami/nginx:1"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("registry-1.docker.io/library/nginx", "docker.io/library/nginx:latest"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("localhost:5000/x:1", "localhost:5000/x:1"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        ("127.0.0.1:5000/a/b__c/d-e---f.g_h", "127.0.0.1:5000/a/b__c/d-e---f.g_h:latest"),
        (f"host.tld/x@{DIGEST}", f"host.tld/x@{DIGEST}"),
        (f"name:tag@{DIGEST}", f"docker.io/library/name:tag@{DIGEST}"),
        ("Host/x", "Host/x:latest"),  # a capital letter makes it a host, as in docker
        ("5000/x", "docker.io/5000/x:latest"),
        ("a:5000", "docker.io/library/a:5000"),
        ("x:_", "docker.io/library/x:_"),
    ],
)
def test_a_reference_is_normalised(text: str, canonical: str) -> None:
    assert str(reference.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it has no name"),
        (":tag", "it has no name"),
        ("docker.io/Shop", "write docker.io/shop"),
        ("Shop:1", "write shop:1"),
        ("a//b", "'a//b' is not a repository's name"),
        ("a/-b", "not a repository's name"),
        ("a___b", "not a repository's name"),
        ("shop ", "not a repository's name"),
        ("shop\n", "not a repository's name"),
        ("a..b/c", "'a..b' is not a host name"),
        ("-a.b/c", "not a host name"),
        ("a.b:port/c", "not a host name"),
        ("a.b:65536/c", "'a.b:65536' is not a host name"),
        ("a.b:0/c", "not a host name"),
        (f"a.b:{'9' * 5000}/c", "not a host name"),
        ("shop:", "'' is not a tag"),
        ("shop:-1", "'-1' is not a tag"),
        ("shop:" + "a" * 129, "not a tag"),
        ("shop@sha256:12", "not a digest"),
        ("shop@" + DIGEST.upper(), "not a digest"),
        ("shop@", "'' is not a digest"),
        ("shop@sha512:" + HEX * 2, "not a digest that imgbake knows"),
        (HEX, f"write NAME@{DIGEST}"),
        ("https://registry.example.com/shop", "leave https:// out"),
        ("host.tld/" + "a" * 256, "at most 255"),
    ],
)
def test_a_bad_reference_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(BakeError) as error:
        reference.parse(text)
    assert said in error.value.render()
    assert error.value.hint


def test_the_api_of_docker_hub_is_elsewhere() -> None:
    assert reference.parse("nginx").api_host == "registry-1.docker.io"
    assert reference.parse("host.tld:5000/x").api_host == "host.tld:5000"


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/nginx:latest", "nginx"),
        ("docker.io/bitnami/nginx:1", "bitnami/nginx:1"),
        ("docker.io/library/a/b", "library/a/b"),
        ("docker.io/localhost/x", "docker.io/localhost/x"),
        (f"nginx:latest@{DIGEST}", f"nginx:latest@{DIGEST}"),
        ("host.tld/library/x", "host.tld/library/x"),
    ],
)
def test_familiar_is_what_people_write(text: str, familiar: str) -> None:
    assert reference.parse(text).familiar == familiar


def test_tagged_and_pinned_are_checked() -> None:
    found = reference.parse("shop:1")
    assert found.tagged("2") == reference.parse("shop:2")
    assert found.pinned(DIGEST) == reference.parse(f"shop:1@{DIGEST}")
    with pytest.raises(BakeError, match="not a tag"):
        found.tagged("a b")
    with pytest.raises(BakeError, match="not a digest"):
        found.pinned("sha256:")


COMPONENT = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
REGISTRY = st.from_regex(r"(localhost|[a-z0-9]{1,5}\.[a-z]{2,3}|\[::1\]|docker\.io)", fullmatch=True)
REFERENCES = st.builds(
    Reference,
    registry=st.builds("".join, st.tuples(REGISTRY, st.sampled_from(["", ":5000"]))).filter(
        lambda name: not name.startswith("docker.io:")
    ),
    repository=st.lists(COMPONENT, min_size=2, max_size=4).map("/".join),
    tag=st.from_regex(r"\A\w[\w.-]{0,9}\Z").filter(str.isascii).map(str.strip),
    digest=st.sampled_from(["", DIGEST]),
)


@given(REFERENCES)
def test_what_is_written_is_read_back(found: Reference) -> None:
    assert reference.parse(str(found)) == found
    assert reference.parse(found.familiar) == found


@given(st.text(alphabet="abAZ09.-_:/@[]%\n é", max_size=30))
def test_every_text_is_a_reference_or_a_clear_error(text: str) -> None:
    try:
        found = reference.parse(text)
    except BakeError as error:
        assert error.hint
    else:
        assert reference.parse(str(found)) == found
