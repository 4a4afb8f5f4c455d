"""Former path of a trigger: Airflow's database may name it for a task that has waited since before an upgrade."""

from feature_sync.orchestration.approvals import AnswerTrigger

__all__ = ["AnswerTrigger"]
