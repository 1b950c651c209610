"""Kernels that find equal and similar texts."""
