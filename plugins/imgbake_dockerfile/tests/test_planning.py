"""What a build takes, for given arguments, target and platform."""

from __future__ import annotations

import pytest

from imgbake_dockerfile import Base, Build, DockerfileError, Seen, parse, plan

_PLATFORM = "linux/amd64"


def _plan(text: str, args: dict[str, str] | None = None, **options: object) -> Build:
    return plan(parse(text), args, **{"platform": _PLATFORM, **options})  # type: ignore[arg-type]  # by name


def _images(build: Build) -> list[tuple[str, str, str]]:
    return [(image.reference, image.platform, image.role) for image in build.images]


def _paths(build: Build) -> list[str]:
    return [seen.path for seen in build.seen]


def _known(**env: str) -> object:
    return lambda reference, platform: Base(env)


def test_the_images_that_a_build_takes() -> None:
    build = _plan(
        "# syntax=docker/dockerfile:1\n"
        "FROM debian AS unused\n"
        "FROM golang:1.25 AS build\n"
        "RUN --mount=from=tools/lint,target=/lint --mount=type=cache,target=/c,from=scratch a\n"
        "FROM scratch\n"
        "COPY --from=build a /\n"
        "COPY --from=busybox:uclibc b /\n"
    )
    assert _images(build) == [
        ("docker/dockerfile:1", "", "syntax"),
        ("golang:1.25", _PLATFORM, "base"),
        ("tools/lint", _PLATFORM, "mount"),
        ("busybox:uclibc", _PLATFORM, "copy"),
    ]
    assert [image.line for image in build.images] == [1, 3, 4, 7]


def test_stages_that_the_target_does_not_need_count_for_nothing() -> None:
    text = (
        "FROM golang AS build\nCOPY src /src\n"
        "FROM node AS docs\nCOPY docs /docs\nCOPY --from=pandoc p /\n"
        "FROM build AS test\nCOPY tests /tests\n"
        "FROM debian\nCOPY --from=build /bin/app /app\n"
    )
    build = _plan(text)
    assert [stage.label for stage in build.stages] == ["build", "3"]
    assert (_images(build), _paths(build)) == (
        [("golang", _PLATFORM, "base"), ("debian", _PLATFORM, "base")],
        ["src"],
    )
    assert _paths(_plan(text, target="TEST")) == ["src", "tests"]
    assert _paths(_plan(text, target="docs")) == ["docs"]
    assert _paths(_plan(text, target="test", all_stages=True)) == ["src", "docs", "tests"]


def test_a_target_that_is_no_stage() -> None:
    with pytest.raises(DockerfileError, match="there is no stage 'buidl'") as caught:
        _plan("FROM a AS build\nFROM b\n", target="buidl")
    assert caught.value.hint == "did you mean 'build'?"


def test_arguments_in_from() -> None:
    text = "ARG BASE=debian\nARG TAG\nARG FULL=${BASE}:${TAG:-12}\nFROM $FULL\n"
    assert _images(_plan(text)) == [("debian:12", _PLATFORM, "base")]
    assert _images(_plan(text, {"TAG": "11"})) == [("debian:11", _PLATFORM, "base")]
    assert _images(_plan(text, {"FULL": "alpine"})) == [("alpine", _PLATFORM, "base")]


def test_a_base_that_nobody_names_is_an_error_with_its_place() -> None:
    with pytest.raises(DockerfileError) as caught:
        _plan("ARG BASE\nFROM $BASE\n")
    assert caught.value.render() == (
        "Dockerfile:2:6: '$BASE' is empty\n"
        " 2 | FROM $BASE\n"
        "   |      ^^^^^\n"
        "  hint: give its build argument, or declare it with a default before the first FROM: ARG name=value"
    )


def test_platforms() -> None:
    text = (
        "FROM --platform=$BUILDPLATFORM golang AS build\n"
        "ARG TARGETARCH\nCOPY src-$TARGETARCH /\n"
        "FROM --platform=linux/arm debian\n"
        "COPY --from=build a /\nCOPY --from=busybox b /\n"
    )
    build = _plan(text, platform="linux/arm64", build_platform="linux/amd64")
    assert _images(build) == [
        ("golang", "linux/amd64", "base"),
        ("debian", "linux/arm", "base"),
        ("busybox", "linux/arm64", "copy"),
    ]
    assert _paths(build) == ["src-arm64"]
    assert build.platform_args == ("BUILDPLATFORM", "TARGETARCH")


