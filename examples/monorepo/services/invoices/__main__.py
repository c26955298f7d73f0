"""invoices: what was asked for."""

from shop import serve

invoices = {"1": "INV-0001, paid"}


def answer(key):
    return invoices.get(key, "none")


serve("invoices", answer)
