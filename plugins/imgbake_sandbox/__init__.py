"""Commands in a base's root filesystem, with nothing but the kernel: no daemon, and root or not.

    outside     spec -> enter          the value that says what to run, and the program that runs it
                identity, refusals     which users there can be here, and why not
                report                 what came of it
    inside      init                   the first process: furnishes the root, runs the commands
                root, union, system, points     what they see
                users, privileges, launch       who they are and what they may do
                kernel, namespaces, limits, terminal

What runs inside imports the standard library's fastest modules alone: a sandbox is started for every
component, and Python's start is most of what that costs.
"""
