"""Measurements that a person starts. No test asserts an absolute time."""
