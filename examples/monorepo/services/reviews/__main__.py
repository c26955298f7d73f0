"""reviews: what others say."""

from shop import serve

stars = {"loom": [5, 4, 5], "cards": [3]}


def answer(key):
    return sum(stars.get(key, [])) / max(1, len(stars.get(key, [])))


serve("reviews", answer)
