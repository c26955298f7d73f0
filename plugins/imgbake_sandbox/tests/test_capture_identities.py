"""The same commands make the same layer, whoever runs them."""

from __future__ import annotations

import pwd
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbake_sandbox.tests.bases import SCRIPTS
from imgbake_sandbox.tests.builds import Built, built
from imgbake_sandbox.tests.trees import needs_root

KINDS = ["root", "subordinate", "single"]


@needs_root
@pytest.mark.parametrize("name", SCRIPTS)
def test_layers_are_the_same_for_everybody(
    name: str, sandbox_base: Path, places: Callable[[], Path], ordinary: pwd.struct_passwd
) -> None:
    made = {
        kind: built(kind, places(), SCRIPTS[name], [sandbox_base], None if kind == "root" else ordinary)
        for kind in KINDS
    }
    assert {kind: each.code for kind, each in made.items()} == dict.fromkeys(KINDS, 0), made["single"].out
    assert len({each.layer.read_bytes() for each in made.values()}) == 1, _listings(made)


def _listings(made: dict[str, Built]) -> str:
    found = {}
    for kind, each in made.items():
        with tarfile.open(each.layer) as tar:
            found[kind] = [(m.name, m.type, m.mode, m.uid, m.gid, m.pax_headers) for m in tar]
    return "\n".join(f"{kind}: {listing}" for kind, listing in found.items())
