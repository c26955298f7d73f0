"""catalog: what there is to buy."""

from shop import serve

products = {"loom": "A loom", "cards": "A box of punched cards"}


def answer(key):
    return products.get(key, "sold out")


serve("catalog", answer)
