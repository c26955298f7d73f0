"""`imgbake shell` on a docker engine: a throw-away container of an image, with the user's streams."""

from __future__ import annotations

import msgspec

from imgbake.api import Artifact, BakeError, Blueprint, ImageConfig, Layer, RunContext, Setup
from imgbake_docker import attaching, containers, naming, throwaway
from imgbake_docker.engine import Client, connected
from imgbake_docker.options import Options

# The best shell that there is: a component's own may be one that nobody can type into.
_SHELL = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash; exec /bin/sh")


def shell(
    artifact: Artifact | None,
    blueprint: Blueprint,
    at: str,
    commands: tuple[str, ...],
    options: Options,
    ctx: RunContext,
) -> int:
    """Runs commands, or a shell, in the finished image, or as the commands of component `at` find it.

    Returns the exit code. The container is removed, however it ended. Raises BakeError.
    """
    with connected() as client:
        if at:
            layer = next(each for each in blueprint.layers if each.component == at)
            image, setup = _found_by(layer, blueprint, options, client, ctx), layer.setup
        elif artifact is None:
            raise BakeError("the image is not built")
        else:
            image, setup = naming.image_id(artifact), Setup()
        argv = (*setup.shell, "\n".join(commands)) if commands else _SHELL
        return _entered(client, image, argv, setup, ctx)


def _found_by(layer: Layer, blueprint: Blueprint, options: Options, client: Client, ctx: RunContext) -> str:
    """The image that the commands of a component find: its files are there, and nothing has run."""
    from imgbake_docker.baking import Baking

    copied = msgspec.structs.replace(layer, build=(), validate=(), test=())
    below = blueprint.layers[: blueprint.layers.index(layer)]
    found = msgspec.structs.replace(blueprint, layers=(*below, copied), config=ImageConfig())
    if blueprint.base.reference == naming.SCRATCH and not any(
        each.files or each.env or each.build for each in found.layers
    ):
        raise BakeError(f"component '{layer.component}' finds an empty image", hint="look at a later one")
    without = msgspec.structs.replace(options, labels={})
    image: str = Baking(client, found, without, ctx).bake()["Id"]
    return image


def _entered(client: Client, image: str, argv: tuple[str, ...], setup: Setup, ctx: RunContext) -> int:
    if setup.caches:
        ctx.log(f"-- not there: the caches {', '.join(cache.path for cache in setup.caches)}")
    streams = attaching.Streams(client)
    asked = containers.surroundings(client, setup)
    asked |= {"entrypoint": list(argv[:1]), "command": list(argv[1:])}
    asked |= {"tty": streams.is_terminal, "stdin_open": streams.has_input}
    with throwaway.container(client, image, ctx, **asked) as container:
        containers.give_secrets(client, container, setup, ctx)
        streams.attend(container, ctx)
        return int(client.wait(container)["StatusCode"])
