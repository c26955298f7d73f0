"""`imgbake graph`: the graph as text, for dot, for mermaid, or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from imgbake.engine.graph import Graph

_SHAPES = {
    "base": "cylinder",
    "task": "box",
    "image": "box3d",
    "test": "diamond",
    "pack": "folder",
    "deliver": "cds",
    "publish": "tab",
}


def as_text(graph: Graph) -> str:
    """Each node with what it stands on, indented; the order is one in which they could run."""
    return "\n".join(_text_lines(graph))


def _text_lines(graph: Graph) -> Iterator[str]:
    for name, node in graph.nodes.items():
        yield name
        yield from (f"  needs {other}" for other in node.needs)
        yield from (f"  after {other}" for other in node.after)


def as_dot(graph: Graph) -> str:
    """The graph in graphviz' language. What only orders is dashed."""
    lines = ["digraph imgbake {", "  rankdir=LR;"]
    for name, node in graph.nodes.items():
        lines.append(f'  "{_quoted(name)}" [shape={_SHAPES.get(node.kind, "box")}];')
        lines += [f'  "{_quoted(other)}" -> "{_quoted(name)}";' for other in node.needs]
        lines += [f'  "{_quoted(other)}" -> "{_quoted(name)}" [style=dashed];' for other in node.after]
    return "\n".join([*lines, "}"])


def as_mermaid(graph: Graph) -> str:
    """The graph in mermaid's language. What only orders is dotted."""
    numbers = {name: f"n{index}" for index, name in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for name, node in graph.nodes.items():
        label = name.replace('"', "#quot;")
        lines.append(f'  {numbers[name]}["{label}"]')
        lines += [f"  {numbers[other]} --> {numbers[name]}" for other in node.needs]
        lines += [f"  {numbers[other]} -.-> {numbers[name]}" for other in node.after]
    return "\n".join(lines)


def as_json(graph: Graph) -> list[dict[str, object]]:
    """The nodes with their edges."""
    return [
        {
            "node": name,
            "kind": node.kind,
            "needs": list(node.needs),
            "after": list(node.after),
            "outputs": list(node.outputs),
        }
        for name, node in graph.nodes.items()
    ]


FORMATS: dict[str, Callable[[Graph], str]] = {"text": as_text, "dot": as_dot, "mermaid": as_mermaid}


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')
