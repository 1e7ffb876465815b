"""Page of monitoring: reports as one HTML file, their pictures, and the server that shows them."""
