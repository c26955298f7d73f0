"""pricing: what things cost."""

from shop import serve

prices = {"loom": 199_00, "cards": 4_50}


def answer(key):
    return prices.get(key)


serve("pricing", answer)
