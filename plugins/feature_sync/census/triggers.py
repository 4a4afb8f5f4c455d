"""Former path of triggers: Airflow's database may name it for a task that has waited since before an upgrade."""

from feature_sync.sending.triggers import BatchTurnTrigger, CensusQuietTrigger, CensusRunTrigger

__all__ = ["BatchTurnTrigger", "CensusQuietTrigger", "CensusRunTrigger"]
