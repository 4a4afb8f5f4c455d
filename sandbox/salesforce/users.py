"""The org's users, their profiles, and the sessions of those who call its API."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.tokens import SALESFORCE_API_SESSION, SALESFORCE_SESSION

ORGANIZATION = "00D5Y00000LOCALEAU"


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile. Its rights stand in a permission set that it owns (Salesforce object reference: PermissionSet)."""

    id: str
    name: str
    permission_set_id: str

    @property
    def permission_set_name(self) -> str:
        return f"X{self.id[:15].lower()}"


@dataclass(frozen=True, slots=True)
class User:
    """A user. ``profile`` is None for the one that Salesforce itself has."""

    id: str
    name: str
    username: str
    user_type: str
    profile: Profile | None


ADMIN = User(
    "0055Y0000ADMIN1AAQ",
    "Avery Admin",
    "avery.admin@crm.example",
    "Standard",
    Profile("00e5Y00000ADMINAAQ", "System Administrator", "0PS5Y00000ADMINAAQ"),
)
CENSUS = User(
    "0055Y0000CENSUSAAQ",
    "Census Integration",
    "census@crm.example",
    "Standard",
    Profile("00e5Y0000CENSUSAAQ", "Census Integration", "0PS5Y0000CENSUSAAQ"),
)
API_USER = User(
    "0055Y0000READERAAQ",
    "Feature Sync",
    "feature.sync@crm.example",
    "Standard",
    Profile("00e5Y0000READERAAQ", "Feature Sync Read Only", "0PS5Y0000READERAAQ"),
)
AUTOMATED_PROCESS = User("0055Y00000AUTOPAAQ", "Automated Process", f"autoproc@{ORGANIZATION.lower()}", "AutomatedProcess", None)
USERS = (ADMIN, CENSUS, API_USER, AUTOMATED_PROCESS)
PROFILES = tuple(user.profile for user in USERS if user.profile)
SESSIONS = {SALESFORCE_SESSION: ADMIN, SALESFORCE_API_SESSION: API_USER}
"""Who calls with a session. Census writes in another way, and nobody logs in as its user here."""


def user_rows() -> Iterator[dict[str, Any]]:
    for user in USERS:
        yield {
            "Id": user.id,
            "Name": user.name,
            "FirstName": user.name.split()[0],
            "LastName": user.name.split()[1],
            "Username": user.username,
            "Email": user.username,
            "Alias": user.username[:8],
            "IsActive": True,
            "UserType": user.user_type,
            "ProfileId": user.profile.id if user.profile else None,
        }


def profile_rows() -> Iterator[dict[str, Any]]:
    for profile in PROFILES:
        yield {"Id": profile.id, "Name": profile.name}


def permission_set_rows() -> Iterator[dict[str, Any]]:
    for profile in PROFILES:
        name = profile.permission_set_name
        yield {
            "Id": profile.permission_set_id,
            "Name": name,
            "Label": name,
            "IsOwnedByProfile": True,
            "IsCustom": False,
            "ProfileId": profile.id,
        }


def assignment_rows() -> Iterator[dict[str, Any]]:
    for user in USERS:
        if user.profile:
            yield {
                "Id": f"0Pa{user.id[3:]}",
                "AssigneeId": user.id,
                "PermissionSetId": user.profile.permission_set_id,
                "IsActive": True,
            }
