"""Finds the folder of an image: the last path segment of its URI names `<root>/<name>/Dockerfile`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localaws.ports import RunError
from localaws.runner.dockerfile import Program, parse


@dataclass(frozen=True)
class Image:
    """An image that runs from a folder: its program, and the build context that stands in for its files."""

    name: str
    context: Path
    program: Program

    @property
    def dockerfile(self) -> Path:
        return self.context / self.name / "Dockerfile"

    @property
    def lock(self) -> Path | None:
        """The lock its requirements come from, or None when it installs nothing."""
        if self.program.lock is None:
            return None
        named = Path(self.program.lock)
        found = self.context / "requirements" / named.name if named.is_absolute() else self.context / named
        return found if found.exists() else self.context / "requirements" / named.name

    def environment(self) -> Mapping[str, str]:
        """The Dockerfile's ENV, with the image's own working directory replaced by the folder it runs in."""
        return {key: self._moved(value) for key, value in self.program.environment.items() if key != "PATH"}

    def entrypoint(self) -> tuple[str, ...]:
        return tuple(self._moved(word) for word in self.program.entrypoint)

    def command(self) -> tuple[str, ...]:
        return tuple(self._moved(word) for word in self.program.command)

    def _moved(self, text: str) -> str:
        workdir = self.program.workdir
        return text if workdir == "/" else text.replace(workdir, str(self.context))


def image_name(uri: str) -> str:
    """The last path segment of an image URI, without tag or digest."""
    return uri.partition("@")[0].rpartition("/")[2].partition(":")[0]


def find_image(uri: str, roots: Sequence[Path]) -> Image:
    name = image_name(uri)
    for root in roots:
        dockerfile = root / name / "Dockerfile"
        if name and dockerfile.is_file():
            return Image(name, root.resolve(), parse(dockerfile.read_text()))
    known = sorted({path.parent.name for root in roots for path in root.glob("*/Dockerfile")})
    looked = " or ".join(f"{root}/{name}/Dockerfile" for root in roots)
    raise RunError(
        f"The image '{uri}' cannot be run: no Dockerfile at {looked}. "
        f"Without a container engine an image runs from the folder that its last path segment names. "
        f"Folders with a Dockerfile: {', '.join(known) or 'none'}. "
        "Rename the image, or give its folder with --containers."
    )
