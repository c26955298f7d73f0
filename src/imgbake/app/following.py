"""Tags that follow the images of a recipe: what was baked, pushed or distributed is what they point to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from msgspec.structs import replace

from imgbake.app.declaring import IMAGE
from imgbake.contract import Artifact
from imgbake.digest import is_digest
from imgbake.engine.engine import Report
from imgbake.engine.graph import Bake
from imgbake.engine.project import Project
from imgbake.streams import changes, names, shelving
from imgbake.streams.changes import Pointed
from imgbake.streams.clock import now
from imgbake.streams.model import Intent, Known, Revision, Stream

_FACTS = ("platforms", "size", "regions", "media_type")


def follow(project: Project, report: Report, references: Iterable[str], warn: Callable[[str], None]) -> None:
    """Lets tags point to the images of a build that are made and tested, unless they are held.

    `references` are names, with digests, by which others can get them.
    """
    made = _made(project, report)
    found = {
        node: reference
        for reference in references
        for node, artifact in made.items()
        if reference.endswith(f"@{artifact.digest}")
    }
    _follow(project, made, found, warn)


def _made(project: Project, report: Report) -> dict[str, Artifact]:
    """What image nodes made, but where a test has failed, or was not asked."""
    made = {}
    for name, result in report.results.items():
        node = project.graph.nodes[name]
        if not isinstance(node.work, Bake) or result.artifact is None:
            continue
        test = report.results.get(f"test:{name.partition(':')[2]}")
        is_tested = test is not None and test.outcome in ("ran", "cached")
        if is_tested or not any(component.test for component in node.work.image.components):
            made[name] = result.artifact
    return made


def _follow(
    project: Project,
    made: Mapping[str, Artifact],
    references: Mapping[str, str],
    warn: Callable[[str], None],
) -> None:
    for image in project.recipe.images.values():
        for target, text in image.streams.items():
            node = f"image:{image.name}@{target}"
            if node not in made:
                continue
            named = names.parse(text)
            intent = Intent(f"{IMAGE}{image.name}@{target}", made[node].kind, declared=project.recipe.name)
            pointed = _pointed(made[node], references.get(node, ""))
            is_known_elsewhere = node in references
            how = partial(_follows, named=named, intent=intent, pointed=pointed, is_better=is_known_elsewhere)
            changed = shelving.change(project.shelf, named.stream, how)
            if proof := project.shelf.proof(named.stream):
                project.watch(proof)
            tag = changed.after.tags.get(named.tag) if changed.after else None
            if tag and tag.hold and tag.current and tag.current.image != pointed.revision.image:
                warn(f"{text} is held, and still points to {tag.current.image}")


def _pointed(artifact: Artifact, reference: str) -> Pointed:
    facts = {key: artifact.facts[key] for key in _FACTS if key in artifact.facts}
    regions = artifact.facts.get("regions")
    image = artifact.digest
    if isinstance(regions, dict) and regions:
        image = str(regions[min(regions)])  # an image that has an id in each region is known by the first
    where = reference.removesuffix(f"@{image}") or artifact.reference
    whole = f"{where}@{image}" if is_digest(image) else image
    return Pointed(Revision(image, whole, now(), cause="bake"), Known(artifact.kind, facts))


def _follows(
    stream: Stream | None, named: names.Named, intent: Intent, pointed: Pointed, is_better: bool
) -> Stream:
    stream = changes.intend(stream or Stream(pointed.revision.created), {named.tag: intent})
    tag = stream.tags[named.tag]
    is_there = tag.current is not None and tag.current.image == pointed.revision.image
    if tag.hold is not None or (is_there and not is_better):
        return stream
    known = stream.images.get(pointed.revision.image, pointed.known)
    return changes.point(stream, {named.tag: replace(pointed, known=known)})
