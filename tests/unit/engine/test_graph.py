from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.engine import graph
from imgbake.engine.graph import Graph
from imgbake.model import At, Component, FileCopy, Image, ImageConfig, Recipe, Target, Task
from imgbake.recipe.options import Fault

AT = At("imgbake.toml", ())


def _task(name: str, **fields: object) -> Task:
    task = Task(name=name, at=At("imgbake.toml", ("tasks", name)), uses="script", options=None)
    return msgspec.structs.replace(task, **fields)


def _image(name: str, base: str = "scratch", targets: tuple[str, ...] = ("oci",), *sources: str) -> Image:
    files = tuple(FileCopy(source, "/x/", AT) for source in sources)
    components = (Component("c", AT, files, test=("true",) if "test" in name else ()),)
    return Image(name, At("imgbake.toml", ("images", name)), {"": base}, components, ImageConfig(), targets)


def _build(*things: Task | Image) -> tuple[Graph, tuple[Fault, ...]]:
    tasks = {thing.name: thing for thing in things if isinstance(thing, Task)}
    images = {thing.name: thing for thing in things if isinstance(thing, Image)}
    targets = {name: Target(name, AT, name, None) for name in ("oci", "other")}
    recipe = Recipe("p", "/p", (), {}, tasks, {}, images, targets)
    return graph.build(recipe, lambda task: task.outputs, lambda target: "container")


def test_a_task_that_reads_what_another_writes_comes_after_it() -> None:
    drawn, faults = _build(
        _task("c", inputs=("out/**/*.o",)), _task("b", inputs=("gen/b.c",)), _task("d", inputs=("gen",)),
        _task("a", outputs=("gen/b.c", "out/x/y.o")),
    )  # fmt: skip
    assert not faults
    assert {name: node.after for name, node in drawn.nodes.items()} == {
        "task:a": (), "task:b": ("task:a",), "task:c": ("task:a",), "task:d": ("task:a",)
    }  # fmt: skip


def test_a_file_below_an_output_folder_is_its_task_s() -> None:
    drawn, _ = _build(_task("get", outputs=("vendor",)), _task("use", inputs=("vendor/a/b.txt",)))
    assert drawn.nodes["task:use"].after == ("task:get",)


def test_a_need_is_named_once_although_a_file_says_it_too() -> None:
    drawn, _ = _build(_task("a", outputs=("x",)), _task("b", inputs=("x",), needs=("a",), after=("a",)))
    assert (drawn.nodes["task:b"].needs, drawn.nodes["task:b"].after) == (("task:a",), ())


def test_a_cycle_is_named_whole() -> None:
    _, faults = _build(
        _task("a", needs=("b",)), _task("b", inputs=("c.out",)), _task("c", after=("a",), outputs=("c.out",))
    )
    (fault,) = faults
    assert fault.message == "dependency cycle: task:a -> task:b -> task:c -> task:a"


def test_every_cycle_is_named() -> None:
    needs = {"a": "b", "b": "a", "c": "d", "d": "d", "e": "a"}
    _, faults = _build(*(_task(name, needs=(other,)) for name, other in needs.items()))
    assert [fault.message.removeprefix("dependency cycle: ") for fault in faults] == [
        "task:a -> task:b -> task:a",
        "task:d -> task:d",
    ]


def test_two_tasks_that_write_one_file_are_both_named() -> None:
    for first, second in itertools.permutations(["dist/app", "dist/*", "dist"], 2):
        _, faults = _build(_task("one", outputs=(first,)), _task("two", outputs=(second,)))
        assert len(faults) == 1 and "'one'" in faults[0].message and "'two'" in faults[0].message


def test_an_image_stands_on_its_base_and_its_files() -> None:
    drawn, _ = _build(
        _task("wheel", outputs=("dist/*.whl",)), _image("shop-test", "debian:12", ("oci",), "task:wheel")
    )
    image = drawn.nodes["image:shop-test@oci"]
    assert (image.needs, image.after) == (("base:debian:12",), ("task:wheel",))
    assert drawn.nodes["test:shop-test@oci"].needs == ("image:shop-test@oci",)


@pytest.mark.parametrize("base", ["oci:out/base", "oci:./out/base:v1", "docker-archive:out/base/image.tar"])
def test_a_base_that_a_task_writes_comes_after_it(base: str) -> None:
    drawn, _ = _build(_task("make", outputs=("out/base",)), _image("app", base))
    assert drawn.nodes[f"base:{base}"].after == ("task:make",)


@pytest.mark.parametrize("base", ["scratch", "debian", "debian:12"])
def test_a_base_that_is_no_path_waits_for_no_task(base: str) -> None:
    drawn, _ = _build(_task("wheel", outputs=("dist/*.whl",)), _image("app", base))
    assert drawn.nodes[f"base:{base}"].after == ()


def test_an_image_on_an_image_stands_on_the_one_of_its_own_target() -> None:
    drawn, faults = _build(_image("a", targets=("oci", "other")), _image("b", "image:a", ("other",)))
    assert not faults and drawn.nodes["image:b@other"].needs == ("image:a@other",)


def test_an_image_on_an_image_that_is_baked_otherwise_twice_is_a_fault() -> None:
    targets = ("x", "y")
    recipe = Recipe(
        "p", "/p", (), {}, {}, {}, {"a": _image("a", targets=targets), "b": _image("b", "image:a", ("oci",))},
        {name: Target(name, AT, name, None) for name in ("oci", *targets)},
    )  # fmt: skip
    _, faults = graph.build(recipe, lambda task: (), lambda target: "container")
    assert [fault.message for fault in faults] == [
        "image 'b' stands on 'a', which is baked by several (x, y) that makes a container"
    ]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40))
def test_the_order_respects_every_edge_or_a_true_cycle_is_named(edges: list[tuple[int, int]]) -> None:
    needs: dict[str, list[str]] = {f"t{number}": [] for number in range(13)}
    for one, other in edges:
        if one != other:
            needs[f"t{one}"].append(f"t{other}")
    drawn, faults = _build(*(_task(name, needs=tuple(dict.fromkeys(found))) for name, found in needs.items()))
    if not faults:
        place = {name: index for index, name in enumerate(drawn.nodes)}
        assert all(place[f"task:{b}"] < place[f"task:{a}"] for a, found in needs.items() for b in found)
    else:
        cycle = faults[0].message.removeprefix("dependency cycle: ").replace("task:", "").split(" -> ")
        assert cycle[0] == cycle[-1] and all(b in needs[a] for a, b in itertools.pairwise(cycle))


@given(st.sets(st.integers(0, 30)), st.integers(0, 30))
def test_a_closure_holds_all_that_a_goal_stands_on(extra: set[int], goal: int) -> None:
    tasks = [
        _task(f"t{n}", needs=(f"t{n // 2}",) if n else (), after=tuple(f"t{e}" for e in extra if e < n))
        for n in range(31)
    ]
    drawn, _ = _build(*tasks)
    closure = drawn.closure([f"task:t{goal}"])
    assert f"task:t{goal}" in closure
    assert all(before in closure for name in closure for before in drawn.nodes[name].before)
