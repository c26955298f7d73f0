"""What is told when a tag of an image stream has moved: other systems, by a webhook, or a cluster's objects.

Each kind is a module of its own, which is imported for no other.
"""
