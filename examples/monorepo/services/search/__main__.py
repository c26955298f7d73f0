"""search: finds what there is."""

from shop import serve

words = ["loom", "cards", "thread", "shuttle"]


def answer(key):
    return [word for word in words if key in word]


serve("search", answer)
