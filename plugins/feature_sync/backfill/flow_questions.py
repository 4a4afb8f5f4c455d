"""The questions about the rollup Flow when all records are sent at once (strategy ``full``)."""

FLOW = "Product Property | After | Rollup Flow"

SWITCH_OFF = f"""
All records of this run go to Salesforce at once. The Flow **{FLOW}** would fail on that, so it must be off.

1. Salesforce Setup, **Flows**, *{FLOW}*: open it and choose **Deactivate**.
2. Check that no version is active.

Approve when it is off. If you reject, nothing is sent.
"""

SWITCH_ON = f"""
Sending has ended; `batch.send` and `validate` show the result. Now the Flow **{FLOW}** must be on again.

1. Salesforce Setup, **Flows**, *{FLOW}*: open its latest version and choose **Activate**.
2. While the Flow was off, the companies' rollups were not updated. Recompute them: run the Flow, or your rollup job, for the
   companies of the records in this run's full CSV.
3. Check the rollups of two or three of these companies.

Approve when all three are done. The run does not end before that.
"""
