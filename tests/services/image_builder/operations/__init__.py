"""What the emulator serves: a function for each operation."""

from __future__ import annotations

from collections.abc import Callable

from ..call import Call, Values
from . import (
    components,
    configurations,
    images,
    lifecycle,
    pipelines,
    policies,
    recipes,
    reports,
    tags,
    workflow_executions,
    workflows,
)

OPERATIONS: dict[str, Callable[[Call], Values]] = {
    **components.OPERATIONS,
    **configurations.OPERATIONS,
    **images.OPERATIONS,
    **lifecycle.OPERATIONS,
    **pipelines.OPERATIONS,
    **policies.OPERATIONS,
    **recipes.OPERATIONS,
    **reports.OPERATIONS,
    **tags.OPERATIONS,
    **workflow_executions.OPERATIONS,
    **workflows.OPERATIONS,
}
