"""What watches the platform: alerts, who is told, dashboards."""
