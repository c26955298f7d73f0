"""`imgbake cache`: what is in the content store, and making room in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from imgbake.cli.options import OutputFormat
from imgbake.cli.words import Format, print_json, warn

if TYPE_CHECKING:
    from imgbake.store.store import Store

app = typer.Typer(help="Look after the content store, which all projects share.", no_args_is_help=True)

Size = Annotated[str | None, typer.Option("--max-size", help="Bytes to keep at most, such as 5GB.")]
Age = Annotated[str | None, typer.Option("--older-than", help="Remove what was not used for this long: 30d.")]


@app.command("ls")
def list_entries(format: OutputFormat = Format.TEXT) -> None:
    """List everything in the store, the least recently used first."""
    with _opened() as store:
        entries = store.entries()
    if format is Format.JSON:
        print_json([entry._asdict() for entry in entries])
        return
    import time

    from imgbake.ui.tables import age, size, table

    rows = [(each.kind, each.name, size(each.size), age(time.time() - each.used)) for each in entries]
    if rows:
        typer.echo(table(rows, ("KIND", "NAME", "SIZE", "USED"), right={2}))


@app.command("du")
def usage(format: OutputFormat = Format.TEXT) -> None:
    """Say how much is in the store."""
    from imgbake.app import caching

    with _opened() as store:
        found, extracted = store.usage(), caching.held_by_runners(store)
    if format is Format.JSON:
        print_json({"folder": str(store.folder), **found._asdict(), "runner_bytes": extracted})
        return
    from imgbake.ui.tables import counted, size

    blobs, records = counted(found.blobs, "blob", "blobs"), counted(found.records, "record", "records")
    typer.echo(f"{store.folder}")
    typer.echo(f"{blobs}, {size(found.blob_bytes)}; {records}, {size(found.record_bytes)}")
    if extracted:
        typer.echo(f"{size(extracted)} of extracted layers, and caches of components")
    typer.echo(f"limit {size(found.limit)} (IMGBAKE_CACHE_SIZE)")


@app.command()
def gc(max_size: Size = None, older_than: Age = None, format: OutputFormat = Format.TEXT) -> None:
    """Remove what was not used for longest until there is room."""
    from imgbake.app import caching
    from imgbake.store.sizes import parse_age, parse_size

    with _opened() as store:
        limit = store.size_limit if max_size is None else parse_size(max_size, "--max-size")
        number, freed = caching.gc(
            store, limit, None if older_than is None else parse_age(older_than, "--older-than")
        )
    if format is Format.JSON:
        print_json({"number": number, "size": freed})
        return
    from imgbake.ui.tables import counted, size

    typer.echo(f"removed {counted(number, 'entry', 'entries')}, {size(freed)}")


@app.command()
def verify(format: OutputFormat = Format.TEXT) -> None:
    """Read every blob, and remove the damaged ones. They are made again when needed."""
    with _opened() as store:
        damaged = store.verify()
    if format is Format.JSON:
        print_json({"damaged": list(damaged)})
    else:
        from imgbake.ui.tables import counted

        for digest in damaged:
            typer.echo(f"removed {digest}, which was damaged")
        many = counted(len(damaged), "blob was", "blobs were")
        typer.echo(f"{many} damaged" if damaged else "every blob is sound")
    if damaged:
        raise typer.Exit(1)


@app.command()
def clear() -> None:
    """Remove everything. It costs time, never correctness."""
    from imgbake.app import caching

    with _opened() as store:
        caching.clear(store)


@contextmanager
def _opened() -> Iterator[Store]:
    from imgbake.store.store import Store

    store = Store(warn=warn)
    try:
        yield store
    finally:
        store.close()
