"""Where Go's standard library and Python's differ on text and paths, Go's way: builders are written in Go."""

from __future__ import annotations

SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What `unicode.IsSpace` calls a space. Python's `isspace` has four more."""


def strip(text: str) -> str:
    """`strings.TrimSpace`."""
    return text.strip(SPACES)


def is_space(char: str) -> bool:
    """`unicode.IsSpace`, of one character."""
    return char in SPACES and char != ""


def clean(path: str) -> str:
    """`filepath.Clean` on Unix: the shortest path that means the same, "." for the empty one."""
    rooted = path.startswith("/")
    kept: list[str] = []
    for name in path.split("/"):
        if name == "..":
            if kept and kept[-1] != "..":
                kept.pop()
            elif not rooted:
                kept.append(name)
        elif name not in ("", "."):
            kept.append(name)
    return "/" * rooted + "/".join(kept) or "."


def below_root(path: str) -> str:
    """The path as seen from a root that nothing leads out of, without the first slash; "" is the root."""
    return clean("/" + path)[1:]
