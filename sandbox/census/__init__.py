"""Census (Fivetran Activations): its API, its runs, and the diff against the rows that it sent before."""
