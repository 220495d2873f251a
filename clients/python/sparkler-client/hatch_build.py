"""Generates the messages of the worker's API when the package is built."""

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROTO = Path("sparkler/worker/v1/worker.proto")


class GenerateMessages(BuildHookInterface):
    """Fills `_gen`, from the repository or from what an sdist carries of it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Writes the messages, their types, and the service config."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        carried = root / "shared"
        shared = carried if carried.exists() else root.parents[2]
        generated = root / "src/sparkler_client/_gen"
        messages(shared / "proto", generated)
        shutil.copy(shared / "examples/service_config.json", generated)


def messages(protos: Path, folder: Path) -> None:
    """Runs protoc and moves its modules out of a package that others may have, too."""
    paths = [f"-I{protos}", f"-I{files('grpc_tools') / '_proto'}"]
    code = protoc.main(
        ["protoc", *paths, f"--python_out={folder}", f"--pyi_out={folder}", str(PROTO)]
    )
    if code:
        raise RuntimeError(f"protoc failed on {PROTO} ({code})")
    for made in (folder / PROTO.parent).iterdir():
        text = made.read_text().replace("'sparkler.worker.v1.", "'sparkler_client._gen.")
        (folder / made.name).write_text(text)
    shutil.rmtree(folder / PROTO.parts[0])
