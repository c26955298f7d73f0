"""[images]: a base, components and configuration, and whether the targets can bake them."""

from __future__ import annotations

from collections.abc import Mapping

from imgbake.model import At, Component, Image, ImageConfig, Target
from imgbake.recipe import bases, options
from imgbake.recipe.components import Components
from imgbake.recipe.config import image_config
from imgbake.recipe.described import DescribedImage, check_accepted, described_image
from imgbake.recipe.files import Section
from imgbake.recipe.reading import Reading
from imgbake.recipe.tables import ImageTable
from imgbake.recipe.targets import DEFAULT

PHASES = ("build", "validate", "test")


Tables = dict[str, tuple[ImageTable | DescribedImage, tuple[str, ...]]]
"""By name, with the arguments that they read."""


def image_tables(section: Section, reading: Reading) -> Tables:
    """The tables of images. The faults of wrong ones are added, and what is right in them is kept."""
    tables: Tables = {}
    for name in section.tables:
        expanded = reading.table(section, name)
        if expanded is None:
            continue
        at = section.at(name)
        table: ImageTable | DescribedImage | None
        table, read = described_image(expanded[0], at, reading), expanded[1]
        if table is None:
            table, _ = options.read_repaired(expanded[0], ImageTable, at, reading.faults)
        else:
            read = tuple(dict.fromkeys(read + table.secrets))
        if section.expands:
            for key, value in expanded[0].items():
                if key != "components":  # a component is asked where it uses its parameters
                    reading.expander.refuse_secrets(value, at / key, f"'{key}' of an image")
        if table is not None:
            tables[name] = table, read
    return tables


def named_targets(tables: Tables) -> frozenset[str]:
    """The targets that any of these images names."""
    return frozenset(target for table, _ in tables.values() for target in table.targets)


def read_images(
    section: Section,
    tables: Tables,
    components: Components,
    declared: Section,
    targets: Mapping[str, Target],
    tasks: Section,
    reading: Reading,
) -> dict[str, Image]:
    """The images, checked against their targets. `declared` has all targets, `targets` the right ones."""
    images: dict[str, Image] = {}
    for name, (table, read) in tables.items():
        if isinstance(table, ImageTable):
            image = _image(name, section, table, read, components, targets, reading)
        else:
            image = _described(name, section, table, read, reading)
        images[name] = image
        _check_needs(image, tasks, reading)
        _check_targets(image, declared, targets, reading)
    bases.check(section.tables, images, reading)
    return images


def _image(
    name: str,
    section: Section,
    table: ImageTable,
    read: tuple[str, ...],
    components: Components,
    targets: Mapping[str, Target],
    reading: Reading,
) -> Image:
    at = section.at(name)
    uses = [targets[target].uses for target in table.targets if target in targets]
    applied, also_read = components.of_image(table.components, at / "components")
    args = tuple(dict.fromkeys(read + also_read))
    return Image(
        name,
        at,
        bases.references(table.base, at / "base", uses, reading),
        applied,
        image_config(table, at, reading),
        table.targets,
        reading.policy(table, at),
        args,
        reading.ungiven(args),
        table.needs,
        streams=_streams(table.stream, table.targets, at, reading),
    )


def _described(
    name: str, section: Section, table: DescribedImage, read: tuple[str, ...], reading: Reading
) -> Image:
    at, common = section.at(name), table.common
    return Image(
        name,
        at,
        {},
        (),
        ImageConfig(),
        common.targets,
        reading.policy(common, at),
        read,
        reading.ungiven(read),
        common.needs,
        table.description,
        _streams(common.stream, common.targets, at, reading),
    )


def _streams(
    stream: str | dict[str, str], targets: tuple[str, ...], at: At, reading: Reading
) -> dict[str, str]:
    if not stream:
        return {}
    from imgbake.recipe.streams import of_image

    return of_image(stream, targets, at / "stream", reading)


def _check_needs(image: Image, tasks: Section, reading: Reading) -> None:
    for index, name in enumerate(image.needs):
        if name not in tasks.tables:
            reading.unknown(image.at / "needs" / index, "task", name, tasks.tables)


def _check_targets(image: Image, declared: Section, targets: Mapping[str, Target], reading: Reading) -> None:
    at = image.at / "targets"
    if not image.targets:
        reading.fault(at, "an image needs a target", f'leave the key out for "{DEFAULT}"')
    for index, name in enumerate(image.targets):
        known = {*declared.tables, DEFAULT}
        if name not in known:
            hint = _declare(name) if reading.kinds.target(name) else ""
            reading.unknown(at / index, "target", name, () if hint else known, hint)
        elif name in image.targets[:index]:
            reading.fault(at / index, f"the target '{name}' is listed twice")
        elif name in targets and image.description is not None:
            check_accepted(image, image.description.format, targets[name], at / index, reading)
        elif name in targets:
            _check_artifact(image, targets[name], reading)
            for component in image.components:
                _check_phases(component, targets[name], reading)
                _check_document(component, targets[name], reading)


def _declare(kind: str) -> str:
    return f'declare it: [targets.{kind}] with uses = "{kind}"'


def _check_artifact(image: Image, target: Target, reading: Reading) -> None:
    """A base for each kind of artifact that the image is baked into."""
    cls = reading.kinds.target(target.uses)
    if cls and bases.ANY not in image.base and cls.artifact not in image.base:
        message = f"there is no base for '{cls.artifact}', which the target '{target.name}' makes"
        reading.fault(image.at / "base", message, f'add {cls.artifact} = "..."', value=False)


def _check_phases(component: Component, target: Target, reading: Reading) -> None:
    cls = reading.kinds.target(target.uses)
    for phase in PHASES:
        if cls and getattr(component, phase) and phase not in cls.phases:
            what = f"component '{component.name}' has {phase} commands"
            message = f"{what}, which the target '{target.name}' cannot run"
            reading.fault(component.at / phase, message, _able(phase, reading), value=False)


def _check_document(component: Component, target: Target, reading: Reading) -> None:
    cls = reading.kinds.target(target.uses)
    if component.document and cls and not hasattr(cls, "check_documents"):
        what = f"component '{component.name}' is a document"
        hint = "write it with `files`, `env` and commands, which all targets understand"
        reading.fault(
            component.at / "document", f"{what}, which the target '{target.name}' cannot read", hint
        )


def _able(phase: str, reading: Reading) -> str:
    """The installed kinds of target that run a phase. Imports all of them; asked for errors only."""
    classes = [(kind, reading.kinds.target(kind)) for kind in reading.kinds.target_kinds()]
    able = [kind for kind, cls in classes if cls and phase in cls.phases]
    if not able:
        return f"no kind of target that is installed runs {phase} commands"
    return f"give the image a target that can: one that uses {' or '.join(able)}"
