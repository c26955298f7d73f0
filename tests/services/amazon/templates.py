"""Launch templates: a version that names a source takes from it what it doesn't say itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def extend() -> None:
    """Gives moto what it lacks. Once for a process."""
    responses: Any = import_module("moto.ec2.responses.launch_templates").LaunchTemplates
    create = responses.create_launch_template_version

    def create_launch_template_version(self: Any) -> Any:
        backend = self.ec2_backend
        name, source = self._get_param("LaunchTemplateName"), self._get_param("SourceVersion")
        template = (
            backend.get_launch_template_by_name(name)
            if name
            else backend.get_launch_template(self._get_param("LaunchTemplateId"))
        )
        answer = create(self)
        if source:
            made = template.versions[-1]
            made.data = {**template.get_version(source).data, **made.data}
        return answer

    responses.create_launch_template_version = create_launch_template_version
