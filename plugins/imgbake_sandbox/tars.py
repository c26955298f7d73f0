"""What the sandbox uses of the embedded target's tar files and compression, named in one place."""

from __future__ import annotations

from imgbake_oci import ustar
from imgbake_oci.compression import Compression, Content, Damaged, Format, detect, reader
from imgbake_oci.folders import ROOTS, Added, Folders
from imgbake_oci.packing import Packed, Packer
from imgbake_oci.tarfiles import Forward, Head, members

__all__ = [
    "ROOTS",
    "Added",
    "Compression",
    "Content",
    "Damaged",
    "Folders",
    "Format",
    "Forward",
    "Head",
    "Packed",
    "Packer",
    "detect",
    "members",
    "reader",
    "ustar",
]
