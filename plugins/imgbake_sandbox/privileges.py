"""What a command may do, no more than in a container of docker's.

The capabilities are docker's default set but for MKNOD: nobody can make device nodes, so a layer comes out
the same whoever makes it. In a user namespace, which even root is given where there can be one, they hold
for what belongs to the namespace alone: to mount, to load modules or to set the clock is refused whatever
they are. Programs with the setuid bit work (sudo, su, ping), since whom they make root is root in here
only; that is why "no new privileges" isn't set.

Kept out besides: the keys of the session, unix sockets without a file that were made outside (they belong
to the network namespace, which `network = "host"` shares), descriptors, the process group and terminal.
"""

from __future__ import annotations

import os

from imgbake_sandbox import kernel
from imgbake_sandbox.users import unmapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from imgbake_sandbox.users import User

# moby, oci/caps/defaults.go, but MKNOD; numbers of linux/capability.h.
_CAPABILITIES = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "FOWNER": 3,
    "FSETID": 4,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "SETPCAP": 8,
    "NET_BIND_SERVICE": 10,
    "NET_RAW": 13,
    "SYS_CHROOT": 18,
    "AUDIT_WRITE": 29,
    "SETFCAP": 31,
}
_KEPT = sum(1 << number for number in _CAPABILITIES.values())
_FIRST_DESCRIPTOR = 3
_MOST_DESCRIPTORS = 1 << 20


def become(user: User, *, shares_network: bool, may_set_groups: bool, kept: int = -1) -> None:
    """Makes this process one that may run a stranger's program. Raises Failure.

    Every descriptor but the first three and `kept` is closed.
    """
    if kept >= 0:
        os.closerange(_FIRST_DESCRIPTOR, kept)
    os.closerange(max(_FIRST_DESCRIPTOR, kept + 1), _MOST_DESCRIPTORS)
    kernel.join_new_keyring()
    if shares_network:
        kernel.refuse_outer_abstract_sockets()
    kernel.keep_capabilities(_KEPT)
    try:
        if may_set_groups:
            os.setgroups(list(dict.fromkeys((user.gid, *user.groups))))  # as docker does, CVE-2022-36109
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    except OSError as error:
        raise unmapped(user, error) from None
    kernel.set_capabilities(0 if user.uid else _KEPT)
