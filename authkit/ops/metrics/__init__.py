"""Metrics of a kit: for Prometheus and for OpenTelemetry; alerts that use them."""

from __future__ import annotations

from pathlib import Path

ALERTS = Path(__file__).parent / "alerts.yml"
"""Prometheus alerting rules over these metrics."""
