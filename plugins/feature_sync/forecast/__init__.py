"""How long a run will take, before it has begun: its batches, its time, its calls of Salesforce."""