@pytest.mark.parametrize(
    ("flag", "message"),
    [("--platform=toaster", "no os and no architecture"), ("--platform=$X", "is empty")],
)
def test_a_platform_that_is_none(flag: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        _plan(f"FROM {flag} debian\n")
    with pytest.raises(DockerfileError, match="is no platform"):
        _plan("FROM debian\n", platform="linux/amd64/v1/more")


def test_stages_by_name_and_number() -> None:
    text = "FROM a AS one\nFROM one AS two\nFROM two\nCOPY --from=0 x /\nCOPY --from=ONE y /\n"
    build = _plan(text)
    assert (len(build.stages), _images(build)) == (3, [("a", _PLATFORM, "base")])


def test_very_many_stages() -> None:
    chain = "".join(f"FROM s{number} AS s{number + 1}\n" for number in range(2000))
    assert len(_plan(f"FROM --platform=linux/arm64 debian AS s0\n{chain}").stages) == 2001


def test_a_stage_can_be_called_as_its_base() -> None:
    assert _images(_plan("FROM debian AS debian\nFROM debian\n")) == [("debian", _PLATFORM, "base")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPY --from=later a /", "stage later comes later"),
        ("COPY --from=here a /", "here is this stage itself"),
        ("COPY --from=7 a /", "there is no stage 7"),
        ("COPY --from=$x a /", "no variable can stand in --from"),
        ("RUN --mount=from=later,target=/a b", "stage later comes later"),
        ("COPY https://example.com/a /", "COPY can't fetch anything"),
        ("COPY ${a:?must} /", "a: must"),
        ("RUN --mount=type=blind,target=/a b", "'blind' is no kind of mount"),
    ],
)
def test_what_no_stage_can_take(line: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message.replace("$", r"\$")) as caught:
        _plan(f"FROM scratch AS here\n{line}\nFROM b AS later\n", target="here")
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_variables_in_sources() -> None:
    text = (
        "ARG NAME=global\nFROM scratch AS base\n"
        "ARG NAME\nENV DIR=conf/$NAME LATE=$DIR\n"
        "FROM base\nARG EXTRA=${DIR}.d\n"
        "COPY $DIR ${EXTRA%.d}/x '$DIR' $LATE/y /to/\n"
    )
    assert _paths(_plan(text)) == ["conf/global", "conf/global/x", "$DIR", "y"]
    assert _paths(_plan(text, {"NAME": "n", "EXTRA": "e"})) == ["conf/n", "e/x", "$DIR", "y"]


def test_arguments_end_with_their_stage() -> None:
    text = "FROM scratch AS a\nARG X=x\nFROM scratch\nCOPY --from=a f /\nCOPY a$X /\n"
    assert _paths(_plan(text, {"X": "given"})) == ["a"]


def test_env_of_the_base() -> None:
    text = "FROM node\nCOPY app-$NODE_VERSION /\n"
    assert _plan(text).everything == "line 2: the value of 'app-$NODE_VERSION' can't be told"
    build = _plan(text, bases=_known(NODE_VERSION="22"))
    assert (_paths(build), build.everything) == (["app-22"], "")


def test_what_may_be_set_by_the_base_does_not_fail() -> None:
    assert _plan("FROM node\nCOPY ${NODE_VERSION:?} /\n").everything
    with pytest.raises(DockerfileError, match="may not be empty"):
        _plan("FROM node\nCOPY ${NODE_VERSION:?} /\n", bases=_known(NODE_VERSION=""))


def test_where_builders_differ_nobody_can_tell() -> None:
    text = "FROM scratch\nENV X=env\nARG X=arg\nCOPY $X /\n"
    assert _plan(text).everything
    assert _paths(_plan(text.replace("=arg", "=env"))) == ["env"]
    assert _plan("FROM scratch\nARG TARGETSTAGE\nCOPY ${TARGETSTAGE:-older} /\n").everything


def test_sources_of_copy_and_add() -> None:
    build = _plan(
        "FROM scratch\n"
        "COPY --exclude=*.md ./a/../b /abs ../out dir/ *.c /to/\n"
        "COPY --parents x/./y/*.c z /to/\n"
        'COPY ["a b", "/to"]\n'
        "COPY <<EOF conf /to/\nEOF\n"
        "ADD --checksum=sha256:12 https://example.com/a.tgz git@example.com:a/b.git#main ftp://x /to/\n"
        "RUN --mount=source=m,target=/m --mount=type=cache,target=/c --mount=type=tmpfs,target=/t a\n"
    )
    assert build.seen == (
        *(Seen(path, 2, True, "", ("*.md",)) for path in ("b", "abs", "out", "dir", "*.c")),
        Seen("x", 3, True, "y/*.c"),
        Seen("", 3, True, "z"),
        Seen("a b", 4, True),
        Seen("conf", 5, True),
        Seen("ftp:/x", 7, True),
        Seen("m", 8),
    )
    assert [remote.url for remote in build.remotes] == [
        "https://example.com/a.tgz",
        "git@example.com:a/b.git#main",
    ]
    assert {remote.checksum for remote in build.remotes} == {"sha256:12"}
    assert not build.everything


