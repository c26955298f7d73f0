"""What the services have in common."""

from shop.serving import serve

__all__ = ["serve"]
