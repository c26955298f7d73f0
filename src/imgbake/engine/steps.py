"""What each kind of node does: how its fingerprint is made, how it runs, and what proves it done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast

import msgspec

from imgbake.contract import Artifact, Blueprint, Distributable, Lowered, Part, Step, Target, Tree
from imgbake.digest import of_bytes
from imgbake.engine import bases, blueprint, describing, documents, outputs, settled
from imgbake.engine.context import Looking, Working
from imgbake.engine.delivering import DeliverWork, PublishWork
from imgbake.engine.graph import IMAGE, Bake, Base, Delivery, Node, Pack, Publication, Test, folder_of
from imgbake.engine.parts import arg_parts, option_parts
from imgbake.engine.project import Project
from imgbake.engine.secrets import without_passwords
from imgbake.errors import BakeError
from imgbake.files import glob
from imgbake.model import Setup, Task
from imgbake.model import Target as TargetTable


class Work(Protocol):
    """The work of one node, while one build lasts.

    What a node makes may stand outside of this machine, where others may change it. Its work then has
    `standing(ctx)`, which asks there, and decides: what of it is there, and why that isn't enough.
    """

    is_local: bool  # `parts` only reads files and environment, so it may be asked at once

    def parts(self, ctx: Looking) -> list[Part]:
        """The parts of the fingerprint. Its upstream nodes are done."""

    def run(self, ctx: Working) -> Artifact:
        """Does it. Called after `parts`."""

    def is_there(self, artifact: Artifact) -> bool:
        """Is what was made still in its place?"""

    def may_restore(self, artifact: Artifact) -> bool:
        """Is all there that `restore` needs? Reads only."""

    def restore(self, artifact: Artifact, ctx: Working) -> bool:
        """Puts back what was made; False when it can't be."""


def work_of(node: Node, project: Project, done: dict[str, Artifact]) -> Work:
    """The work of a node. `done` holds the artifacts of the nodes before it by the time it is used."""
    match node.work:
        case Task():
            return _TaskWork(node, node.work, project, done)
        case Base():
            return BaseWork(node.work, project)
        case Bake():
            return BakeWork(node, node.work, project, done)
        case Test():
            return _TestWork(node, node.work, project, done)
        case Pack():
            return _PackWork(node.work, project, done)
        case Delivery():
            return DeliverWork(node, node.work, project, done)
        case Publication():
            return PublishWork(node, node.work, project, done)


class _TaskWork:
    def __init__(self, node: Node, task: Task, project: Project, done: dict[str, Artifact]) -> None:
        self._step = step_of(task, project)
        self._node, self._task, self._project, self._done = node, task, project, done
        self.is_local = bool(getattr(self._step, "local", False))

    def parts(self, ctx: Looking) -> list[Part]:
        task, found = self._task, [Part("kind", f"{self._step.kind} {self._step.version}")]
        found.append(Part("project", self._project.recipe.name))
        found += arg_parts(task.args, self._project)
        found += option_parts(task.options)
        found += [Part("option outputs", pattern) for pattern in self._node.outputs]
        if task.inputs:
            found += self._input_parts()
        found += [Part(f"needs {name}", self._done[name].digest) for name in self._node.needs]
        found += self._step.parts(ctx)
        return found

    def run(self, ctx: Working) -> Artifact:
        patterns = self._node.outputs
        outputs.clear(self._project, self._node)
        artifact = self._step.run(ctx)
        if not patterns:
            return msgspec.structs.replace(artifact, digest=artifact.digest or _stamp(self._node))
        return outputs.capture(self._project, self._node, artifact, keep=self._task.store)

    def is_there(self, artifact: Artifact) -> bool:
        return artifact.tree is None or outputs.are_there(self._project, artifact.tree)

    def may_restore(self, artifact: Artifact) -> bool:
        if artifact.tree is None:
            return False
        return self._project.holds(entry.digest for entry in artifact.tree.entries if entry.kind == "file")

    def restore(self, artifact: Artifact, ctx: Working) -> bool:
        return artifact.tree is None or outputs.restore(self._project, self._node, artifact.tree)

    def _input_parts(self) -> Iterator[Part]:
        task, files = self._task, self._project.files
        absent = files.missing(task.inputs)
        if absent:
            hint = "a path is relative to the recipe's folder; a task that makes it lists it in `outputs`"
            raise BakeError(f"input '{absent[0]}' does not exist, and no task makes it", hint=hint)
        tree = files.tree(task.inputs, (*task.exclude, *self._own_outputs()))
        for entry in tree.entries:
            yield Part(f"input {entry.path}", entry.value())

    def _own_outputs(self) -> Iterator[str]:
        """The outputs that the inputs match as well: what a task makes is no input of it."""
        for output in self._node.outputs:
            if any(glob.overlaps(pattern, output) for pattern in self._task.inputs):
                yield output


