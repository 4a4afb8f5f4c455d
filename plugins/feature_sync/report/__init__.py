"""The page about a run, for people: facts in, one HTML file without a script out."""
