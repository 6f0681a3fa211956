"""Adds `conf/` of the working directory to where mcalc's configs are searched.

Hydra imports this at every start, of any program that uses Hydra: nothing heavy at the top, and
nothing changes for programs with other configs.
"""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class McalcConfFolder(SearchPathPlugin):
    """Searches `conf/` of the working directory before the one that comes with mcalc."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Put the folders of `conf_folders` in place of the shipped one alone."""
        from mcalc.config.compose import CONF_DIR, conf_folders

        searched = {element.path.removeprefix("file://") for element in search_path.get_path()}
        if str(CONF_DIR) in searched:
            for folder in conf_folders():
                if str(folder) not in searched:
                    search_path.prepend(provider="conf", path=f"file://{folder}")