class BaseWork:
    """Resolving a base is cheap and asked in every build; whether it moved is its fingerprint."""

    is_local = False

    def __init__(self, base: Base, project: Project) -> None:
        self._base, self._project = base, project
        self._artifact = Artifact("base")

    def parts(self, ctx: Looking) -> list[Part]:
        resolved = bases.resolve(self._base.kind, self._base.reference, self._project, ctx)
        self._artifact = resolved.artifact
        if resolved.volatile:
            ctx.volatile()
        for path in resolved.local:
            self._project.watch(path)
        reference = without_passwords(self._base.reference)
        return [Part(f"base {reference}", resolved.artifact.digest)]

    @property
    def resolved(self) -> Artifact:
        """What `parts` found the base to be."""
        return self._artifact

    def run(self, ctx: Working) -> Artifact:
        return self._artifact

    def is_there(self, artifact: Artifact) -> bool:
        return True

    def may_restore(self, artifact: Artifact) -> bool:
        return False

    def restore(self, artifact: Artifact, ctx: Working) -> bool:
        return False


class BakeWork:
    """The work of an image's node."""

    is_local = False

    def __init__(self, node: Node, bake: Bake, project: Project, done: dict[str, Artifact]) -> None:
        self._node, self._bake, self._project, self._done = node, bake, project, done
        self._target = target_of(bake, project)
        self._format = project.descriptions.format(bake.image) if bake.image.description else None
        self._needed = bake.image.needs
        self._is_volatile = bool(getattr(self._target, "volatile", False))
        self._drawn: tuple[Blueprint, Lowered] | None = None

    def parts(self, ctx: Looking) -> list[Part]:
        if self._is_volatile and not hasattr(self._target, "question"):
            ctx.volatile()
        plan, lowered = self.draw(ctx)
        found = [Part("kind", f"{self._target.kind} {self._target.version}")]
        if plan.described is not None:
            found += describing.parts(plan.described, self._format)
            found += arg_parts(self._bake.target.args, self._project)
        else:
            base = without_passwords(self._bake.base.removeprefix("base:"))
            found.append(Part(f"base {base}", plan.base.digest))
            found += arg_parts(self._bake.image.args + self._bake.target.args, self._project)
        found += [Part(f"needs task:{name}", self._done[f"task:{name}"].digest) for name in self._needed]
        found += option_parts(self._bake.target.options)
        for layer in plan.layers:
            for copy in layer.files:
                for entry in copy.tree.entries:
                    found.append(Part(f"file {entry.source or entry.path}", entry.value()))
            if layer.document is not None:
                found.append(Part(f"document {layer.document.source}", layer.document.text))
                found += [Part(f"param {layer.component}.{n}", v) for n, v in layer.document.params.items()]
        found += [Part(f"lowered {name}", text) for name, text in lowered.documents.items()]
        return found

    def draw(self, ctx: Looking | None = None) -> tuple[Blueprint, Lowered]:
        """The blueprint and what it is lowered to. Its upstream nodes must be done."""
        if self._drawn is None:
            plan = self._blueprint(ctx or Looking(self._project, self._node))
            self._drawn = plan, self._target.lower(plan)
        return self._drawn

    def require(self) -> None:
        """Raises BakeError when this machine lacks what it takes to bake it."""
        require = getattr(self._target, "require", None)
        if require is not None:
            require(self.draw()[0])

    def _blueprint(self, ctx: Looking) -> Blueprint:
        if self._format is None:
            base = self._done[self._bake.base]
            return blueprint.draw(
                self._bake, base, self._scan, self._made_by, self._text_of, self._project.epoch
            )
        looking = describing.Describing(self._project, self._node, self._target, self._below(), ctx)
        found = self._format.describe(self._project.descriptions.given, looking)
        return blueprint.of_described(self._bake, found, self._project.epoch)

    def _below(self) -> dict[str, Artifact]:
        """The images that a described one stands on, by name."""
        images = (node for node in self._node.needs if node.startswith(IMAGE))
        return {node.removeprefix(IMAGE).partition("@")[0]: self._done[node] for node in images}

    def run(self, ctx: Working) -> Artifact:
        plan, lowered = self.draw()
        artifact = self._target.bake(plan, lowered, ctx)
        self._watch(artifact)
        return artifact

    def is_there(self, artifact: Artifact) -> bool:
        if not self._target.present(artifact, Looking(self._project, self._node)):
            return False
        self._watch(artifact)
        return True

    def may_restore(self, artifact: Artifact) -> bool:
        restorable = getattr(self._target, "restorable", None)
        return restorable is not None and restorable(artifact, Looking(self._project, self._node))

    def restore(self, artifact: Artifact, ctx: Working) -> bool:
        restore = getattr(self._target, "restore", None)
        if restore is None or not restore(artifact, ctx):
            return False
        self._watch(artifact)
        return True

    def _watch(self, artifact: Artifact) -> None:
        """Notes what would mean that it is to be made again."""
        _watch_files(artifact, self._project)
        if self._is_volatile and hasattr(self._target, "question"):
            asked = self._target.question(artifact)
            self._project.questions[self._node.id] = None if asked is None else settled.question(*asked)

    def _scan(self, patterns: Sequence[str], exclude: Sequence[str], *, follow: bool) -> Tree:
        return self._project.files.tree(patterns, exclude, follow=follow)

    def _text_of(self, path: str) -> str:
        self._project.files.tree([path])  # so that it is known to decide
        return documents.read(self._project.root, path)

    def _made_by(self, task: str) -> blueprint.Made:
        node = self._project.graph.nodes[f"task:{task}"]
        tree = self._done[node.id].tree
        if tree is None:
            hint = f"name what it makes in the `outputs` of [tasks.{task}]"
            raise BakeError(f"task '{task}' has no outputs to copy", hint=hint)
        return blueprint.Made(node.outputs, tree)


