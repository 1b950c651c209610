"""The stages, by what they do to a page; `pipeline.py` has their order."""
