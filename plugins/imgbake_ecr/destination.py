"""The destination `ecr`: a repository of one registry of Amazon's, or one for each image.

It is a registry whose password, repositories and removal of tags come from ECR's own API. Where another
program plays ECR, that says where its registry is; names are always those of Amazon's hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from imgbake.api import Artifact, BakeError, Cargo, ResolveContext, RunContext
from imgbake_copy.copier import Copier
from imgbake_copy.registry import Registry
from imgbake_ecr import asking, repositories
from imgbake_ecr.options import Options
from imgbake_ecr.repositories import Repositories, Repository
from imgbake_oci.reference import Reference, parse, parse_tag

if TYPE_CHECKING:  # what knows credentials imports all of HTTP and TLS, which reading a recipe doesn't need
    from imgbake_oci.amazon import Registries

Context = ResolveContext | RunContext


class Ecr:
    """A repository of ECR."""

    kind: ClassVar[str] = "ecr"
    version: ClassVar[int] = 1
    accepts: ClassVar[frozenset[str]] = frozenset({"container"})

    def __init__(self, options: Options) -> None:
        self._options = options
        self._named = Registry(options.at(options.home))

    @classmethod
    def parse(cls, text: str, said: Mapping[str, Any]) -> tuple[Options, tuple[str, ...]] | None:
        """The repository and the tag of a reference to ECR; None for any other place, and where somebody
        has logged in by docker, which may be as somebody else."""
        from imgbake_oci.amazon import owner
        from imgbake_oci.registry.credentials import from_environment

        place = owner(text.partition("/")[0])
        if place is None:
            return None
        reference = parse_tag(text)
        document = {"account": place[0], "region": place[1].region, "repository": reference.repository}
        try:
            options = msgspec.convert({**document, **said}, Options)
        except msgspec.ValidationError as error:
            raise BakeError(str(error)) from None
        if options.home != reference.registry or from_environment().find(reference).credential is not None:
            return None
        return options, (reference.tag,)

    def pointers(self, image: str, tags: Sequence[str]) -> tuple[str, ...]:
        return self._named.pointers(image, tags)

    def find(self, cargo: Cargo, ctx: ResolveContext) -> Artifact | None:
        name = self._options.at(self._options.home).of(cargo.name)
        if self._repository(name, ctx) is None:
            self._require_create(name)
            return None
        return self._homely(self._registry(name, ctx).find(cargo, ctx), ctx)

    def deliver(self, cargo: Cargo, ctx: RunContext) -> Artifact:
        options = self._options
        name = options.at(options.home).of(cargo.name)
        if self._repository(name, ctx) is None:
            self._require_create(name)
            ctx.log(f"making the repository {name.name}")
        if options.create is not None:
            repositories.require(options.site, options.account, name.repository, options.create)
        found = self._homely(self._registry(name, ctx).deliver(cargo, ctx), ctx)
        assert found is not None
        return found

    def verify(self, cargo: Cargo, delivered: Artifact, ctx: RunContext) -> None:
        self._registry(self._options.at(self._options.home).of(cargo.name), ctx).verify(cargo, delivered, ctx)

    def require_movable(self, pointer: str, reference: str, ctx: ResolveContext) -> None:
        """An immutable tag may mean nothing else already."""
        name = parse(pointer)
        found = self._repository(name, ctx)
        if found is None or not repositories.is_fixed(found, name.tag):
            return
        now = self.current(pointer, ctx)
        if now not in ("", reference):
            hint = "give the image another tag, such as its version"
            raise BakeError(f"{pointer} can't be moved: its repository has immutable tags", hint=hint)

    def current(self, pointer: str, ctx: ResolveContext) -> str:
        name = parse(pointer)
        if self._repository(name, ctx) is None:
            return ""
        return self._from(self._registry(name, ctx).current(self._to(pointer, ctx), ctx), ctx)

    def publish(self, pointer: str, reference: str, ctx: RunContext) -> None:
        registry = self._registry(parse(pointer), ctx)
        registry.publish(self._to(pointer, ctx), self._to(reference, ctx), ctx)

    def withdraw(self, pointer: str, ctx: RunContext) -> None:
        name = parse(pointer)
        repositories.untag(self._options.site, self._options.account, name.repository, name.tag)

    def question(
        self, cargo: Cargo, delivered: Artifact, pointers: Sequence[str], ctx: Context
    ) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str] | None:
        """The same that a registry is asked, by passwords of its own."""
        means = self._named.means(cargo, pointers, ctx)
        if means is None:
            return None
        options = self._options
        repository = options.at(options.home).of(cargo.name).repository
        return asking.are_in_ecr, asking.question(options.site, options.home, repository, means)

    def _require_create(self, name: Reference) -> None:
        if self._options.create is None:
            raise BakeError(
                f"there is no repository {name.name}",
                hint="make it; or let a recipe have it made, by `create = {}`",
            )

    def _repository(self, name: Reference, ctx: Context) -> Repository | None:
        options = self._options
        return ctx.shared(Repositories).get(options.site, options.account, name.repository, ctx.check)

    def _registry(self, name: Reference, ctx: Context) -> Registry:
        """The registry as it is reached, with a password that is good for this repository."""
        from imgbake_oci.amazon import issuer

        host = self._host(ctx)
        there = Reference(host, name.repository)
        ctx.shared(Copier).client.issue(there, issuer(self._registries(ctx), self._options.site))
        return Registry(self._options.at(host))

    def _registries(self, ctx: Context) -> Registries:
        from imgbake_oci.amazon import Registries

        return ctx.shared(Registries)

    def _host(self, ctx: Context) -> str:
        return self._registries(ctx).host(self._options.site, self._options.home)

    def _to(self, text: str, ctx: Context) -> str:
        """A reference as it is reached."""
        return self._host(ctx) + text.removeprefix(self._options.home)

    def _from(self, text: str, ctx: Context) -> str:
        """A reference as it is named."""
        return self._options.home + text.removeprefix(self._host(ctx)) if text else ""

    def _homely(self, found: Artifact | None, ctx: Context) -> Artifact | None:
        if found is None:
            return None
        return msgspec.structs.replace(found, reference=self._from(found.reference, ctx))
