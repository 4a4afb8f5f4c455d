"""What a person is asked about the rollup Flow when all records go at once (strategy ``full``)."""

FLOW = "Product Property | After | Rollup Flow"

SWITCH_OFF = f"""
All records of this run go to Salesforce at once. Its Flow **{FLOW}** breaks on that, so it must be off.

1. Salesforce Setup, **Flows**, *{FLOW}*: open it and choose **Deactivate**.
2. Look that it shows no active version.

Approve when it is off. Reject, and nothing is sent.
"""

SWITCH_ON = f"""
The records are sent; whether well or badly, say `batch.send` and `validate`. The Flow **{FLOW}** must be on again.

1. Salesforce Setup, **Flows**, *{FLOW}*: open its latest version and choose **Activate**.
2. What the Flow would have rolled up meanwhile is missing on the companies. Recompute it: run the Flow, or your rollup job, for
   the companies of the records in this run's full CSV.
3. Look at the rollups of two or three of these companies.

Approve when all three are done. Until then the run is not green.
"""
