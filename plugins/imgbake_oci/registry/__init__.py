"""A client of registries by the OCI distribution-spec v1.1, on the standard library alone.

    with Client() as client:
        reference = parse("shop:1")
        found = client.resolve(reference)                       # a Descriptor
        media_type, data = client.manifest(reference, found.digest)
        client.blob(reference, layer, path, Watch(ctx.check, ctx.progress))
        client.push_blob(target, layer.digest, path, mount_from="library/shop")
        client.push_manifest(target, media_type, data, tag="1")

What it is made of, each only knowing those below:

    client                    the methods above
    pull, push, referrers     what is asked of a registry, and that the answer is right
    unfinished                uploads that a kill broke off
    session                   a request to the API: authorized, redirected, refusals as errors
    auth, credentials         tokens by scope; what `docker login` left behind
    origins                   HTTPS, or HTTP where allowed
    transport, connections    one request; connections kept alive, limited by host
    wire, tls, proxies        one connection: stops and stalls noticed, trust, the way there
    addresses                 where requests go
    patience, failures        when to try again; what refusals mean
"""

from imgbake_oci.registry.client import Client
from imgbake_oci.registry.credentials import Credential, Credentials
from imgbake_oci.registry.failures import RegistryError
from imgbake_oci.registry.patience import Retries, Timeouts, Watch
from imgbake_oci.registry.platforms import choose
from imgbake_oci.registry.tls import Tls
from imgbake_oci.registry.wire import FilePart

__all__ = [
    "Client",
    "Credential",
    "Credentials",
    "FilePart",
    "RegistryError",
    "Retries",
    "Timeouts",
    "Tls",
    "Watch",
    "choose",
]
