"""Routing: which arm answers a request, and what is done beside the answer."""
