"""How a context gets into a pod: onto its volume, or into the stdin of Kaniko."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from imgbake.api import RunContext, StepError
from imgbake_docker.following import follow
from imgbake_kaniko.cluster import channel
from imgbake_kaniko.cluster.channel import Channel
from imgbake_kaniko.cluster.client import Client
from imgbake_kaniko.executor import COMPLETE, KANIKO, UNPACKED, UPLOAD
from imgbake_kaniko.plan import CONTEXT

_PIECE = 1 << 20


def to_volume(client: Client, pod: str, context: Path, ctx: RunContext) -> None:
    """Unpacks a context on the volume, and lets the pod go on. Raises StepError."""
    size = context.stat().st_size
    folder = f"{CONTEXT}/{UNPACKED}"
    unpack = f"mkdir -p {folder} && head -c {size} | tar -x -z -f - -C {folder} && touch {CONTEXT}/{COMPLETE}"
    _send(lambda: client.execute(pod, UPLOAD, ["sh", "-c", unpack]), context, ctx, waits=True)


def to_stdin(client: Client, pod: str, context: Path, ctx: RunContext) -> None:
    """Hands a context to Kaniko, which stops reading at its end. Raises StepError."""
    _send(lambda: client.attach(pod, KANIKO), context, ctx, waits=False)


def _send(opening: Callable[[], Channel], context: Path, ctx: RunContext, *, waits: bool) -> None:
    """Sends a file; then waits for what the other end says of it, if it says anything."""
    size = context.stat().st_size
    opened: list[Channel] = []
    said: list[str] = []
    ctx.log(f"-- upload {size:,} bytes")

    def produce(put: Callable[[int], None]) -> None:
        opened.append(opening())
        opened[0].write(_pieces(context), put)
        for stream, data in opened[0].messages() if waits else ():
            if stream == channel.OUTCOME:
                ended = channel.outcome(data)
                if ended.status != "Success":
                    said.append(ended.message)
                return
            said.append(data.decode("utf-8", "replace").strip())
        if waits:
            raise ConnectionAbortedError("it was broken off")

    def close() -> None:
        for each in opened:
            each.close()

    try:
        for sent in follow(produce, close, ctx):
            ctx.progress(sent, size)
    except OSError as error:
        said.append(str(error))
    finally:
        close()
    if said:
        hint = "is the volume large enough (`volume_size`), and has `uploader` sh, head and tar?"
        raise StepError(f"the files could not be sent to the cluster: {'; '.join(said)}", hint=hint)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
