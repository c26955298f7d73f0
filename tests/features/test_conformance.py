"""The built-in plugins keep the contract that every plugin is held to."""

from __future__ import annotations

from typing import ClassVar

from imgbake.testing.conformance import PluginConformance


class TestScript(PluginConformance):
    verb = "run"
    recipe = """
        [tasks.upper]
        run = "tr a-z A-Z < in.txt > out/upper.txt; chmod +x out/upper.txt"
        inputs = ["in.txt"]
        outputs = ["out/upper.txt"]

        [tasks.count]
        run = ["sh", "-c", "wc -c < out/upper.txt > count.txt"]
        inputs = ["out/upper.txt"]
        outputs = ["count.txt"]
    """
    files: ClassVar = {"in.txt": "hello"}


class TestOci(PluginConformance):
    recipe = """
        [tasks.page]
        run = "cat words.txt words.txt > page.html"
        inputs = ["words.txt"]
        outputs = ["page.html"]

        [components.site]
        files = [
            { from = "task:page", to = "/srv/index.html" },
            { from = "static", to = "/srv/static", exclude = ["**/*.bak"], owner = "1000:1000" },
        ]

        [components.tool]
        needs = ["site"]
        files = [{ from = "tool.sh", to = "/usr/bin/tool", mode = "0755" }]
        env = { TOOL = "yes" }

        [targets.small]
        uses = "oci"
        compression = "zstd"
        platforms = ["linux/amd64", "linux/arm64"]

        [images.site]
        base = "scratch"
        components = ["tool"]
        entrypoint = ["/usr/bin/tool"]
        targets = ["oci", "small"]

        [images.more]
        base = "image:site"
        components = []
        labels = { kind = "more" }
    """
    files: ClassVar = {
        "words.txt": "some words\n",
        "tool.sh": "#!/bin/sh\n",
        "static/a.css": "a",
        "static/b.bak": "b",
        "static/deep/c.css": "c",
    }
