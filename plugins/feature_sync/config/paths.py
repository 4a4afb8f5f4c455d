"""Where the project's own files are, whatever folder it is deployed to."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
INCLUDE = PROJECT / "include"
