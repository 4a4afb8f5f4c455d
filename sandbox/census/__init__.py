"""Census (Fivetran Activations): its API, its runs, and the diff against what it sent before."""
