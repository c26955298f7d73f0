"""inventory: how many are left."""

from shop import serve

stock = {"loom": 3, "cards": 1200}


def answer(key):
    return stock.get(key, 0)


serve("inventory", answer)
