"""Former path of triggers: Airflow's database may name it for a task that has waited since before an upgrade."""

from feature_sync.replica.triggers import RunReplicaTrigger as RunCopyTrigger
from feature_sync.replica.triggers import WholeReplicaTrigger as WholeCopyTrigger

__all__ = ["RunCopyTrigger", "WholeCopyTrigger"]
