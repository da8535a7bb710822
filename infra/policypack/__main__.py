"""The CrossGuard pack: our own rules inside a real Pulumi run (`pulumi up --policy-pack infra/policypack`)."""

from __future__ import annotations

from infra.policypack.pack import pack

pack()
