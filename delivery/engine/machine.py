"""What this machine offers: engines on PATH, a mirror of the provider, where the work of an environment stands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from delivery.engine.schema import SOURCE, VERSION

MIRROR = "SLIPWAY_TF_MIRROR"
CLI_CONFIG = "TF_CLI_CONFIG_FILE"
WORK = ".slipway"
OURS = Path(__file__).resolve().parent.parent.parent / WORK / "pulumi-cli"


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where everything about one environment is kept between commands; never in git."""

    root: Path
    environment: str

    @property
    def folder(self) -> Path:
        return self.root / WORK / self.environment

    @property
    def terraform(self) -> Path:
        return self.folder / "terraform"

    @property
    def document(self) -> Path:
        return self.terraform / "main.tf.json"

    @property
    def plan(self) -> Path:
        return self.terraform / "plan.bin"

    @property
    def state(self) -> Path:
        return self.terraform / "terraform.tfstate"

    @property
    def lock(self) -> Path:
        return self.folder / "running.lock"

    @property
    def holder(self) -> Path:
        return self.folder / "running.json"


def terraform() -> str | None:
    return shutil.which("terraform")


def pulumi() -> str | None:
    """On PATH, or where `slipway engine --install` puts it."""
    return shutil.which("pulumi") or shutil.which("pulumi", path=str(OURS / "bin"))


def mirrors(environment: Mapping[str, str] | None = None) -> Iterator[Path]:
    """Folders that may hold the provider: the one named, then the usual places."""
    given = (os.environ if environment is None else environment).get(MIRROR)
    if given:
        yield Path(given)
    yield Path.home() / ".terraform.d" / "plugins"
    for base in ("/usr/local/share/terraform", "/usr/share/terraform"):
        yield Path(base) / "plugins"
    yield from sorted(path for path in Path("/opt").glob("*") if path.is_dir())


def mirror(environment: Mapping[str, str] | None = None) -> Path | None:
    """The first folder that holds the pinned provider."""
    return next((path for path in mirrors(environment) if (path / SOURCE / VERSION).is_dir()), None)


def cli_config(folder: Path) -> Path | None:
    """Terraform's own configuration: the user's when there is one, else ours that names the mirror."""
    given = os.environ.get(CLI_CONFIG)
    if given and Path(given).is_file():
        return Path(given)
    found = mirror()
    if found is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "terraform.rc"
    path.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{found}"\n  }}\n}}\n')
    return path
