"""Shared parts of all reports: pages of HTML, charts, and protocols as JSON."""
