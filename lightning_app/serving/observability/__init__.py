"""What a server says about itself: metrics, logs and traces."""
