"""Where the project's own files lie, whatever folder it is deployed to."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
INCLUDE = PROJECT / "include"
