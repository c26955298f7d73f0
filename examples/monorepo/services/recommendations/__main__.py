"""recommendations: what else one could buy."""

from shop import serve

pairs = {"loom": "cards", "cards": "loom"}


def answer(key):
    return pairs.get(key, "loom")


serve("recommendations", answer)
