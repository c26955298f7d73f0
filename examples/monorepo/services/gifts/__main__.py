"""gifts: what is wrapped, and in which paper."""

from shop import serve

papers = ["plain", "stars", "stripes"]


def answer(key):
    return papers[len(key) % len(papers)]


serve("gifts", answer)
