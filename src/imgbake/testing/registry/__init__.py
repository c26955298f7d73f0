"""A registry for tests: in this process, conformant, and faulty on demand.

It speaks the OCI distribution-spec v1.1 (pull, push, chunked and monolithic uploads, cross-repository
mounts, tags) on a free loopback port, over HTTP or HTTPS, open or behind basic or bearer tokens:

    with Registry() as registry:
        digest = registry.add_image("shop:1", layers=[b"..."])
        registry.fault(status=503, times=2, path="/manifests/")
        ...                                                   # what is tested pulls registry.name("shop:1")
        assert registry.count("GET", "/manifests/") == 3
"""

from imgbake.testing.registry.access import Access
from imgbake.testing.registry.contents import Manifest, Repository
from imgbake.testing.registry.faults import Fault
from imgbake.testing.registry.server import Registry, Seen

__all__ = ["Access", "Fault", "Manifest", "Registry", "Repository", "Seen"]
