"""Components that are documents in a target's own language."""

from __future__ import annotations

import pytest

from imgbake.testing.project import Project

IMAGE = '\n[images.i]\nbase = "scratch"\ncomponents = ["d"]\n'


@pytest.mark.parametrize(
    ("component", "said"),
    [
        ('document = "d.yaml"', "component 'd' is a document, which the target 'oci' cannot read"),
        ('document = "../d.yaml"', "the document '../d.yaml' leaves the project"),
        ('document = "d.yaml"\nbuild = "true"', "a component that is a document has no 'build'"),
        ('document = "{{ token }}"', "token"),
    ],
)
def test_wrong_documents_are_errors_of_the_recipe(component: str, said: str, project: Project) -> None:
    project.recipe(f"[args]\ntoken = {{ secret = true }}\n[components.d]\n{component}\n{IMAGE}")
    ran = project.run("check")
    assert ran.code == 2 and said in ran.stderr
