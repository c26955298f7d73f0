"""Commands in a base's root filesystem, with nothing but the kernel: no daemon, and root or not.

    outside     spec                   the value that says what to run
                serving -> serve, forking      starts sandboxes from one process of Python
                enter -> supervise     the same for a single one, and what attends to each
                identity, refusals     which users there can be here, and why not
                emulation              whether programs for other processors can run
                report                 what came of it
    inside      init                   the first process: furnishes the root, runs the commands
                root, union, system, points     what they see
                users, privileges, launch       who they are and what they may do
                kernel, namespaces, limits, terminal

What runs inside imports the standard library's fastest modules alone: it is started anew by every build,
and forked for every component.
"""
