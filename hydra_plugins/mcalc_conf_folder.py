"""Adds `conf/` of the working directory to where mcalc's configs are searched, and reads them.

Hydra imports this at every start, of any program that uses Hydra: nothing heavy at the top, and
nothing changes for programs with other configs.
"""

from __future__ import annotations

from pathlib import Path
from typing import List  # noqa: UP035 (`list` is a method here)

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin

SCHEME = "mcalc-conf"
"""In place of `file` in the paths of mcalc's own folders, `mcalc-conf://FOLDER/conf`."""


class McalcConfFolder(SearchPathPlugin):
    """Searches `conf/` of the working directory before the one that comes with mcalc."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Put the folders of `conf_folders` in place of the shipped one alone."""
        from mcalc.config.compose import CONF_DIR, conf_folders

        elements = search_path.get_path()
        searched = {str(element.path).removeprefix("file://") for element in elements}
        if str(CONF_DIR) not in searched:
            return
        ours = {str(folder) for folder in conf_folders()}
        for element in elements:
            folder = str(element.path).removeprefix("file://")
            if folder in ours:
                element.path = f"{SCHEME}://{folder}"
        for each in conf_folders():
            if str(each) not in searched:
                search_path.prepend(provider="conf", path=f"{SCHEME}://{each}")


class McalcConfSource(ConfigSource):
    """Reads mcalc's configs by `mcalc.config.conf_file`; Hydra's reader follows YAML 1.1."""

    @staticmethod
    def scheme() -> str:
        """What the paths of these folders begin with."""
        return SCHEME

    def available(self) -> bool:
        """Whether the folder is there."""
        return self.is_group("")

    def is_group(self, config_path: str) -> bool:
        """Whether it is a folder."""
        return Path(self.path, config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        """Whether something has the name of a config; what is no file is refused when read."""
        file = Path(self.path, self._normalize_file_name(config_path))
        return file.is_symlink() or file.exists()

    def list(self, config_path: str, results_filter: ObjectType | None) -> List[str]:  # noqa: UP006
        """The configs or groups in a folder."""
        found: List[str] = []  # noqa: UP006
        for file in Path(self.path, config_path).iterdir():
            place = str(Path(config_path, file.name))
            # a name with another ending would be found as NAME.OTHER.yaml
            if file.suffix == ".yaml" or self.is_group(place):
                self._list_add_result(found, place, file.name, results_filter)
        return sorted(set(found))

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a config. Raises UserError for a file that is not as it should be."""
        from omegaconf import OmegaConf

        from mcalc.config.conf_file import read_conf_file

        content, header = read_conf_file(self.path, self._normalize_file_name(config_path))
        return ConfigResult(
            provider=self.provider,
            path=self.full_path(),
            config=OmegaConf.create(content),
            header={"package": None, **header},
        )
