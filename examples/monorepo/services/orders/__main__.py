"""orders: what was bought."""

from shop import serve

orders = {"1": {"customer": "ada", "products": ["loom"]}}


def answer(key):
    return orders.get(key)


serve("orders", answer)
