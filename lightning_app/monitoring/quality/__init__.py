"""Live quality: metrics of late outcomes, delays of outcomes, and what metrics are expected before outcomes come."""