def test_a_url_that_cannot_be_told_reaches_no_files() -> None:
    build = _plan("FROM debian\nADD https://example.com/$VERSION.tgz /\n")
    assert ([remote.url for remote in build.remotes], build.everything) == ([None], "")


@pytest.mark.parametrize(
    "line",
    [
        "COPY $UNKNOWN /",
        "RUN --mount=source=$UNKNOWN,target=/m a",
        "RUN --mount=type=$UNKNOWN,target=/m a",
        "ENV X=y $UNKNOWN=x\nCOPY $X /",
        "COPY --magic=x a /",
        "MAGIC",
    ],
)
def test_what_cannot_be_told_sees_everything(line: str) -> None:
    build = _plan(f"# syntax=my/own\nFROM debian\n{line}\n")
    assert build.everything.startswith(("line 3: ", "line 4: "))


def test_secrets_and_agents() -> None:
    build = _plan(
        "FROM scratch\n"
        "RUN --mount=type=secret,id=token,required=true --mount=type=secret,target=/run/secrets/key a\n"
        "RUN --mount=type=ssh --mount=type=ssh,id=git,required --mount=type=secret,id=token b\n"
    )
    assert [(one.kind, one.id, one.required, one.line) for one in build.secrets] == [
        ("secret", "token", True, 2),
        ("secret", "key", False, 2),
        ("ssh", "default", False, 3),
        ("ssh", "git", True, 3),
    ]


def test_triggers_of_a_stage_run_in_the_next() -> None:
    text = (
        "FROM scratch AS base\n"
        "ONBUILD ARG WHERE=web\nONBUILD COPY $WHERE/site /site\n"
        "ONBUILD COPY --from=assets a /a\nONBUILD COPY <<EOF /b\nonbuild\nEOF\n"
        "FROM pixels AS assets\n"
        "FROM base AS site\nCOPY $WHERE/own /\n"
        "FROM site\n"
    )
    build = _plan(text)
    assert (_paths(build), _images(build)) == (["web/site", "web/own"], [("pixels", _PLATFORM, "base")])
    assert _paths(_plan(text, target="base")) == []
    assert _paths(_plan(text, {"WHERE": "w"})) == ["w/site", "w/own"]


def test_triggers_of_an_image() -> None:
    def bases(reference: str, platform: str) -> Base:
        assert (reference, platform) == ("python:onbuild", _PLATFORM)
        return Base({"SRC": "src"}, ("COPY $SRC /src", "COPY --from=tools t /", "RUN make"))

    build = _plan("FROM python:onbuild\nCOPY more /\n", bases=bases)
    assert (_paths(build), [image for image, *_ in _images(build)]) == (
        ["src", "more"],
        ["python:onbuild", "tools"],
    )
    assert [one.name for one in build.stages[0].instructions] == ["COPY", "COPY", "RUN", "COPY"]


@pytest.mark.parametrize("trigger", ["FROM a", "ONBUILD RUN a", "RUN a\nRUN b", "COPY a", ""])
def test_triggers_that_are_wrong(trigger: str) -> None:
    with pytest.raises(DockerfileError):
        _plan("FROM a\n", bases=lambda reference, platform: Base({}, (trigger,)))


def test_the_arguments_that_decide() -> None:
    text = (
        "ARG BASE=debian:$TAG\nARG TAG=12\nARG OTHER\nFROM $BASE AS a\nARG IN_A\n"
        "FROM busybox AS b\nARG IN_B\nFROM a\n"
    )
    given = dict.fromkeys(("TAG", "OTHER", "IN_A", "IN_B", "HTTP_PROXY", "SOURCE_DATE_EPOCH"), "1")
    assert _plan(text, given).args == {"IN_A": "1", "SOURCE_DATE_EPOCH": "1", "TAG": "1"}
    assert set(_plan(text, {**given, "BASE": "x"}).args) == {"BASE", "IN_A", "SOURCE_DATE_EPOCH"}


def test_the_syntax_can_be_given() -> None:
    text = "# syntax=docker/dockerfile:1\nFROM scratch\n"
    assert _images(_plan(text)) == [("docker/dockerfile:1", "", "syntax")]
    assert _images(_plan(text, {"BUILDKIT_SYNTAX": "my/own:2"})) == [("my/own:2", "", "syntax")]
    assert _images(_plan(text, {"BUILDKIT_SYNTAX": "dockerfile.v0"})) == []
