"""Metrics of a kit: for Prometheus and for OpenTelemetry; alerts, a dashboard."""

from __future__ import annotations

from pathlib import Path

ALERTS = Path(__file__).parent / "alerts.yml"
"""Prometheus alerting rules over these metrics."""
