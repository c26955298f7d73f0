"""Names that need names: in what order they come, and the cycles in which no order exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def needed_first(wanted: Iterable[str], needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The wanted names and all that they need, each once, after what it needs.

    Names without an entry in `needs` are left out. In a cycle, one of them comes first.
    """
    done: dict[str, None] = {}
    entered: set[str] = set()
    for name in wanted:
        stack = [name]
        while stack:
            top = stack[-1]
            if top in entered or top not in needs:
                stack.pop()
                if top in needs:
                    done[top] = None
                continue
            entered.add(top)
            stack += [other for other in reversed(needs[top]) if other not in entered]
    return list(done)


def cycles(needs: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """The cycles that a walk along all needs runs into; empty only when there is none."""
    found: list[tuple[str, ...]] = []
    finished: set[str] = set()
    on_path: set[str] = set()
    for name in needs:
        path: list[str] = []  # from `name`, each needing the next
        todo = [(name, 0)]
        while todo:
            top, depth = todo.pop()
            finished.update(path[depth:])
            on_path.difference_update(path[depth:])
            del path[depth:]
            if top in on_path:
                found.append(tuple(path[path.index(top) :]))
            elif top in needs and top not in finished:
                path.append(top)
                on_path.add(top)
                todo += [(other, depth + 1) for other in reversed(needs[top])]
        finished.update(path)
        on_path.clear()
    return found