class _TestWork:
    is_local = True

    def __init__(self, node: Node, test: Test, project: Project, done: dict[str, Artifact]) -> None:
        self._node, self._test, self._project, self._done = node, test, project, done

    def parts(self, ctx: Looking) -> list[Part]:
        target = target_of(self._test.bake, self._project)
        found = [
            Part("kind", f"test {target.kind} {target.version}"),
            Part(f"needs {self._test.of}", self._done[self._test.of].digest),
        ]
        for component in self._test.bake.image.components:
            found += [Part(f"option test {component.name}", command) for command in component.test]
            if component.test:
                found.append(Part(f"option setup {component.name}", _surroundings(component.setup)))
        return found

    def run(self, ctx: Working) -> Artifact:
        artifact = self._done[self._test.of]
        drawn = BakeWork(self._project.graph.nodes[self._test.of], self._test.bake, self._project, self._done)
        target_of(self._test.bake, self._project).test(artifact, drawn.draw()[0], ctx)
        return Artifact("test", digest=artifact.digest)

    def is_there(self, artifact: Artifact) -> bool:
        return True

    def may_restore(self, artifact: Artifact) -> bool:
        return False

    def restore(self, artifact: Artifact, ctx: Working) -> bool:
        return False


class _PackWork:
    is_local = False

    def __init__(self, pack: Pack, project: Project, done: dict[str, Artifact]) -> None:
        self._pack, self._project, self._done = pack, project, done
        self._target = target_of(pack.bake, project)

    def parts(self, ctx: Looking) -> list[Part]:
        kind = f"pack {self._target.kind} {self._target.version}"
        return [Part("kind", kind), Part(f"needs {self._pack.of}", self._done[self._pack.of].digest)]

    def run(self, ctx: Working) -> Artifact:
        made = cast(Distributable, self._target).pack(self._done[self._pack.of], ctx)
        _watch_files(made, self._project)
        return made

    def is_there(self, artifact: Artifact) -> bool:
        proven = all((self._project.root / path).exists() for path in artifact.proof)
        if not proven or not self._project.holds(artifact.blobs):
            return False
        _watch_files(artifact, self._project)
        return True

    def may_restore(self, artifact: Artifact) -> bool:
        return False

    def restore(self, artifact: Artifact, ctx: Working) -> bool:
        return False


def _watch_files(artifact: Artifact, project: Project) -> None:
    """Notes the files whose removal or change would mean that an artifact is to be made again."""
    for path in (*artifact.proof, *(str(project.store.path(digest)) for digest in artifact.blobs)):
        project.watch(path)


def target_of(bake: Bake, project: Project) -> Target:
    """The plugin's target that bakes this image."""
    cls = project.plugins.target(bake.target.uses)
    assert cls is not None  # an unknown kind is an error of the recipe
    target: Target = _instance(cls, bake.target.options)
    return target


def step_of(task: Task, project: Project) -> Step:
    """The plugin's step that does this task."""
    cls = project.plugins.step(task.uses)
    assert cls is not None  # an unknown kind is an error of the recipe
    step: Step = _instance(cls, task.options)
    return step


def all_outputs(task: Task, cls: type[Step]) -> tuple[str, ...]:
    """What a task writes: as the recipe says, and as its kind adds."""
    return (*task.outputs, *_instance(cls, task.options).outputs(folder_of(task.name)))


def image_outputs(image: str, target: TargetTable, cls: type[Target]) -> tuple[str, ...]:
    """The folders in the project that a target writes for an image."""
    said = getattr(_instance(cls, target.options), "outputs", None)
    return tuple(said(image)) if said else ()


def image_names(image: str, target: TargetTable, cls: type[Target]) -> tuple[str, ...]:
    """What a target calls an image where it keeps it."""
    said = getattr(_instance(cls, target.options), "names", None)
    return tuple(said(image, target.name)) if said else ()


def _instance(cls: Any, options: Any) -> Any:
    return cls(options)


def _surroundings(setup: Setup) -> str:
    """What decides how a test runs: not how long it may take, nor how much it may use."""
    return msgspec.json.encode([setup.shell, setup.caches, setup.secrets, setup.network]).decode()


def _stamp(node: Node) -> str:
    """The digest of a task that makes nothing: that it succeeded is all there is to know."""
    return of_bytes(node.id.encode())
