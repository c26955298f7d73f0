"""Every type that the core and its plugins exchange.

A plugin implements `Step` (a kind of task) or `Target` (a way of baking) as an ordinary class whose
only constructor argument is its options, one typed `msgspec.Struct`. The engine hands it a context,
its only way to touch the world: whatever is read through a context is known to decide, and whatever
is started through it can be stopped.
"""

from imgbake.contract.artifacts import Artifact, Entry, Json, Part, Resolved, Tree
from imgbake.contract.blueprints import Blueprint, Copied, Described, Document, Layer, Lowered
from imgbake.contract.contexts import (
    Blobs,
    CommandContext,
    Completed,
    DescribingContext,
    PartsContext,
    ResolveContext,
    RunContext,
    Starter,
)
from imgbake.contract.destinations import AskableDestination, Cargo, Destination, Foreseeing
from imgbake.contract.formats import Argument, Format, Given
from imgbake.contract.runners import Commands, LayerFormat, NewLayer, Runner, StackLayer
from imgbake.contract.shelves import Kept, Queueing, Shelf
from imgbake.contract.steps import Pin, Pinnable, Step
from imgbake.contract.targets import (
    Askable,
    BaseHolder,
    Choosy,
    Distributable,
    DocumentTaker,
    Enterable,
    Exporter,
    Restorer,
    Target,
)
from imgbake.contract.triggers import Moved, Trigger

__all__ = [
    "Argument",
    "Artifact",
    "Askable",
    "AskableDestination",
    "BaseHolder",
    "Blobs",
    "Blueprint",
    "Cargo",
    "Choosy",
    "CommandContext",
    "Commands",
    "Completed",
    "Copied",
    "Described",
    "DescribingContext",
    "Destination",
    "Distributable",
    "Document",
    "DocumentTaker",
    "Enterable",
    "Entry",
    "Exporter",
    "Foreseeing",
    "Format",
    "Given",
    "Json",
    "Kept",
    "Layer",
    "LayerFormat",
    "Lowered",
    "Moved",
    "NewLayer",
    "Part",
    "PartsContext",
    "Pin",
    "Pinnable",
    "Queueing",
    "ResolveContext",
    "Resolved",
    "Restorer",
    "RunContext",
    "Runner",
    "Shelf",
    "StackLayer",
    "Starter",
    "Step",
    "Target",
    "Tree",
    "Trigger",
]
