"""Where the project's own files are, whatever folder it is deployed to, also if that folder is a link that moves."""

import os
from pathlib import Path

MAX_LINKS = 40
"""Links that are followed at most, as in Linux."""


def find_project(module: Path) -> Path:
    """
    The folder that has ``include`` beside ``plugins``, by a path with as few links followed as possible.

    A deployment such as git-sync puts each version into a folder of its own, moves a link to it and deletes the former one. A
    process that has followed the link once would then look for settings and SQL in a folder that is gone. So the link stays in
    the path, and each look follows it again. If ``plugins`` itself is a link to the project, it has to be followed, but no link
    behind it.

    :param module: the absolute path of this module, as Python has imported it.
    """
    path = module
    for _ in range(MAX_LINKS):
        project = path.parents[3]
        if (project / "include" / "settings.toml").is_file():
            return project
        # From the module upwards: `plugins` may be a link, and so may the package in it, or each file.
        link = next((folder for folder in (path, *path.parents) if folder.is_symlink()), None)
        if link is None:
            break
        path = _tidy(link.parent / link.readlink()) / path.relative_to(link)
    return module.parents[3]


def _tidy(path: Path) -> Path:
    """The path without ``..``, if that is the same place: behind a link it may be another."""
    tidy = Path(os.path.normpath(path))
    return tidy if tidy.exists() and tidy.samefile(path) else path


PROJECT = find_project(Path(os.path.abspath(__file__)))  # noqa: PTH100 - Path.resolve would follow every link
INCLUDE = PROJECT / "include"


def output_home() -> Path:
    """
    Where an output path that is not absolute begins: the project's folder, or Airflow's home if the project is behind a link.

    A checkout behind a link is deleted when the link moves, and the files of all runs with it.
    """
    if PROJECT.resolve() == PROJECT:
        return PROJECT
    return Path(os.path.expandvars(os.environ.get("AIRFLOW_HOME", "~/airflow"))).expanduser()
